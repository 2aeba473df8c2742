# SPDX-License-Identifier: Apache-2.0
"""Rank views: a checkpoint of any layout, or of none, as the rank_N/ folders of another."""
import os
import struct
import subprocess

from mount import lib
from mount.rankviews import HINT, recut, saved, shows, staged, warnings, wide
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout


def test_forms_of_a_target(tmp):
    """to= takes a folder, files that are one a stage or merged, protobuf and JSON, by an absolute or a relative path."""
    model = sharded.small()
    source, target = saved(model, tmp), staged(model)
    folder = target.save_strategy(f"{tmp}/dst")
    merged = lib.write(f"{tmp}/merged.ckpt", strategy_pb.merged(target.layouts))
    for stage in range(3):
        lib.write(f"{tmp}/json/s{stage}.json", strategy_pb.encode_json(stage, {n: la for (s, n), la in target.layouts.items() if s == stage}))
    one = wide(model)
    lib.write(f"{tmp}/one.ckpt", strategy_pb.encode(0, {n: la for (_, n), la in one.layouts.items()}))
    lib.write(f"{tmp}/one.json", strategy_pb.encode_json(0, {n: la for (_, n), la in one.layouts.items()}))
    for to, want in ((folder, target), (merged, target), (f"{tmp}/json", target), (f"{tmp}/one.ckpt", one), (f"{tmp}/one.json", one),
                     (os.path.relpath(merged), target)):
        with lib.Mount(source, f"to={to}") as root:
            shows(root, want.ranks(), what=to)
            lib.equal([w for w in warnings(root) if HINT not in w], [], f"{to}: warnings")


def test_targets_that_are_none(tmp):
    source = saved(sharded.small(), tmp)
    lib.write(f"{tmp}/empty/notes.txt", "")
    lib.write(f"{tmp}/garbage.ckpt", b"\xff" * 40)
    lib.write(f"{tmp}/nothing.ckpt", b"")
    for to, *parts in ((f"{tmp}/nowhere", "nowhere", "No such file"), (f"{tmp}/empty", "empty", "no strategy"), (f"{tmp}/garbage.ckpt", "garbage.ckpt"),
                       (f"{tmp}/nothing.ckpt", "to=", "empty")):
        lib.refused_mount(source, f"to={to}", parts=parts)
    lib.refused_mount(source, "to=", parts=["to"], code=2)
    lib.refused_mount(source, "to=same,to=same", parts=["to", "twice"], code=2)


def test_same(tmp):
    """to=same shows every rank of the source's strategy: own bytes, but for headers."""
    for name, model in (("small", sharded.small()), ("pipeline", sharded.pipeline())):
        with lib.Mount(saved(model, f"{tmp}/{name}"), "to=same") as root:
            shows(root, model.ranks(), what=name)


def deduplicated(model):
    """Each block on one rank of its group only, a random one; the counters everywhere."""
    files = {r: {} for r in range(model.world())}
    for (stage, name), layout in model.layouts.items():
        dtype, units = model.full[name]
        for block, ranks in layout.groups().items():
            files[stage * layout.world + model.rng.choice(ranks)][name] = model.tensor(dtype, layout.take(units, block))
    for tensors in files.values():
        tensors.update(model.hyper())
    return files


def test_removed_redundancy_is_filled_in(tmp):
    model = sharded.small()
    source = saved(model, tmp, files=deduplicated(model), meta={"format": "ms", "remove_redundancy": "True"})
    with lib.Mount(source, "to=same") as root:
        shows(root, model.ranks())
    with lib.Mount(source, f"to={wide(model).save_strategy(tmp + '/dst')}") as root:
        shows(root, wide(model).ranks())


def test_same_fills_in_ranks_that_are_not_there(tmp):
    """dp2 tp2: ranks 2 and 3 are replicas of 0 and 1; their folders are shown though nothing of them is there."""
    model = sharded.Model().add("w", "F32", [4, 4], Layout([2, 2], [0, -1])).add_outside("step_num", "I64", [])
    with lib.Mount(saved(model, tmp, only={0, 1}), "to=same") as root:
        shows(root, model.ranks())


