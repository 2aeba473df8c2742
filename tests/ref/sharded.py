# SPDX-License-Identifier: Apache-2.0
"""Small distributed checkpoints on disk, as MindSpore lays them out, cut by ref/algebra.py."""
import os
import random

from ref import safefile, strategy_pb
from ref.algebra import Layout
from ref.draws import Units

META = {"format": "ms", "remove_redundancy": "False"}


class Model:
    """Tensors and how each is cut: `full` name -> (dtype, units), `layouts` (stage, name) -> Layout, counters outside."""

    def __init__(self, seed=1):
        self.rng = random.Random(seed)
        self.full, self.layouts, self.outside = {}, {}, {}

    def add(self, name, dtype, shape, *stages):
        """`stages`: a Layout for each stage that has the tensor: {stage: Layout}, or just the layout of stage 0."""
        self.full[name] = (dtype, Units(dtype).random(self.rng, shape))
        for layouts in stages:
            for stage, layout in (layouts.items() if isinstance(layouts, dict) else [(0, layouts)]):
                self.layouts[stage, name] = layout
        return self

    def add_outside(self, name, dtype, shape):
        self.outside[name] = (dtype, Units(dtype).random(self.rng, shape))
        return self

    def tensor(self, dtype, units):
        return dtype, list(units.shape[:-1]), Units(dtype).pack(units)

    def whole(self):
        """name -> (dtype, shape, bytes) of the parameters: what a unified view must hold."""
        return {name: self.tensor(*t) for name, t in self.full.items()}

    def hyper(self):
        return {name: self.tensor(*t) for name, t in self.outside.items()}

    def world(self):
        return next(iter(self.layouts.values())).world * (1 + max(s for s, _ in self.layouts))

    def ranks(self):
        """rank -> {name: tensor}; replicas hold equal bytes."""
        out = {r: {} for r in range(self.world())}
        for (stage, name), layout in self.layouts.items():
            dtype, units = self.full[name]
            for block, ranks in layout.groups().items():
                for local in ranks:
                    out[stage * layout.world + local][name] = self.tensor(dtype, layout.take(units, block))
        for tensors in out.values():
            tensors.update(self.hyper())
        return out

    def save(self, folder, step="1_10", only=None, files=None, meta=META):
        """Writes folder/rank_N/net_rank_N-STEP.safetensors (of the ranks `only`); `files`: instead of self.ranks()."""
        for rank, tensors in (files or self.ranks()).items():
            if only is None or rank in only:
                os.makedirs(f"{folder}/rank_{rank}", exist_ok=True)
                with open(f"{folder}/rank_{rank}/net_rank_{rank}-{step}.safetensors", "wb") as f:
                    f.write(safefile.write(tensors, meta))
        return folder

    def save_strategy(self, folder):
        """One file a stage in `folder`; its path."""
        os.makedirs(folder, exist_ok=True)
        for stage in {s for s, _ in self.layouts}:
            with open(f"{folder}/ckpt_strategy_rank_{stage}.ckpt", "wb") as f:
                f.write(strategy_pb.encode(stage, {n: la for (s, n), la in self.layouts.items() if s == stage}))
        return folder


def small(seed=1):
    """dp2 tp2: rows, columns, both, nothing; optimizer shards; bf16; counters."""
    model = Model(seed)
    model.add("model.tok_embeddings.weight", "F32", [16, 8], Layout([2, 2], [0, -1]))
    for layer in (0, 1, 2, 10):
        model.add(f"model.layers.{layer}.wq.weight", "BF16", [8, 8], Layout([2, 2], [0, -1], 2, -1))
        model.add(f"model.layers.{layer}.wo.weight", "F32", [8, 8], Layout([2, 2], [-1, 0]))
        model.add(f"model.layers.{layer}.norm.weight", "F32", [8], Layout([2, 2], [-1]))
    model.add("lm_head.weight", "F16", [8, 12], Layout([2, 2], [1, 0]))
    return model.add_outside("step_num", "I64", []).add_outside("loss_scale", "F32", [1])


def large(seed=2, rows=4096, tp=4):
    """One tensor cut on its last axis into rows of 256 bytes, over `tp` ranks, and one cut by rows."""
    model = Model(seed)
    model.add("columns", "F32", [rows, 64 * tp], Layout([tp], [-1, 0]))
    return model.add("rows", "F32", [rows, 64], Layout([tp], [0, -1]))


def pipeline(seed=3):
    """Two stages of two ranks: a parameter of each, and a shared one that they cut differently."""
    model = Model(seed)
    model.add("model.layers.0.w", "F32", [4, 6], {0: Layout([2], [0, -1])})
    model.add("model.layers.1.w", "F32", [4, 6], {1: Layout([2], [-1, 0])})
    return model.add("embedding", "F16", [8, 4], {0: Layout([2], [0, -1]), 1: Layout([2], [-1, 0])})
