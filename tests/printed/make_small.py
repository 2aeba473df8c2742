#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small.txt: every value of the types that numpy lacks, as the package ml_dtypes 0.5 decodes it.

usage: make_small.py, with ml_dtypes and numpy 1.26. Lines "DTYPE BITS VALUE": the bits in hex, the value as C's %a or nan, inf. Of BF16
every 97th.
"""
import os

import ml_dtypes as ml
import numpy as np

TYPES = {"F4": (ml.float4_e2m1fn, 16), "F6_E2M3": (ml.float6_e2m3fn, 64), "F6_E3M2": (ml.float6_e3m2fn, 64), "F8_E5M2": (ml.float8_e5m2, 256),
         "F8_E4M3": (ml.float8_e4m3fn, 256), "F8_E8M0": (ml.float8_e8m0fnu, 256), "F8_E4M3FNUZ": (ml.float8_e4m3fnuz, 256),
         "F8_E5M2FNUZ": (ml.float8_e5m2fnuz, 256), "BF16": (ml.bfloat16, 65536)}

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "small.txt"), "w") as f:
    for name, (dtype, count) in TYPES.items():
        bits = np.arange(0, count, 97 if count > 256 else 1)
        values = bits.astype(np.uint16 if count > 256 else np.uint8).view(dtype).astype(np.float64)
        for b, v in zip(bits, values):
            f.write(f"{name} {b:x} {float(v).hex() if np.isfinite(v) else v}\n")