def test_same_without_a_strategy(tmp):
    """strategy=none: each rank holds whole tensors, all or some; each folder that is there shows all of them, and its own counters."""
    model = sharded.Model()
    for i in range(4):
        model.add(f"w{i}", "F32", [4, i + 1], Layout([1], [-1, -1]))
    whole = model.whole()
    hyper = {r: {"loss_scale": ("F32", [1], struct.pack("<f", r))} for r in range(6)}
    files = {r: {**{n: whole[n] for i, n in enumerate(whole) if i % 3 == r}, **hyper[r]} for r in range(3)}
    source = model.save(f"{tmp}/checkpoint", files=files, meta={"format": "ms", "remove_redundancy": "True"})
    with lib.Mount(source, "strategy=none,to=same") as root:
        shows(root, {r: {**whole, **hyper[r]} for r in files})
    target = recut(model, {(0, n): Layout([2], [0, -1]) for n in whole})
    with lib.Mount(source, f"strategy=none,to={target.save_strategy(tmp + '/dst')}") as root:
        shows(root, {r: {**t, **hyper[r]} for r, t in target.ranks().items()}, what="recut")
    files[5] = {"w0": whole["w0"], **hyper[5]}
    model.save(source, files={5: files[5]})
    with lib.Mount(source, "strategy=none,to=same") as root:
        shows(root, {r: {**whole, **hyper[r]} for r in files}, what="folders with a gap")
    with lib.Mount(source, "strategy=none,to=same,ranks=1+5") as root:
        shows(root, {r: {**whole, **hyper[r]} for r in (1, 5)}, what="two of them")
    lib.refused_mount(source, "strategy=none,to=same,ranks=4-5", parts=["ranks=", "rank 4"])


def test_far_ranks_cost_nothing(tmp):
    """A rank folder of a huge number makes no folders up to it."""
    model = sharded.Model().add("w", "F32", [4], Layout([1], [-1]))
    files = {0: model.whole(), 2000000000: model.whole()}
    with lib.Mount(model.save(f"{tmp}/src", files=files), "strategy=none,to=same") as root:
        shows(root, files)


def test_some_ranks(tmp):
    model = sharded.small()
    source, target = saved(model, tmp), wide(model, 8)
    folder, want = target.save_strategy(f"{tmp}/dst"), target.ranks()
    for ranks, numbers in (("0-7", range(8)), ("3", [3]), ("0+2-4+7", [0, 2, 3, 4, 7]), ("7-7", [7])):
        with lib.Mount(source, f"to={folder},ranks={ranks}") as root:
            shows(root, {r: want[r] for r in numbers}, what=ranks)
    with lib.Mount(source, "to=same,ranks=1+3") as root:
        shows(root, {r: model.ranks()[r] for r in (1, 3)}, what="same")
    for ranks in ("8", "0-8", "0+7-9"):
        lib.refused_mount(source, f"to={folder},ranks={ranks}", parts=["ranks=", "0 to 7"])
    for ranks in ("", "x", "3-1", "1+0", "0-3+3", "-1", "1+", "0,1", "1 ", "99999999999"):
        lib.refused_mount(source, f"to={folder},ranks={ranks}", parts=[], code=2)
    lib.refused_mount(source, "ranks=1", parts=["ranks", "to="], code=2)


def test_names(tmp):
    """Prefix and counters are the source's; the task suffix of a restart is dropped; without counters there is no meta.json."""
    model = sharded.Model().add("w", "F32", [4, 4], Layout([2], [0, -1])).add_outside("loss_scale", "F32", [])
    strategy = f"strategy={model.save_strategy(tmp + '/s')}"
    for number, (name, option, want) in enumerate((
            ("tiny_rank_{}-1_10", "", "tiny_rank_{}-1_10"), ("tiny_rank_{}_1-12_300", "", "tiny_rank_{}-12_300"),
            ("a-b.c_rank_{}_2-0_0", "", "a-b.c_rank_{}-0_0"), ("tiny_rank_{}", "", "tiny_rank_{}"), ("net", "", "net_rank_{}"),
            ("checkpoint_{}-3_4", "", "checkpoint_{}-3_4"), ("_rank_{}-1_2", "", "net_rank_{}-1_2"), ("1_2", "", "net_rank_{}-1_2"),
            ("my_rank_2_model_rank_{}-1_2", "", "my_rank_2_model_rank_{}-1_2"), ("tiny_rank_{}-network-7_8", "", "tiny_rank_{}-7_8"),
            ("tiny_rank_{}-1_10", "prefix=other", "other_rank_{}-1_10"), ("tiny", "prefix=x y\\,z\"模", 'x y,z"模_rank_{}'),
            ("嵌入 \"x\\_rank_{}-1_10", "", "嵌入 \"x\\_rank_{}-1_10"))):
        source = f"{tmp}/{number}"
        for rank, tensors in model.ranks().items():
            lib.write(f"{source}/rank_{rank}/{name.format(rank)}.safetensors", safefile.write(tensors, sharded.META))
        if name.startswith("checkpoint_"):  # the rank is no rank here but part of what stands before the counters
            want = None
        with lib.Mount(source, strategy, "to=same", *([option] if option else [])) as root:
            if want:
                shows(root, model.ranks(), want, name)
            else:
                lib.need(os.listdir(f"{root}/rank_0")[0].startswith("checkpoint_") or os.listdir(f"{root}/rank_0")[1].startswith("checkpoint_"), name)


