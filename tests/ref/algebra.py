# SPDX-License-Identifier: Apache-2.0
"""Which part of a tensor a rank holds: MindSpore's layout algebra, said a second time and another way.

The C code numbers blocks by mixed radix; here replicas are found by listing the ranks that hold the same block, and slices
are taken by numpy. Nothing here is shared with layout/, so the two can disagree: that is what the tests are for.

A Layout is what a strategy says of one parameter: a device matrix (last axis fastest in rank order), a tensor map with one
entry an axis (-1, or a device axis counted from the right, or a list of them with the most significant first when nested),
and the optimizer shards (on when step and size are both not 0; size -1 means as many as there are replicas).
"""
import numpy as np


class Layout:
    def __init__(self, dev, tensor_map, opt_step=0, opt_size=0, nested=False):
        self.dev, self.tensor_map = list(dev), list(tensor_map)
        self.opt_step, self.opt_size, self.nested = opt_step, opt_size, nested
        self.world = int(np.prod(self.dev, dtype=np.int64))
        self._where = [self._locate(r) for r in range(self.world)]

    def axes_of(self, axis):
        """The device axes, as positions in the matrix, that cut this tensor axis."""
        entry = self.tensor_map[axis]
        return [len(self.dev) - 1 - t for t in (entry if isinstance(entry, list) else [entry]) if t >= 0]

    def parts(self):
        """Into how many parts each tensor axis is cut by the tensor map."""
        return [int(np.prod([self.dev[d] for d in self.axes_of(a)], dtype=np.int64)) for a in range(len(self.tensor_map))]

    def _locate(self, rank):
        """The part of each axis that a rank holds, before optimizer shards."""
        at = np.unravel_index(rank, self.dev)
        where = []
        for axis in range(len(self.tensor_map)):
            used = self.axes_of(axis)
            where.append(int(np.ravel_multi_index([at[d] for d in used], [self.dev[d] for d in used])) if used else 0)
        return tuple(where)

    def opt_shards(self):
        """Into how many pieces axis 0 of a block is cut again."""
        if self.opt_step == 0 or self.opt_size == 0:
            return 1
        return self._where.count(self._where[0]) if self.opt_size == -1 else self.opt_size

    def block(self, rank):
        """What a rank holds, as something that is equal for equal contents: the part of each axis, and the optimizer piece."""
        same = [r for r in range(self.world) if self._where[r] == self._where[rank]]
        return self._where[rank], same.index(rank) % self.opt_shards()

    def groups(self):
        """block -> the ranks that hold it, ascending. The first of them serves it."""
        out = {}
        for rank in range(self.world):
            out.setdefault(self.block(rank), []).append(rank)
        return out

    def cuts(self):
        """Into how many parts each axis is cut, optimizer shards included."""
        cuts = self.parts()
        if cuts:
            cuts[0] *= self.opt_shards()
        return cuts

    def take(self, full, block):
        """The part of `full` (an array whose first axes are the tensor's) that is this block."""
        where, piece = block
        for axis, (at, parts) in enumerate(zip(where, self.parts())):
            full = np.split(full, parts, axis=axis)[at]
        return np.split(full, self.opt_shards(), axis=0)[piece] if self.opt_shards() > 1 else full
