#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the checkpoints that the benchmarks read: make_checkpoint.py FOLDER [NAME...]

Each is a folder with checkpoint/rank_N/, the strategy beside it, and merged.safetensors, the same model as one plain file: what
the mount must show, and what an ordinary file does on the same disk. All are dp2 tp4; the second four ranks are links to the
files of the first four. One number of a tensor never equals the same number of another, so bytes from a wrong place show.
What is there already is kept, as long as it was made from the same description.
"""
import json
import os
import shutil
import struct
import sys

import numpy as np

import made

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ref import strategy_pb  # noqa: E402
from ref.algebra import Layout  # noqa: E402

DEVICES, CUT = [2, 4], 0  # dp2 tp4; tensor maps count device axes from the right
VERSION = 1               # of what this program makes of a description


def large(tensor_map, columns=2048):
    """700 MB in tensors of 32 MiB."""
    return [[f"model.layers.{i}.feed_forward.w1.weight", [(1 << 23) // columns, columns], tensor_map] for i in range(21)]


def small():
    """2,000 parameters as layers have them: cut by rows, by columns, and whole."""
    parts = [["attention.wq", [64, 32], [CUT, -1]], ["attention.wk", [64, 32], [CUT, -1]], ["attention.wv", [64, 32], [CUT, -1]],
             ["attention.wo", [32, 64], [-1, CUT]], ["feed_forward.w1", [64, 32], [CUT, -1]],
             ["feed_forward.w3", [64, 32], [CUT, -1]], ["feed_forward.w2", [32, 64], [-1, CUT]],
             ["attention.wq_bias", [64], [CUT]], ["attention_norm", [32], [-1]], ["ffn_norm", [32], [-1]]]
    return [[f"model.layers.{i}.{name}.weight", shape, tensor_map] for i in range(200) for name, shape, tensor_map in parts]


def mixed(layers):
    """64 MiB a layer, cut as layers are: half of it by rows, half by columns."""
    return [[f"model.layers.{i}.feed_forward.{name}.weight", shape, tensor_map] for i in range(layers)
            for name, shape, tensor_map in (("w1", [4096, 2048], [CUT, -1]), ("w2", [2048, 4096], [-1, CUT]))]


CHECKPOINTS = {  # name: [parameter, full shape, tensor map]
    "blocks": large([CUT, -1]),  # axis 0 cut: a rank's part is one block of 8 MiB
    "rows": large([-1, CUT]),    # the last axis cut: a rank's rows are 2 KiB
    "narrow": large([-1, CUT], 256),  # likewise, rows of 256 bytes
    "small": small(),
    "mixed": mixed(16),    # 1 GiB
    "mixed700": mixed(11), # 700 MB
}


def header(entries):
    """The header of a file of float32 with these (name, shape), in this order."""
    out, at = {"__metadata__": {"format": "ms"}}, 0
    for name, shape in entries:
        size = 4 * int(np.prod(shape))
        out[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(out, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def values(number, shape, noise):
    """A tensor's contents: noise that differs from tensor to tensor at every place, as bits of float32."""
    count = int(np.prod(shape))
    return (noise[:count] + np.uint32(number * 2654435761 % 2**32)).reshape(shape)


def rank_path(folder, rank):
    os.makedirs(f"{folder}/checkpoint/rank_{rank}", exist_ok=True)
    return f"{folder}/checkpoint/rank_{rank}/net_rank_{rank}-1_10.safetensors"


def write_files(folder, parameters, layouts):
    """Writes the four ranks that differ and the merged file, tensor by tensor."""
    ranks = range(DEVICES[1])
    files = [open(rank_path(folder, r), "wb") for r in ranks]
    merged = open(f"{folder}/merged.safetensors", "wb")
    noise = np.random.default_rng(1).integers(0, 2**32, max(int(np.prod(s)) for _, s, _ in parameters), np.uint32)
    for out in files:
        out.write(header([(n, [a // c for a, c in zip(s, layouts[n].cuts())]) for n, s, _ in parameters]))
    merged.write(header([(n, s) for n, s, _ in parameters]))
    for number, (name, shape, _) in enumerate(parameters):
        full = values(number, shape, noise)
        merged.write(full.data)
        for rank, out in zip(ranks, files):
            out.write(np.ascontiguousarray(layouts[name].take(full, layouts[name].block(rank))).data)
    for out in [*files, merged]:
        out.close()


def make(folder, parameters):
    known = {str(m): Layout(DEVICES, m) for _, _, m in parameters}
    layouts = {name: known[str(tensor_map)] for name, _, tensor_map in parameters}
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/strategy")
    write_files(folder, parameters, layouts)
    for rank in range(DEVICES[1], DEVICES[0] * DEVICES[1]):
        os.link(rank_path(folder, rank - DEVICES[1]), rank_path(folder, rank))
    with open(f"{folder}/strategy/ckpt_strategy_rank_0.ckpt", "wb") as f:
        f.write(strategy_pb.encode(0, layouts))


def ensure(root, name):
    """The folder of checkpoint `name`, made if it is not there yet."""
    return made.ensure(f"{root}/{name}", [VERSION, DEVICES, CHECKPOINTS[name]], lambda folder: make(folder, CHECKPOINTS[name]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or CHECKPOINTS:
        ensure(sys.argv[1], wanted)