def test_prefixes_that_are_none(tmp):
    source = saved(sharded.small(), tmp)
    for prefix in ("", ".x", "a/b", ".."):
        lib.refused_mount(source, f"to=same,prefix={prefix}", parts=["prefix"], code=2)
    lib.refused_mount(source, "to=same,prefix=" + "x" * 240, parts=["255"])
    lib.refused_mount(source, "prefix=x", parts=["prefix", "to="], code=2)


def test_parameters_that_the_target_lacks(tmp):
    """They are in no rank, and that is said; so is what the target has and the source lacks."""
    model = sharded.small()
    source, target = saved(model, tmp), wide(model)
    del target.layouts[0, "lm_head.weight"], target.layouts[0, "model.layers.2.wq.weight"]
    target.layouts[0, "moment1.x"] = Layout([8], [0])
    target.save_strategy(f"{tmp}/dst")
    del target.layouts[0, "moment1.x"]
    point = f"{tmp}/m"
    os.mkdir(point)
    code, out, err = lib.gatherfs("mount", source, point, "-o", f"to={tmp}/dst")
    try:
        lib.equal(code, 0, err)
        shows(point, target.ranks())
        lib.need("2 tensors are not in the target" in err and "1 entries of the target" in err, f"it said: {err}")
        lib.equal([w for w in warnings(point) if w not in err], [], "the status has other warnings")
    finally:
        lib.unmount(point)


def test_targets_that_do_not_fit(tmp):
    """Refused, with the tensor and the axis; so is a target that has nothing of the source."""
    model = sharded.small()
    source = saved(model, tmp)
    for layout, *parts in ((Layout([3], [0, -1]), "axis 0", "16", "3"), (Layout([5], [-1, 0]), "axis 1", "8", "5"),
                           (Layout([2, 16], [1, -1], 1, -1), "axis 0"), (Layout([2], [0]), "1"), (Layout([2], [0, -1, -1]), "3")):
        target = {(0, "model.tok_embeddings.weight"): layout, (0, "model.layers.0.norm.weight"): Layout([layout.world], [-1])}
        to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged(target))
        lib.refused_mount(source, f"to={to}", parts=["target", '"model.tok_embeddings.weight"', *parts])
    to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged({(0, "other"): Layout([2], [0])}))
    lib.refused_mount(source, f"to={to}", parts=["target", "no tensor in common"])


def test_cuts_inside_a_byte(tmp):
    model = sharded.Model().add("w4", "F4", [4, 6], Layout([2], [0, -1]))
    source = saved(model, tmp)
    to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged({(0, "w4"): Layout([2], [-1, 0])}))
    lib.refused_mount(source, f"to={to}", parts=['"w4"', "F4", "inside a byte"])
    target = recut(model, {(0, "w4"): Layout([3], [-1, 0])})
    with lib.Mount(source, f"to={target.save_strategy(tmp + '/dst')}") as root:
        shows(root, target.ranks())


def test_hint_for_many_ranks(tmp):
    """MindSpore Transformers takes a mount for shared, beyond 8 ranks, only when the environment says so: 8 no hint, 9 the hint."""
    model = sharded.Model().add("w", "F32", [4], Layout([1], [-1]))
    source = saved(model, tmp)
    for world, ranks, hint in ((8, "", False), (9, "", True), (9, ",ranks=0-7", False)):
        to = lib.write(f"{tmp}/{world}.ckpt", strategy_pb.merged({(0, "w"): Layout([world], [-1])}))
        point = f"{tmp}/m{world}{ranks[-1:]}"
        os.mkdir(point)
        code, out, err = lib.gatherfs("mount", source, point, "-o", f"to={to}{ranks}")
        lib.equal(code, 0, err)
        said = any(HINT in w for w in warnings(point))
        lib.unmount(point)
        lib.equal((HINT in err, said), (hint, hint), f"{world} ranks {ranks}: {err}")


