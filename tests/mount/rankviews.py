# SPDX-License-Identifier: Apache-2.0
"""What the tests of rank views share: strategies for a model of ref/sharded.py, and a look at all of a view."""
import json
import os

from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout

HINT = "SHARED_PATHS"


def saved(model, tmp, **kw):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint", **kw)


def recut(model, layouts):
    """The same tensors under another strategy, (stage, name) -> Layout: its ranks() are what a rank view must show."""
    out = sharded.Model()
    out.full, out.outside, out.layouts = model.full, model.outside, layouts
    return out


def axes(model, name):
    return len(model.full[name][1].shape) - 1


def wide(model, world=8):
    """One stage: matrices cut by rows over half of the devices with optimizer shards over the rest, the others whole."""
    cut = {(0, n): Layout([2, world // 2], [0, -1], world // 2, -1) if axes(model, n) == 2 else Layout([world], [-1]) for n in model.full}
    return recut(model, {k: la if model.full[k[1]][1].shape[0] % world == 0 else Layout([world], [-1] * axes(model, k[1])) for k, la in cut.items()})


def staged(model, stages=3, per=2):
    """A stage for each third of the names, all of which are cut by their last axis; the first name is in the last stage too."""
    names = list(model.full)
    cut = {(i * stages // len(names), n): Layout([per], [-1] * (axes(model, n) - 1) + [0]) for i, n in enumerate(names)}
    cut[stages - 1, names[0]] = Layout([per], [0] + [-1] * (axes(model, names[0]) - 1))
    return recut(model, cut)


def shows(root, want, name="net_rank_{}-1_10", what=""):
    """`root` has exactly these ranks ({rank: tensors}), each with one file of this name, and meta.json where names have counters."""
    folders = {n for n in os.listdir(root) if n.startswith("rank_")}
    lib.equal(folders, {f"rank_{r}" for r in want}, f"{what}: rank folders")
    for rank, tensors in want.items():
        file = name.format(rank) + ".safetensors"
        counters = name.rpartition("-")[2].split("_") if "-" in name else None
        lib.equal(sorted(os.listdir(f"{root}/rank_{rank}")), sorted([file] + (["meta.json"] if counters else [])), f"{what}: rank {rank}")
        got, meta, start = safefile.read_file(f"{root}/rank_{rank}/{file}")
        lib.same_tensors(got, tensors, f"{what}: rank {rank}")
        lib.equal((meta["format"], meta["remove_redundancy"], start % 4096), ("ms", "False", 0), f"{what}: rank {rank}: header")
        if counters:
            lib.equal(json.loads(lib.read(f"{root}/rank_{rank}/meta.json")),
                      {"last_epoch": int(counters[0]), "last_step": int(counters[1]), "last_ckpt_file": file}, f"{what}: rank {rank}: meta.json")


def warnings(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))["warnings"]
