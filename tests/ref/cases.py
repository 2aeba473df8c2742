# SPDX-License-Identifier: Apache-2.0
"""Random sharded checkpoints: strategies, rank files, and what a right reader shows of them.

A tensor is made whole, cut by ref/algebra.py and scattered to the ranks. Of each block one rank is the one that must serve:
the lowest that holds it, in the lowest stage that has the whole tensor. All other holders get other bytes (poison), and some of
them no bytes at all, so that a reader that takes a replica from elsewhere is caught.
"""
import math
import random

import numpy as np

from ref import safefile, strategy_pb
from ref.algebra import Layout

DTYPES = list(safefile.BITS)
NAMES = ["w", "model.layers.{}.attention.wq.weight", "model.layers.{}.ffn-{}.w1", "adam_m.model.layers.{}.b", "嵌入.表.{}", "q\"uo\\te{}",
         "tab\there{}", "unit\x1fseparator{}", "slash/{}", "emoji😀{}", "moment1.{}-{}", "{}", "blank in it {}", "ünï.{}"]


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


def random_tensor(rng, world, stages):
    """(dtype, shape, {stage: Layout}): in one stage, or shared by several, cut there in the same way or not."""
    dtype = rng.choice(DTYPES) if rng.random() < 0.7 else "F32"
    axes = rng.choice([0, 1, 1, 2, 2, 2, 2, 3, 3, 4]) if safefile.BITS[dtype] >= 8 else rng.choice([1, 2, 2, 3])
    where = rng.sample(range(stages), rng.choice([1, 1, 1, 2, 3]) if stages > 2 else rng.choice([1, 1, stages]))
    first = random_layout(rng, world, axes)
    layouts = {s: first if i == 0 or rng.random() < 0.4 else random_layout(rng, world, axes) for i, s in enumerate(where)}
    need = [math.lcm(*(la.cuts()[a] for la in layouts.values())) for a in range(axes)]
    zero = rng.random() < 0.04
    shape = [n * rng.choice([1, 1, 2, 3, 5]) for n in need]
    if zero and axes:
        shape[rng.randrange(axes)] = 0
    if math.prod(shape) * safefile.BITS[dtype] > 8 * 20000:
        dtype, shape = "U8", need
    if not all(bytes_whole(dtype, shape, la.cuts()) for la in layouts.values()):
        shape[-1] *= 4
    return dtype, shape, layouts


