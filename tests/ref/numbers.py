# SPDX-License-Identifier: Apache-2.0
"""The numbers in a tensor (dtype, shape, bytes) as numpy sees them. Types of 8 bits and less are looked up in tests/printed/small.txt,
which another program wrote."""
import functools
import os

import numpy as np

NUMPY = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4", "F32": "<f4", "C64": "<c8",
         "F64": "<f8", "I64": "<i8", "U64": "<u8"}
SMALL = ("F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
HERE = os.path.dirname(os.path.abspath(__file__))


@functools.lru_cache
def table(dtype):
    with open(f"{HERE}/../printed/small.txt") as f:
        rows = [line.split()[1:] for line in f if line.split()[0] == dtype]
    return np.array([float.fromhex(v) if "x" in v else float(v) for _, v in rows])


def unpack(data, bits):
    """Elements of `bits` bits, the low end of each byte first."""
    flat = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(-1, bits)
    return (flat << np.arange(bits)).sum(axis=1)


def decode(tensor):
    dtype, shape, data = tensor
    if dtype in NUMPY:
        return np.frombuffer(data, NUMPY[dtype]).reshape(shape)
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    bits = BITS.get(dtype, 8)
    return table(dtype)[unpack(data, bits) if bits < 8 else np.frombuffer(data, np.uint8)].reshape(shape)


def parts(array):
    """As one list of doubles: real and imaginary parts apart."""
    flat = np.ascontiguousarray(array).reshape(-1)
    with np.errstate(invalid="ignore"):  # signalling NaN
        return (flat.view(np.float32) if flat.dtype == np.complex64 else flat).astype(np.float64)
