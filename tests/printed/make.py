#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes values.txt and arrays.txt: what numpy prints of elements and arrays, which tests/test_printed.c compares.

usage: make.py, with numpy 1.26 (.venv/check)

values.txt has lines "DTYPE HEX TEXT": an element's bytes and str() of it. arrays.txt has for each array the lines "DTYPE SHAPE..",
"HEX" (of all elements, or "arange" for 0, 1, 2, ...), and what np.array2string() says, with "|" before each of its lines.
"""
import os
import random

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "i2", "U16": "u2", "F16": "f2", "I32": "i4", "U32": "u4", "F32": "f4", "C64": "c8", "F64": "f8",
         "I64": "i8", "U64": "u8"}
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 0.1, 1e-4, 9.99e-5, 1000.0, 1e8, 99999999.0, 1e16, 9.99e15, 65504.0, 1.5, 123456789.0, 1 / 3, 2 / 3,
       1e-7, 6e-8, 1e-45, 5e-324, 1e23, 2.0**-24, 2.0**60, 0.5, 0.00012345, 1e22]


def random_values(dtype, n, r, rng):
    """Numbers of one of several kinds: any bits, normal at some scale, whole, short, over many scales, mostly one number."""
    if dtype == "?":
        return rng.integers(0, 2, n).astype("?")
    kind = r.randrange(7)
    if kind == 0 or dtype[0] in "iu" and kind < 3:
        return np.frombuffer(rng.bytes(n * np.dtype(dtype).itemsize), dtype).copy()
    if dtype[0] in "iu":
        return rng.integers(0, r.choice([2, 100, 127]), n).astype(dtype) - np.array(r.choice([0, 5, 50])).astype(dtype)
    x = rng.standard_normal(n) * 10.0**r.randrange(-9, 9)
    if dtype == "c8":
        x = x + 1j * rng.standard_normal(n) * 10.0**r.randrange(-9, 9)
    x = {1: np.round(x), 2: np.round(x, 2), 3: x * 10.0**rng.integers(-4, 4, n), 4: rng.integers(-3, 4, n) * 10.0**r.randrange(-5, 10) + 0.0}.get(kind, x)
    x = x.astype(dtype)
    if kind in (3, 5) and n:
        for _ in range(r.randrange(4)):
            x[r.randrange(n)] = r.choice(ODD)
    if kind == 6 and n:
        x[:] = r.choice(ODD)
        x[r.randrange(n)] = r.choice(ODD)
    return x


def random_shape(r):
    axes = r.choice([0, 1, 1, 2, 2, 2, 3, 3, 4])
    return tuple(r.choice([0, 1, 2, 3, 4, 6, 7, 8]) for _ in range(axes))


def write_array(f, name, a, data):
    text = np.array2string(a).split("\n")
    f.write(f"{' '.join([name, *map(str, a.shape)])}\n{data}\n" + "".join(f"|{line}\n" for line in text))


def main():
    r, rng = random.Random(6), np.random.default_rng(6)
    with open(f"{HERE}/values.txt", "w") as f, np.errstate(all="ignore"):
        for name, dtype in TYPES.items():
            odd = np.array(ODD if dtype[0] in "fc" else [0, 1], dtype)
            parts = [odd, *(random_values(dtype, 12, r, rng) for _ in range(12))]
            if dtype == "c8":
                parts.append(np.array([complex(a, b) for a in ODD[:7] for b in ODD[:7]], dtype))
            f.writelines(dict.fromkeys(f"{name} {v.tobytes().hex()} {str(v)}\n" for v in np.concatenate(parts)))
    with open(f"{HERE}/arrays.txt", "w") as f, np.errstate(all="ignore"):
        for _ in range(400):
            name, shape = r.choice(list(TYPES) + ["F16", "F32", "F32", "F64", "C64"]), random_shape(r)
            if np.prod(shape) <= 600:
                a = random_values(TYPES[name], int(np.prod(shape)), r, rng).reshape(shape)
                write_array(f, name, a, a.tobytes().hex())
        for name, shape in [("I32", (1000,)), ("I32", (1001,)), ("F32", (7, 200)), ("I64", (6, 6, 40)), ("F32", (7, 7, 7, 7)), ("F64", (2000, 1)), ("U16", (1, 1500)),
                            ("F32", (40, 2, 40)), ("I16", (8, 8, 8, 8))]:
            write_array(f, name, np.arange(np.prod(shape)).astype(TYPES[name]).reshape(shape), "arange")


if __name__ == "__main__":
    main()
