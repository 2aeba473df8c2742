# SPDX-License-Identifier: Apache-2.0
"""Rank views of unified directories, of mounts, of counters that differ, and of sources that lack what no shown rank holds."""
import os
import struct
import subprocess

from mount import lib
from mount.rankviews import recut, saved, shows, staged, warnings, wide
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout


def unified(model, folder, hyper=()):
    lib.write(f"{folder}/model.safetensors", safefile.write(model.whole(), {"format": "ms"}))
    if hyper:
        lib.write(f"{folder}/hyper_param.safetensors", safefile.write(dict(hyper), {"format": "ms"}))
    return folder


def counter(value, dtype="I64", shape=()):
    return dtype, list(shape), value.to_bytes(8 if dtype == "I64" else 4, "little", signed=True)


def test_unified_source(tmp):
    """Splitting a directory of whole tensors, with and without an index of either kind; small files show through."""
    model = sharded.small()
    target = staged(model)
    folder = target.save_strategy(f"{tmp}/dst")
    hyper = {**model.hyper(), "epoch_num": counter(3), "step_num": counter(40)}
    source = unified(model, f"{tmp}/src", hyper)
    lib.write(f"{source}/config.json", "of the model")
    want = {r: {**t, **hyper} for r, t in target.ranks().items()}
    with lib.Mount(source, f"to={folder}") as root:
        shows(root, want, "net_rank_{}-3_40")
        lib.equal(lib.read(f"{root}/config.json"), b"of the model", "config.json")
        lib.equal(sorted(n for n in os.listdir(root) if not n.startswith("rank_")), [".gatherfs", "config.json", "tensors"], "the rest of the root")
    with lib.Mount(source, f"to={folder},prefix=llama,ranks=4-5") as root:
        shows(root, {r: want[r] for r in (4, 5)}, "llama_rank_{}-3_40")
    with lib.Mount(f"{source}/model.safetensors", f"to={folder}") as root:
        shows(root, {r: {n: t for n, t in tensors.items() if n not in hyper} for r, tensors in want.items()}, "net_rank_{}", "one file")
    lib.refused_mount(source, "to=same", parts=["whole tensors", "to=same"])
    lib.refused_mount(source, f"to={folder},strategy={folder}", parts=["strategy="])


def test_counters_of_a_unified_source(tmp):
    """The counters make names only when both are there, whole numbers and not negative."""
    model = sharded.Model().add("w", "F32", [4, 4], Layout([2], [0, -1]))
    folder = model.save_strategy(f"{tmp}/dst")
    for number, (hyper, name) in enumerate((
            ({"epoch_num": counter(0), "step_num": counter(0)}, "net_rank_{}-0_0"),
            ({"epoch_num": counter(2, "I32"), "step_num": counter((1 << 31) - 1, "I32", [1])}, f"net_rank_{{}}-2_{(1 << 31) - 1}"),
            ({"epoch_num": counter((1 << 63) - 1), "step_num": counter(7)}, f"net_rank_{{}}-{(1 << 63) - 1}_7"),
            ({"epoch_num": counter(-1), "step_num": counter(7)}, "net_rank_{}"), ({"epoch_num": counter(1), "step_num": counter(-7)}, "net_rank_{}"),
            ({"epoch_num": counter(-1, "I32"), "step_num": counter(7, "I32")}, "net_rank_{}"), ({"step_num": counter(7)}, "net_rank_{}"),
            ({"epoch_num": ("F32", [], bytes(4)), "step_num": counter(7)}, "net_rank_{}"),
            ({"epoch_num": ("I64", [2], bytes(16)), "step_num": counter(7)}, "net_rank_{}"),
            ({"epoch_num": ("I64", [0], b""), "step_num": counter(7)}, "net_rank_{}"))):
        with lib.Mount(unified(model, f"{tmp}/{number}", hyper), f"to={folder}") as root:
            shows(root, {r: {**t, **hyper} for r, t in model.ranks().items()}, name, str(hyper))


def test_counters_of_a_distributed_source(tmp):
    """File names without counters: those inside the files serve; names that have them win."""
    model = sharded.Model().add("w", "F32", [4, 4], Layout([2], [0, -1]))
    strategy = f"strategy={model.save_strategy(tmp + '/s')}"
    files = {r: {**t, "epoch_num": counter(5), "step_num": counter(6)} for r, t in model.ranks().items()}
    for name, want in (("net_rank_{}", "net_rank_{}-5_6"), ("net_rank_{}-1_2", "net_rank_{}-1_2")):
        for rank, tensors in files.items():
            lib.write(f"{tmp}/{want}/rank_{rank}/{name.format(rank)}.safetensors", safefile.write(tensors))
        with lib.Mount(f"{tmp}/{want}", strategy, "to=same") as root:
            shows(root, files, want)


