# SPDX-License-Identifier: Apache-2.0
"""A distributed checkpoint is shown as the one model that was scattered."""
import json
import os
import re

from mount import lib
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout


def saved(model, tmp):
    """SOURCE with a strategy beside it, where a training leaves it."""
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def natural(name):
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


def test_whole_model(tmp):
    model = sharded.small()
    with lib.Mount(saved(model, tmp)) as root:
        lib.equal(sorted(os.listdir(root)), [".gatherfs", "hyper_param.safetensors", "model-00001-of-00001.safetensors", "param_name_map.json", "tensors"], "root")
        lib.same_tensors(lib.tensors_of(root), model.whole())
        lib.same_tensors(safefile.read_file(f"{root}/hyper_param.safetensors")[0], model.hyper())
        tensors, meta, start = safefile.read_file(f"{root}/model-00001-of-00001.safetensors")
        lib.equal((start % 4096, meta["remove_redundancy"], meta["format"]), (0, "False", "ms"), "header")
        with open(f"{root}/param_name_map.json") as f:
            index = json.load(f)
        lib.equal(set(index["weight_map"].items()), {(n, "model-00001-of-00001.safetensors") for n in tensors}, "weight_map")
        lib.equal(index["metadata"], {"total_size": sum(len(t[2]) for t in tensors.values())}, "total_size")


def test_parts(tmp):
    """Parts are filled in the order of layers; a tensor that is larger than a part has one of its own."""
    model = sharded.small()
    with lib.Mount(saved(model, tmp), "part_size=400") as root:
        names = sorted(n for n in os.listdir(root) if n.startswith("model-"))
        lib.equal(names, [f"model-{i:05d}-of-{len(names):05d}.safetensors" for i in range(1, len(names) + 1)], "names")
        parts = [safefile.read_file(f"{root}/{n}")[0] for n in names]
        for part in parts:
            lib.need(len(part) == 1 or sum(len(t[2]) for t in part.values()) <= 400, f"too large: {list(part)}")
        lib.need(any(len(part) > 1 for part in parts) and any(sum(len(t[2]) for t in part.values()) > 400 for part in parts), "a weak test")
        order = [n for part in parts for n in sorted(part, key=natural)]
        lib.equal(order, sorted(model.full, key=natural), "order of layers")
        lib.same_tensors(lib.tensors_of(root), model.whole())
    with lib.Mount(saved(model, tmp + "/k"), "part_size=1K") as root:
        lib.need(1 < len(os.listdir(root)) - 3 < len(names), "part_size=1K made no fewer parts")


def test_index_hf(tmp):
    model = sharded.small()
    with lib.Mount(saved(model, tmp), "index=hf") as root:
        lib.equal(sorted(os.listdir(root)), [".gatherfs", "model.safetensors", "model.safetensors.index.json", "tensors"], "root")
        lib.same_tensors(lib.tensors_of(root), model.whole())
    with lib.Mount(f"{tmp}/checkpoint", "index=hf,part_size=700") as root:
        with open(f"{root}/model.safetensors.index.json") as f:
            index = json.load(f)
        for name, part in index["weight_map"].items():
            lib.need(name in safefile.read_file(f"{root}/{part}")[0], f"{name} is not in {part}")
        lib.equal(set(index["weight_map"]), set(model.full), "weight_map")
        lib.need(not os.path.exists(f"{root}/param_name_map.json"), "both indexes in one directory mislead loaders")
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_filter(tmp):
    model = sharded.small()
    with lib.Mount(saved(model, tmp), "filter=model.layers.1", "filter=lm_") as root:
        keep = {n: t for n, t in model.whole().items() if not n.startswith(("model.layers.1", "lm_"))}
        lib.same_tensors(lib.tensors_of(root), keep)
        lib.need(len(keep) < len(model.full) - 4, "a weak test")


