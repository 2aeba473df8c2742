# SPDX-License-Identifier: Apache-2.0
"""What random checkpoints are made of: elements of any dtype, and layouts."""
import math

import numpy as np

from ref import safefile
from ref.algebra import Layout


class Units:
    """A dtype's elements as numpy arrays that can be cut: a last axis of bytes, or of bits where an element is no whole byte."""

    def __init__(self, dtype):
        self.bits = safefile.BITS[dtype]
        self.whole = self.bits % 8 == 0

    def random(self, rng, shape):
        raw = np.frombuffer(rng.randbytes(math.prod(shape) * self.bits // (8 if self.whole else 1)), np.uint8)
        return raw.reshape(*shape, self.bits // 8) if self.whole else (raw & 1).reshape(*shape, self.bits)

    def pack(self, units):
        return units.tobytes() if self.whole else np.packbits(units.ravel(), bitorder="little").tobytes()


def factors(rng, n, count):
    """`count` numbers whose product is n, in random order."""
    out = [1] * count
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            out[rng.randrange(count)] *= prime
            n //= prime
    return out


def random_layout(rng, world, axes):
    """A layout of a tensor of `axes` axes over `world` devices: up to four device axes, each cutting at most one tensor axis."""
    dev = factors(rng, world, rng.randint(1, 4))
    nested = axes > 0 and rng.random() < 0.35
    entries = [[] for _ in range(axes)]
    for t in rng.sample(range(len(dev)), len(dev)):
        free = [e for e in entries if nested or not e]
        if free and rng.random() < 0.65:
            rng.choice(free).append(t)
    tensor_map = [e or [-1] for e in entries] if nested else [e[0] if e else -1 for e in entries]
    replicas = Layout(dev, tensor_map).groups()
    kept = len(next(iter(replicas.values())))
    step, size = rng.choice([(0, 0), (0, 0), (1, -1), (2, -1), (kept, "divisor"), (1, "divisor"), (0, 2), (3, 0)]) if axes else (0, 0)
    if size == "divisor":
        size = rng.choice([d for d in range(1, kept + 1) if kept % d == 0])
    return Layout(dev, tensor_map, step, size, nested)


def bytes_whole(dtype, shape, cuts):
    """True when every block of this grid begins and ends on a whole byte."""
    bits = safefile.BITS[dtype]
    run = 1
    for extent, parts in reversed(list(zip(shape, cuts))):
        run *= extent // parts
        if parts > 1 and run * bits % 8:
            return False
        run *= parts
    return run * bits % 8 == 0