class Case:
    """One checkpoint. `files`: {rank: {name: (dtype, shape, bytes)}}; `expect` and `outside`: name -> (dtype, shape, bytes);
    `missing`: a name that cannot be shown because a block of it is nowhere, so that the whole must be refused; or None."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.world = rng.choice([1, 2, 2, 3, 4, 4, 4, 6, 8, 8, 8, 12, 16])
        self.stages = rng.choice([1, 1, 1, 2, 2, 3])
        self.files = {r: {} for r in range(self.world * self.stages)}
        self.needed, self.expect, self.outside, self.missing, self.absent = set(), {}, {}, None, set()
        self.layouts = {}  # (stage, name) -> Layout
        self.count = 0     # layouts compared
        lose = rng.random() < 0.05
        for i in range(max(rng.randint(4, 16), self.stages)):
            self.add_tensor(self.new_name(i), lose and i == 2)
        for stage in range(self.stages):  # stages without parameters are not written by anybody
            if not any(s == stage for s, _ in self.layouts):
                self.add_whole(f"only.in.stage.{stage}", stage)
        self.add_outside()
        self.drop_ranks()

    def new_name(self, i):
        name = self.rng.choice(NAMES).format(i, self.rng.randint(0, 12))
        return name if not any(n == name for _, n in self.layouts) else f"{name}.{i}"

    def add_tensor(self, name, lose):
        dtype, shape, layouts = random_tensor(self.rng, self.world, self.stages)
        self.scatter(name, dtype, shape, layouts, lose)

    def add_whole(self, name, stage):
        self.scatter(name, "F32", [4], {stage: Layout([self.world], [-1])}, False)

    def scatter(self, name, dtype, shape, layouts, lose):
        rng, units = self.rng, Units(dtype)
        full = units.random(rng, shape)
        order = sorted(layouts)
        incomplete = set(order) if lose else set(order[:-1] if rng.random() < 0.15 else [])
        serving = next((s for s in order if s not in incomplete), None)
        if rng.random() < 0.03 and not lose:  # in the strategy, in no file
            for s in order:
                self.layouts[s, name] = layouts[s]
            self.absent.add(name)
            return
        for s in order:
            self.layouts[s, name] = layouts[s]
            self.place(name, dtype, units, full, s, layouts[s], s == serving, s in incomplete)
        self.count += len(order)
        if serving is not None:
            self.expect[name] = (dtype, shape, units.pack(full))
        elif not any(name in f for f in self.files.values()):
            self.absent.add(name)
        else:
            self.missing = name

    def place(self, name, dtype, units, full, stage, layout, serves, incomplete):
        """Puts a tensor's blocks into a stage's ranks: each into all ranks of its group, or into some."""
        groups = layout.groups()
        lost = self.rng.choice(list(groups)) if incomplete else None
        some = self.rng.random() < 0.5
        for block, ranks in groups.items():
            if block == lost:
                continue
            part = layout.take(full, block)
            shape, data = list(part.shape[:-1]), units.pack(part)
            if some:
                ranks = sorted(self.rng.sample(ranks, self.rng.randint(1, len(ranks))))
            for i, local in enumerate(ranks):
                rank = stage * self.world + local
                self.files[rank][name] = (dtype, shape, data if serves and i == 0 else self.rng.randbytes(len(data)))
                if serves and i == 0:
                    self.needed.add(rank)

    def add_outside(self):
        """Counters, which are in no strategy: in every rank, with other values; and accumulators, which belong to no model."""
        for i in range(self.rng.choice([0, 0, 1, 3])):
            dtype, shape = self.rng.choice([("I64", []), ("I32", [1]), ("F32", []), ("BOOL", [3]), ("F64", [0, 2])])
            name = ["step_num", "loss_scale", "eposch-num", "学习率"][i]
            size = math.prod(shape) * safefile.BITS[dtype] // 8
            for f in self.files.values():
                f[name] = (dtype, shape, self.rng.randbytes(size))
            self.outside[name] = self.files[0][name]
        if self.rng.random() < 0.2:
            name = "accu_grads.w"
            self.layouts[0, name] = Layout([self.world], [-1])
            for r in range(self.world):
                self.files[r][name] = ("F32", [2], self.rng.randbytes(8))

    def drop_ranks(self):
        """Only the ranks that serve something have to be there, rank 0 for the counters, and one to tell that a stage saved no such thing."""
        witnesses = {stage * self.world for stage, name in self.layouts if name in self.absent}
        for r in list(self.files):
            if r != 0 and r not in self.needed | witnesses and self.rng.random() < 0.5 and self.missing is None:
                del self.files[r]

    def strategy_files(self):
        """[(kind, bytes)]: one a stage, several a stage, JSON, or a merged one."""
        rng = self.rng
        if rng.random() < 0.2:
            return [(0, strategy_pb.merged(self.shuffled(None), rng.random() < 0.5))]
        out = []
        for stage in rng.sample(range(self.stages), self.stages):
            layouts = {n: la for (_, n), la in self.shuffled(stage).items()}
            if not any(la.nested for la in self.layouts.values()) and self.world % 2 == 0:
                out.append((1, strategy_pb.encode_json(stage, layouts)))
                continue
            out += [(0, strategy_pb.encode(stage, layouts, rng.random() < 0.3)) for _ in range(rng.choice([1, 1, 2]))]
        return out

    def shuffled(self, stage):
        keys = [k for k in self.layouts if stage is None or k[0] == stage]
        return {k: self.layouts[k] for k in self.rng.sample(keys, len(keys))}

    def rank_files(self):
        """[(rank, bytes)], tensors in any order, the JSON sometimes in another order than the data."""
        out, meta = [], {"format": "ms"}
        if not self.absent:  # where redundancy was removed, every rank of a stage is needed to tell that a parameter was never saved
            meta["remove_redundancy"] = self.rng.choice(["True", "False"])
        for rank, tensors in self.files.items():
            names = self.rng.sample(list(tensors), len(tensors))
            listed = self.rng.sample(names, len(names)) if self.rng.random() < 0.2 else names
            out.append((rank, safefile.write({n: tensors[n] for n in names}, meta, listed)))
        return out