def test_strategy_none(tmp):
    """Pure data parallel: every rank holds whole tensors, and rank 0's are shown."""
    one, other = sharded.Model(1), sharded.Model(2)
    for model in (one, other):
        model.add("w", "F32", [4, 4], Layout([1], [-1, -1])).add("b", "BF16", [4], Layout([1], [-1]))
    one.save(f"{tmp}/src", files={0: one.whole(), 1: other.whole()})
    with lib.Mount(f"{tmp}/src", "strategy=none") as root:
        lib.same_tensors(lib.tensors_of(root), one.whole())
    lib.refused_mount(f"{tmp}/src", parts=["strategy"])


def test_lone_rank_needs_no_strategy(tmp):
    model = sharded.Model().add("w", "F32", [4, 4], Layout([1], [-1, -1]))
    with lib.Mount(model.save(f"{tmp}/src")) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_redundancy_removed(tmp):
    """Each block on one rank of its group only, a random one; the counters everywhere."""
    model = sharded.small()
    files = {r: {} for r in range(4)}
    for (stage, name), layout in model.layouts.items():
        dtype, units = model.full[name]
        for block, ranks in layout.groups().items():
            files[model.rng.choice(ranks)][name] = model.tensor(dtype, layout.take(units, block))
    for tensors in files.values():
        tensors.update(model.hyper())
    model.save_strategy(f"{tmp}/strategy")
    model.save(f"{tmp}/checkpoint", files=files, meta={"format": "ms", "remove_redundancy": "True"})
    with lib.Mount(f"{tmp}/checkpoint") as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())
        lib.equal(safefile.read_file(f"{root}/model-00001-of-00001.safetensors")[1]["remove_redundancy"], "False", "remove_redundancy")


def test_first_replica_serves(tmp):
    """Replicas that differ: the first rank of each group is shown, whatever the others hold."""
    model, files = sharded.small(), sharded.small().ranks()
    for (_, name), layout in model.layouts.items():
        for ranks in layout.groups().values():
            for rank in ranks[1:]:
                dtype, shape, data = files[rank][name]
                files[rank][name] = (dtype, shape, bytes(255 - b for b in data))
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint", files=files)) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_only_needed_ranks(tmp):
    """dp2 tp2 without optimizer shards: ranks 2 and 3 hold nothing that 0 and 1 do not."""
    model = sharded.Model().add("w", "F32", [4, 4], Layout([2, 2], [0, -1]))
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint", only={0, 1})) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_stages_cut_a_shared_parameter_differently(tmp):
    """The lowest stage that has the whole of it serves it: here stage 0, and stage 1 once stage 0 lacks a block."""
    model = sharded.pipeline()
    source = saved(model, tmp)
    files = model.ranks()
    for rank in (2, 3):
        dtype, shape, data = files[rank]["embedding"]
        files[rank]["embedding"] = (dtype, shape, bytes(255 - b for b in data))
    model.save(source, files=files)
    with lib.Mount(source) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())
    files = model.ranks()
    del files[1]["embedding"]
    dtype, shape, data = files[0]["embedding"]
    files[0]["embedding"] = (dtype, shape, bytes(255 - b for b in data))
    model.save(source, files=files)
    with lib.Mount(source) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_strategy_look_up(tmp):
    """Beside SOURCE, else inside it, else as named: a file, a folder, several; both places are one too many."""
    model = sharded.pipeline()
    model.save(f"{tmp}/a/checkpoint")
    lib.refused_mount(f"{tmp}/a/checkpoint", parts=["strategy"])
    model.save_strategy(f"{tmp}/a/checkpoint/strategy")
    model.save_strategy(f"{tmp}/elsewhere")
    merged = lib.write(f"{tmp}/merged.ckpt", strategy_pb.merged(model.layouts))
    files = [f"strategy={tmp}/elsewhere/{n}" for n in os.listdir(f"{tmp}/elsewhere")]
    for options in ([], [f"strategy={tmp}/elsewhere"], [f"strategy={merged}"], files, [",".join(files)]):
        with lib.Mount(f"{tmp}/a/checkpoint", *options) as root:
            lib.same_tensors(lib.tensors_of(root), model.whole(), str(options))
    model.save_strategy(f"{tmp}/a/strategy")
    lib.refused_mount(f"{tmp}/a/checkpoint", parts=[f"{tmp}/a/strategy", f"{tmp}/a/checkpoint/strategy"])


