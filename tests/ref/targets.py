# SPDX-License-Identifier: Apache-2.0
"""The other half of a random case: a second strategy, of any world size, and the slices that it gives to each of its ranks.

Some targets must be refused: one that cuts a tensor inside a byte, or where no part can be, or that has nothing of the checkpoint.
"""
import math

import numpy as np

from ref.algebra import Layout
from ref.draws import Units, bytes_whole, random_layout

LARGEST = 3000  # elements that the least common shape of two strategies may need


class Target:
    """`layouts`: (stage, name) -> Layout; `ranks`: those to show; `refused`: words that a refusal must have one of, or None."""

    def __init__(self, rng):
        self.world = rng.choice([1, 2, 2, 3, 4, 4, 5, 6, 8, 8, 9, 12, 16])
        self.stages = rng.choice([1, 1, 1, 2, 2, 3])
        self.alien = rng.random() < 0.03
        self.layouts, self.full, self.torn, self.refused = {}, {}, set(), None

    def draw(self, rng, axes, need):
        """({stage: Layout} for a tensor of these axes, the shape that it and `need` divide); no stage at all sometimes."""
        if self.alien or rng.random() < 0.08:
            return {}, need
        wanted = {}
        for stage in rng.sample(range(self.stages), rng.choice([1, 1, 1, min(2, self.stages)])):
            layout = random_layout(rng, self.world, axes)
            both = [math.lcm(n, c) for n, c in zip(need, layout.cuts())]
            if math.prod(both) > LARGEST:
                layout, both = Layout([self.world], [-1] * axes), need
            wanted[stage], need = layout, both
        return wanted, need

    def add(self, rng, name, dtype, full, wanted):
        for stage, layout in wanted.items():
            self.layouts[stage, name] = layout
            if not bytes_whole(dtype, full.shape[:-1], layout.cuts()):
                self.torn.add(name)
        self.full[name] = (dtype, full)

    def finish(self, case):
        """What is left when all tensors are there: what the target has beyond them, the ranks to show, and what must be refused."""
        rng = case.rng
        shown = {name for _, name in self.layouts} & case.expect.keys()
        for stage in range(self.stages):
            if rng.random() < 0.1 or not any(s == stage for s, _ in self.layouts):
                self.layouts[stage, f"beyond.the.checkpoint.{stage}"] = random_layout(rng, self.world, 2)
        self.count = sum(name in shown for _, name in self.layouts)
        everyone = range(self.world * self.stages)
        few = rng.choice([1, 1, min(2, len(everyone)), rng.randint(1, len(everyone))])
        self.ranks = list(everyone) if rng.random() < 0.5 else sorted(rng.sample(everyone, few))
        self.refused = sorted(self.torn & shown) if shown else ["no tensor in common"]
        if shown and rng.random() < 0.04:
            self.refused.append(self.spoil(rng, case, rng.choice(sorted(shown))))

    def spoil(self, rng, case, name):
        """Gives a tensor a layout that does not fit it."""
        stage = next(s for s, n in self.layouts if n == name)
        shape = case.expect[name][1]
        odd = [a for a, extent in enumerate(shape) if extent % self.world]
        tensor_map = [-1] * len(shape) + [-1]
        if odd and rng.random() < 0.7:
            axis = rng.choice(odd)
            tensor_map = [0 if a == axis else -1 for a in range(len(shape))]
        self.layouts[stage, name] = Layout([self.world], tensor_map)
        return name

    def sources(self, case):
        """The source ranks that serve an element of what the shown ranks hold."""
        out = set()
        for (stage, name), layout in self.layouts.items():
            if name in case.serves and name in case.expect:
                source, blocks = case.serves[name]
                shape = case.expect[name][1]
                at, server = np.arange(math.prod(shape)).reshape(shape), np.zeros(math.prod(shape), np.int64)
                for block, rank in blocks.items():
                    server[source.take(at, block)] = rank
                for rank in self.ranks:
                    if rank // self.world == stage:
                        out.update(server[layout.take(at, layout.block(rank % self.world))].ravel().tolist())
        return out

    def slices(self, case, rank):
        """name -> (dtype, shape, bytes): what the rank must hold."""
        stage, local = divmod(rank, self.world)
        out = {}
        for (s, name), layout in self.layouts.items():
            if s == stage and name in case.expect:
                dtype, full = self.full[name]
                part = layout.take(full, layout.block(local))
                out[name] = (dtype, list(part.shape[:-1]), Units(dtype).pack(part))
        source = min(stage, case.stages - 1) * case.world + local % case.world
        for name in case.outside:
            out[name] = case.files.get(source, case.files[0])[name]
        return out
