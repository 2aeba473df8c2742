#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes checkpoints of many ranks and parameters with real headers and strategies and no data: make_world.py FOLDER [NAME...]

Each is a folder with checkpoint/rank_N/ and the strategy beside it, as MindSpore saves them: every rank writes a strategy file, all ranks of
a stage the same one (here they are links). The files have their full length and are holes behind their headers, so that terabytes fit on a small disk.

All ranks of a stage have all parameters of the stage, as a slice or as a replica, so their headers have the same bytes. The one called
moe-crc was saved with crc_check: each header has a checksum of its own in the metadata, and no two are the same.
"""
import json
import os
import shutil
import struct
import sys

import made

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ref import strategy_pb  # noqa: E402
from ref.algebra import Layout  # noqa: E402

VERSION = 1  # of what this program makes of a description
WIDTH = {"BF16": 2, "F32": 4, "I64": 8, "I32": 4}
COLUMNS, ROWS, WHOLE, VECTOR = [0, -1], [-1, 0], [-1], [0]  # tensor maps for a device matrix [data, tensor]

ATTENTION = [("attention.wq.weight", [8192, 8192], COLUMNS), ("attention.wk.weight", [2048, 8192], COLUMNS),
             ("attention.wv.weight", [2048, 8192], COLUMNS), ("attention.wo.weight", [8192, 8192], ROWS),
             ("attention.wq.bias", [8192], VECTOR), ("attention.wk.bias", [2048], VECTOR), ("attention.wv.bias", [2048], VECTOR),
             ("attention.wo.bias", [8192], WHOLE), ("attention.q_norm.weight", [128], WHOLE), ("attention.k_norm.weight", [128], WHOLE),
             ("attention_norm.weight", [8192], WHOLE), ("ffn_norm.weight", [8192], WHOLE)]
DENSE = ATTENTION + [("feed_forward.w1.weight", [28672, 8192], COLUMNS), ("feed_forward.w2.weight", [8192, 28672], ROWS),
                     ("feed_forward.w3.weight", [28672, 8192], COLUMNS)]
SMALL = [(name, [max(n // 64, 64) for n in shape], cut) for name, shape, cut in DENSE[:10]]
EXPERT = [("w1.weight", [2048, 8192], COLUMNS), ("w2.weight", [8192, 2048], ROWS), ("w3.weight", [2048, 8192], COLUMNS)]
MIXTURE = ATTENTION + [("feed_forward.router.weight", [128, 8192], [-1, -1])] + [
    (f"feed_forward.experts.{e}.{name}", shape, cut) for e in range(100) for name, shape, cut in EXPERT]

WORLDS = {  # name: (stages, [data, tensor] of each stage, layers, what a layer has, with moments, checksums)
    "small": (1, [2, 4], 200, SMALL, False, False),       # 8 ranks, 2,000 parameters
    "moe": (1, [8, 8], 64, MIXTURE, False, False),        # 64 ranks, 20,032
    "moe-crc": (1, [8, 8], 64, MIXTURE, False, True),     # likewise
    "thousand": (16, [8, 8], 100, DENSE, True, False),    # 1,024 ranks, 1,500 and two moments of each
    "four-thousand": (16, [32, 8], 100, DENSE, True, False),
}


def parameters(world, stage):
    """(name, dtype, full shape, tensor map) of what a stage has."""
    stages, _, layers, parts, moments, _ = world
    for layer in (i for i in range(layers) if i * stages // layers == stage):
        for name, shape, cut in parts:
            for moment in ("", "adam_m.", "adam_v.") if moments else ("",):
                yield f"{moment}model.layers.{layer}.{name}", "F32" if moment else "BF16", shape, cut


def layouts_of(world):
    """A layout for each tensor map; the optimizer cuts what is large again over all replicas."""
    matrix = world[1]
    return {str(cut): Layout(matrix, cut, *((1, -1) if len(cut) == 2 and max(cut) >= 0 else (0, 0)))
            for cut in (COLUMNS, ROWS, WHOLE, VECTOR, [-1, -1])}


def slices(world, stage, layouts):
    """(dtype, name, shape of a slice), in the order in which the safetensors library writes them."""
    out = [("I64", name, []) for name in ("epoch_num", "step_num", "global_batch_size")] + [("F32", "loss_scale", []), ("I32", "global_step", [1])]
    for name, dtype, shape, cut in parameters(world, stage):
        out.append((dtype, name, [n // c for n, c in zip(shape, layouts[str(cut)].cuts())]))
    return sorted(out, key=lambda e: (-WIDTH[e[0]], e[1]))


def header(entries, meta):
    """The header of a file of these entries, and the bytes of its data."""
    out, at = {"__metadata__": {"format": "ms", **meta}}, 0
    for dtype, name, shape in entries:
        size = WIDTH[dtype]
        for n in shape:
            size *= n
        out[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(out, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, at


def write_rank(folder, rank, head, size):
    os.makedirs(f"{folder}/checkpoint/rank_{rank}")
    with open(f"{folder}/checkpoint/rank_{rank}/net_rank_{rank}-1_1000.safetensors", "wb") as f:
        f.write(head)
        f.truncate(len(head) + size)


def write_stage(folder, world, stage):
    per_stage, layouts = world[1][0] * world[1][1], layouts_of(world)
    entries = slices(world, stage, layouts)
    head, size = header(entries, {})
    first = f"{folder}/strategy/ckpt_strategy_rank_{stage * per_stage}.ckpt"
    with open(first, "wb") as f:
        f.write(strategy_pb.encode(stage, {name: layouts[str(cut)] for name, _, _, cut in parameters(world, stage)}))
    for rank in range(stage * per_stage, (stage + 1) * per_stage):
        if world[5]:
            head, size = header(entries, {"crc_num": str(4000000000 + rank)})
        write_rank(folder, rank, head, size)
        if rank % per_stage:
            os.link(first, f"{folder}/strategy/ckpt_strategy_rank_{rank}.ckpt")


def make(folder, world):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/strategy")
    for stage in range(world[0]):
        write_stage(folder, world, stage)


def ensure(root, name):
    """The folder of world `name`, made if it is not there yet."""
    return made.ensure(f"{root}/world-{name}", [VERSION, WORLDS[name]], lambda folder: make(folder, WORLDS[name]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or WORLDS:
        ensure(sys.argv[1], wanted)