def test_json_strategy(tmp):
    model = sharded.pipeline()
    source = model.save(f"{tmp}/checkpoint")
    for stage in (0, 1):
        lib.write(f"{tmp}/strategy/s{stage}.json", strategy_pb.encode_json(stage, {n: la for (s, n), la in model.layouts.items() if s == stage}))
    with lib.Mount(source) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_strategy_to_keep(tmp):
    """.gatherfs/strategy.ckpt serves as the strategy of another mount."""
    model = sharded.pipeline()
    source = saved(model, tmp)
    with lib.Mount(source) as root:
        lib.write(f"{tmp}/kept/kept.ckpt", lib.read(f"{root}/.gatherfs/strategy.ckpt"))
    with lib.Mount(source, f"strategy={tmp}/kept/kept.ckpt") as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_outside_the_strategy(tmp):
    """A slice must never pass for a whole: other shapes on other ranks, or more than 1 MiB, need outside=rank0."""
    model = sharded.small()
    files = model.ranks()
    source = saved(model, tmp)
    for rank in files:
        files[rank]["lost"] = ("F32", [rank + 1], bytes(4 * (rank + 1)))
    model.save(source, files=files)
    lib.refused_mount(source, parts=["lost", "rank_1", "strategy"])
    with lib.Mount(source, "outside=rank0") as root:
        lib.equal(safefile.read_file(f"{root}/hyper_param.safetensors")[0]["lost"], ("F32", [1], bytes(4)), "rank 0's")
    for rank in files:
        files[rank]["lost"] = ("U8", [(1 << 20) + 1], bytes((1 << 20) + 1))
    model.save(source, files=files)
    lib.refused_mount(source, parts=["lost", "1048577", "1048576"])


def test_accumulators_and_absent_parameters(tmp):
    """accu_grads.* belong to no model; what is in the strategy and in no file is listed in the status."""
    model = sharded.small()
    model.add("accu_grads.lm_head", "F32", [8], Layout([2, 2], [0])).add("moment1.gone", "F32", [8], Layout([2, 2], [0]))
    files = model.ranks()
    for tensors in files.values():
        del tensors["moment1.gone"]
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint", files=files)) as root:
        want = {n: t for n, t in model.whole().items() if not n.startswith(("accu", "moment1"))}
        lib.same_tensors(lib.tensors_of(root), want)
        lib.same_tensors(safefile.read_file(f"{root}/hyper_param.safetensors")[0], model.hyper())
        status = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need("moment1.gone" in status, f"the status does not list moment1.gone: {status}")


def test_same_bytes_every_time(tmp):
    model = sharded.small()
    source = saved(model, tmp)
    seen = []
    for _ in range(2):
        with lib.Mount(source, "part_size=700") as root:
            seen.append({n: (lib.read(f"{root}/{n}"), os.stat(f"{root}/{n}").st_mtime_ns, os.stat(f"{root}/{n}").st_ino)
                         for n in os.listdir(root) if n not in (".gatherfs", "tensors")})
    lib.equal(seen[0].keys(), seen[1].keys(), "names")
    lib.need(seen[0] == seen[1], "two mounts of one source differ")
    newest = max(os.stat(os.path.join(d, f)).st_mtime_ns for d, _, fs in os.walk(source) for f in fs)
    lib.need(all(mtime == newest for _, mtime, _ in seen[0].values()), "mtimes are not the newest source's")


if __name__ == "__main__":
    lib.main()