def test_attributes(tmp):
    """Sizes, blocks, modes, times and numbers as of plain files; du counts them; two mounts are equal."""
    model = sharded.small()
    source = saved(model, tmp)
    seen = []
    for _ in range(2):
        with lib.Mount(source, "to=same") as root:
            seen.append({})
            for folder, folders, files in os.walk(root):
                lib.equal(os.stat(folder).st_nlink, 2 + len(folders), f"{folder}: links")
                for name in files:
                    st, data = os.stat(f"{folder}/{name}"), lib.read(f"{folder}/{name}")
                    if "/.gatherfs" in folder or "/tensors" in folder:
                        continue
                    lib.equal((st.st_size, st.st_mode & 0o777, st.st_nlink), (len(data), 0o444, 1), f"{name}: size, mode, links")
                    lib.need(st.st_blocks * 512 >= st.st_size, f"{name}: sparse")
                    seen[-1][os.path.relpath(f"{folder}/{name}", root)] = (data, st.st_mtime_ns, st.st_ino)
            total = sum(len(data) for data, _, _ in seen[-1].values())
            for args in (["-sb"], ["-s", "-B1"]):
                counted = int(subprocess.run(["du", *args, root], stdout=subprocess.PIPE, check=True).stdout.split()[0])
                lib.need(counted >= total, f"du {args} counts {counted}, the files have {total}")
            names = subprocess.run(["find", root, "-name", "*.safetensors", "-size", "+4k"], stdout=subprocess.PIPE, check=True).stdout.split()
            lib.equal(len(names), 4, "files that find sees")
    lib.need(len(seen[0]) == 8 and seen[0] == seen[1], "two mounts of one source differ")


def test_modes_are_the_sources(tmp):
    """MindSpore saves files 0400 in folders 0750: the rank view opens them to nobody else."""
    model = sharded.small()
    source = saved(model, tmp)
    for rank in range(4):
        os.chmod(f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors", 0o400)
        os.chmod(f"{source}/rank_{rank}", 0o750)
    with lib.Mount(source, "to=same") as root:
        for path, mode in (("", 0o550), ("rank_1", 0o550), ("rank_1/net_rank_1-1_10.safetensors", 0o400), ("rank_1/meta.json", 0o400)):
            lib.equal(os.stat(f"{root}/{path}").st_mode & 0o777, mode, f"mode of {path!r}")


def test_marks_go_where_tensors_go(tmp):
    """A metadata key that is a tensor's name (Int4) is in the ranks that hold the tensor, and in no other."""
    model = sharded.Model()
    model.add("q", "I8", [4, 4], {0: Layout([2], [0, -1])}).add("w", "F32", [4, 4], {0: Layout([2], [0, -1])}).add("z", "F32", [4], {1: Layout([2], [0])})
    source = saved(model, tmp, meta={"format": "ms", "q": "Int4", "note": "kept", "crc_num": "12345"})
    target = recut(model, {(0, "w"): Layout([2], [-1, 0]), (1, "q"): Layout([2], [-1, 0]), (1, "z"): Layout([2], [0])})
    with lib.Mount(source, f"to={target.save_strategy(tmp + '/dst')}") as root:
        shows(root, target.ranks())
        for rank in range(4):
            meta = safefile.read_file(f"{root}/rank_{rank}/net_rank_{rank}-1_10.safetensors")[1]
            want = {"format": "ms", "remove_redundancy": "False", "note": "kept", **({"q": "Int4"} if rank >= 2 else {})}
            lib.equal(meta, want, f"metadata of rank {rank}")


def test_chosen_step_and_filter(tmp):
    """step= and filter= work in a rank view as in a unified one, and steps are never mixed."""
    model, older = sharded.small(1), sharded.small(2)
    source = saved(model, tmp, step="1_20")
    older.save(source, "1_10")
    model.save(source, "1_30", only={0})
    with lib.Mount(source, "to=same") as root:
        shows(root, model.ranks(), "net_rank_{}-1_20")
    with lib.Mount(source, "to=same,step=1_10") as root:
        shows(root, older.ranks())
    with lib.Mount(source, "to=same,filter=model.layers,filter=loss") as root:
        shows(root, {r: {n: t for n, t in tensors.items() if not n.startswith(("model.layers", "loss"))} for r, tensors in model.ranks().items()},
              "net_rank_{}-1_20")


if __name__ == "__main__":
    lib.main()