def by_rank(model, ranks):
    """Every rank's counters of its own."""
    return {r: {"loss_scale": ("F32", [], struct.pack("<f", r)), "learning_rate": ("F32", [2], struct.pack("<ff", r, -r))} for r in ranks}


def with_hyper(model, hyper):
    return {r: {**t, **hyper[r]} for r, t in model.ranks().items()}


def test_counters_that_differ_between_ranks(tmp):
    """Target rank l of a stage gets those of source rank l modulo the ranks of a source stage, in that stage, or the last there is."""
    model = sharded.pipeline()
    hyper = by_rank(model, range(4))
    source = saved(model, tmp, files=with_hyper(model, hyper))
    names = list(model.full)
    one = recut(model, {(0, n): Layout([4], [-1, -1]) for n in names})
    three = recut(model, {(s, n): Layout([3], [-1, -1]) for s in range(3) for n in names})
    single = recut(model, {(0, n): Layout([1], [-1, -1]) for n in names})
    for what, target, sources in (("one", one, [0, 1, 0, 1]), ("three", three, [0, 1, 0, 2, 3, 2, 2, 3, 2]), ("single", single, [0])):
        with lib.Mount(source, f"to={target.save_strategy(f'{tmp}/{what}')}") as root:
            shows(root, with_hyper(target, [hyper[s] for s in sources]), what=what)
    with lib.Mount(source, "to=same") as root:
        shows(root, with_hyper(model, hyper), what="same")
    with lib.Mount(source) as inner, lib.Mount(inner, f"to={tmp}/three") as root:
        shows(root, with_hyper(three, [hyper[0]] * 9), "net_rank_{}", "of a unified mount")


def test_counters_of_a_rank_that_is_not_there(tmp):
    """dp2: rank 1 is absent and redundant; what is its own is taken from the first rank there is."""
    model = sharded.Model().add("w", "F32", [4, 4], Layout([2, 1], [0, -1])).add("v", "F32", [4], Layout([2, 1], [-1]))
    hyper = by_rank(model, range(2))
    source = saved(model, tmp, files=with_hyper(model, hyper), only={0})
    with lib.Mount(source, "to=same") as root:
        shows(root, with_hyper(model, [hyper[0], hyper[0]]))


def test_split_of_a_merge(tmp):
    """A rank view of a unified mount, and of its copy on disk, is that of the source, to the byte; names are without counters, though."""
    model = sharded.pipeline()
    model.add_outside("loss_scale", "F32", [])
    source, target = saved(model, tmp), staged(model)
    folder = target.save_strategy(f"{tmp}/dst")
    with lib.Mount(source, f"to={folder}") as direct, lib.Mount(source, "part_size=100") as inner, lib.Mount(inner, f"to={folder}") as root:
        shows(root, target.ranks(), "net_rank_{}")
        for rank in target.ranks():
            lib.need(lib.read(f"{root}/rank_{rank}/net_rank_{rank}.safetensors") == lib.read(f"{direct}/rank_{rank}/net_rank_{rank}-1_10.safetensors"),
                     f"rank {rank}: other bytes than the direct view's")
        subprocess.run(["cp", "-r", inner, f"{tmp}/copy"], check=True)
    with lib.Mount(f"{tmp}/copy", f"to={folder}") as root:
        shows(root, target.ranks(), "net_rank_{}")


def test_merge_of_a_split(tmp):
    """A unified mount of a rank view is the unified mount of its source, to the byte: from shards, and from a unified directory."""
    model = sharded.pipeline()
    model.add_outside("loss_scale", "F32", [])
    source, target = saved(model, tmp), staged(model)
    folder = target.save_strategy(f"{tmp}/dst")
    with lib.Mount(source) as merged:
        want = {n: lib.read(f"{merged}/{n}") for n in os.listdir(merged) if n not in (".gatherfs", "tensors")}
        with lib.Mount(merged, f"to={folder}") as again, lib.Mount(source, f"to={folder}") as inner:
            for split in (inner, again):
                with lib.Mount(split, f"strategy={folder}") as root:
                    got = {n: lib.read(f"{root}/{n}") for n in os.listdir(root) if n not in (".gatherfs", "tensors")}
                    lib.equal(got.keys(), want.keys(), "names")
                    lib.need(got == want, f"other bytes: {[n for n in got if got[n] != want[n]]}")
    lib.equal(len(want), 3, "a weak test")


