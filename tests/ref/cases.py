# SPDX-License-Identifier: Apache-2.0
"""Random sharded checkpoints: strategies, rank files, and what a right reader shows of them.

A tensor is made whole, cut by ref/algebra.py and scattered to the ranks. Of each block one rank is the one that must serve:
the lowest that holds it, in the lowest stage that has the whole tensor. All other holders get other bytes (poison), and some of
them no bytes at all, so that a reader that takes a replica from elsewhere is caught.
"""
import math
import random

from ref import safefile, strategy_pb
from ref.algebra import Layout
from ref.draws import Units, bytes_whole, random_layout
from ref.targets import Target

DTYPES = list(safefile.BITS)
NAMES = ["w", "model.layers.{}.attention.wq.weight", "model.layers.{}.ffn-{}.w1", "adam_m.model.layers.{}.b", "嵌入.表.{}", "q\"uo\\te{}",
         "tab\there{}", "unit\x1fseparator{}", "slash/{}", "emoji😀{}", "moment1.{}-{}", "{}", "blank in it {}", "ünï.{}"]


def random_tensor(rng, world, stages, target):
    """(dtype, shape, {stage: Layout}, the same of the target): in one stage, or shared by several, cut there in the same way or not."""
    dtype = rng.choice(DTYPES) if rng.random() < 0.7 else "F32"
    axes = rng.choice([0, 1, 1, 2, 2, 2, 2, 3, 3, 4]) if safefile.BITS[dtype] >= 8 else rng.choice([1, 2, 2, 3])
    where = rng.sample(range(stages), rng.choice([1, 1, 1, 2, 3]) if stages > 2 else rng.choice([1, 1, stages]))
    first = random_layout(rng, world, axes)
    layouts = {s: first if i == 0 or rng.random() < 0.4 else random_layout(rng, world, axes) for i, s in enumerate(where)}
    need = [math.lcm(*(la.cuts()[a] for la in layouts.values())) for a in range(axes)]
    wanted, need = target.draw(rng, axes, need)
    zero = rng.random() < 0.04
    shape = [n * rng.choice([1, 1, 2, 3, 5]) for n in need]
    if zero and axes:
        shape[rng.randrange(axes)] = 0
    if math.prod(shape) * safefile.BITS[dtype] > 8 * 20000:
        dtype, shape = "U8", need
    must = [*layouts.values(), *(wanted.values() if rng.random() < 0.8 else [])]
    if not all(bytes_whole(dtype, shape, la.cuts()) for la in must):
        shape[-1] *= 4
    return dtype, shape, layouts, wanted


def strategy_files(rng, layouts, json):
    """[(kind, bytes)] of `layouts` {(stage, name): Layout}: one a stage, several a stage, JSON (if wished and possible), or a merged one."""
    def shuffled(stage):
        keys = [k for k in layouts if stage is None or k[0] == stage]
        return {k: layouts[k] for k in rng.sample(keys, len(keys))}

    if rng.random() < 0.2:
        return [(0, strategy_pb.merged(shuffled(None), rng.random() < 0.5))]
    out, stages = [], 1 + max(s for s, _ in layouts)
    for stage in rng.sample(range(stages), stages):
        own = {n: la for (_, n), la in shuffled(stage).items()}
        if json and not any(la.nested for la in layouts.values()):
            out.append((1, strategy_pb.encode_json(stage, own)))
            continue
        out += [(0, strategy_pb.encode(stage, own, rng.random() < 0.3)) for _ in range(rng.choice([1, 1, 2]))]
    return out


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
        self.target = Target(rng)
        self.serves = {}   # name -> {block: the rank whose bytes must be shown}, in a stage that has the whole of it
        self.partial = False  # ranks that only the unified view needs are not there
        self.count = 0     # layouts compared
        lose = rng.random() < 0.05
        for i in range(max(rng.randint(4, 16), self.stages)):
            self.add_tensor(self.new_name(i), lose and i == 2)
        for stage in range(self.stages):  # stages without parameters are not written by anybody
            if not any(s == stage for s, _ in self.layouts):
                self.add_whole(f"only.in.stage.{stage}", stage)
        self.add_outside()
        self.drop_ranks()
        self.target.finish(self)
        self.drop_what_the_target_leaves()

    def new_name(self, i):
        name = self.rng.choice(NAMES).format(i, self.rng.randint(0, 12))
        return name if not any(n == name for _, n in self.layouts) else f"{name}.{i}"

    def add_tensor(self, name, lose):
        dtype, shape, layouts, wanted = random_tensor(self.rng, self.world, self.stages, self.target)
        full = self.scatter(name, dtype, shape, layouts, lose)
        self.target.add(self.rng, name, dtype, full, wanted)

    def add_whole(self, name, stage):
        self.scatter(name, "F32", [4], {stage: Layout([self.world], [-1])}, False)

    def scatter(self, name, dtype, shape, layouts, lose):
        """Makes a tensor, gives its blocks to ranks, and returns it whole."""
        rng, units = self.rng, Units(dtype)
        full = units.random(rng, shape)
        order = sorted(layouts)
        incomplete = set(order) if lose else set(order[:-1] if rng.random() < 0.15 else [])
        serving = next((s for s in order if s not in incomplete), None)
        if rng.random() < 0.03 and not lose:  # in the strategy, in no file
            for s in order:
                self.layouts[s, name] = layouts[s]
            self.absent.add(name)
            return full
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
        return full

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
                    self.serves.setdefault(name, (layout, {}))[1][block] = rank

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

    def drop_what_the_target_leaves(self):
        """Sometimes only the source ranks that hold something of the target's shown ranks are there. Rank 0 stays, for its counters."""
        if self.stages > 1 or self.missing or self.target.refused or self.rng.random() < 0.15:
            return
        keep = self.target.sources(self) | {0} | ({r for r in self.files if r % self.world == 0} if self.absent else set())
        self.partial = bool(self.needed - keep)
        self.files = {r: f for r, f in self.files.items() if r in keep}

    def strategy_files(self):
        return strategy_files(self.rng, self.layouts, self.world % 2 == 0)

    def target_files(self):
        return strategy_files(self.rng, self.target.layouts, self.target.world % 2 == 0)

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