def test_mount_over_and_over(tmp):
    """dst, then src again: the third mount shows what the source holds."""
    model = sharded.small()
    source, target = saved(model, tmp), wide(model)
    folder = target.save_strategy(f"{tmp}/dst")
    with lib.Mount(source, f"to={folder}") as one, lib.Mount(one, f"strategy={folder},to={tmp}/strategy") as root:
        shows(root, model.ranks())


def test_only_needed_ranks(tmp):
    """A target's ranks that lie in some source ranks alone are shown though the others are not there."""
    model = sharded.Model().add("rows", "F32", [8, 4], Layout([4], [0, -1])).add("more", "F32", [4], Layout([4], [0]))
    source = saved(model, tmp, only={0, 1})
    target = recut(model, {(0, "rows"): Layout([2], [0, -1]), (0, "more"): Layout([2], [0])})
    folder = target.save_strategy(f"{tmp}/dst")
    with lib.Mount(source, f"to={folder},ranks=0") as root:
        shows(root, {0: target.ranks()[0]})
    with lib.Mount(source, "to=same,ranks=0-1") as root:
        shows(root, {r: model.ranks()[r] for r in (0, 1)}, what="same")
    lib.refused_mount(source, f"to={folder}", parts=['"', "rank_2"])
    lib.refused_mount(source, f"to={folder},ranks=1", parts=['"', "rank_2"])
    lib.refused_mount(source, parts=['"', "rank_2"])


def test_only_needed_stages(tmp):
    """A node of one pipeline stage shows its own ranks; the warnings do not speak of the others' parameters."""
    model = sharded.pipeline().add_outside("step_num", "I64", [])
    for number, own in enumerate(({0, 1}, {2, 3})):
        source = saved(model, f"{tmp}/{number}", only=own)
        with lib.Mount(source, f"to=same,ranks={min(own)}-{max(own)}") as root:
            shows(root, {r: model.ranks()[r] for r in own}, what=f"to=same, {own}")
        with lib.Mount(source, f"to={tmp}/{number}/strategy,ranks={min(own)}-{max(own)}") as root:
            shows(root, {r: model.ranks()[r] for r in own}, what=f"to=DIR, {own}")
            lib.need(not any("entries of the target" in w for w in warnings(root)), f"{warnings(root)}")
        lib.refused_mount(source, "to=same", parts=['"model.layers.', "stage"])
        other = min({0, 2} - own)
        lib.refused_mount(source, f"to=same,ranks={other}", parts=['"'])


def test_the_step_of_the_needed_ranks(tmp):
    """The newest step that all needed ranks have: what the others lack holds nothing back, and steps are never mixed."""
    old, new = (sharded.Model(seed).add("rows", "F32", [8, 4], Layout([4], [0, -1])).add("b", "F32", [4], Layout([4], [-1])) for seed in (1, 2))
    source = saved(old, tmp)
    new.save(source, "1_20", only={0, 1})
    for ranks, model, step in (("0", new, "1_20"), ("0-1", new, "1_20"), ("1-2", old, "1_10"), ("0-3", old, "1_10")):
        with lib.Mount(source, f"to=same,ranks={ranks}") as root:
            shows(root, {int(r): model.ranks()[int(r)] for r in range(int(ranks[0]), int(ranks[-1]) + 1)}, f"net_rank_{{}}-{step}", ranks)
    with lib.Mount(source) as root:
        lib.same_tensors(lib.tensors_of(root), old.whole(), "the unified view")


def test_needed_ranks_under_new_names(tmp):
    """rename= with to=same asks for the ranks' own blocks only; with a target that knows the new names, for all that there is."""
    model = sharded.Model().add("rows", "F32", [8, 4], Layout([4], [0, -1]))
    source = saved(model, tmp, only={1})
    rules = lib.write(f"{tmp}/rules", "rows lines\n")
    with lib.Mount(source, f"to=same,ranks=1,rename={rules}") as root:
        shows(root, {1: {"lines": model.ranks()[1]["rows"]}})
    to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged({(0, "lines"): Layout([4], [0, -1])}))
    lib.refused_mount(source, f"to={to},ranks=1,rename={rules}", parts=['"rows"', "rank_0"])
    with lib.Mount(model.save(source), f"to={to},ranks=1,rename={rules}") as root:
        shows(root, {1: {"lines": model.ranks()[1]["rows"]}})


if __name__ == "__main__":
    lib.main()
