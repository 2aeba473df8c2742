# SPDX-License-Identifier: Apache-2.0
"""MindSpore and MindSpore Transformers on rank views: they load the ranks, reshard them, merge them, and resume from them."""
import os

from clients.test_clients import script
from mount import lib
from ref import sharded, strategy_pb
from ref.algebra import Layout


def two_ranks(tmp):
    """The strategy of the test network over two ranks, one slice each, as MindSpore wrote it."""
    script(tmp, "make_ranks", f"{tmp}/mp2", "1", "2", "1")
    return f"{tmp}/mp2/strategy"


def load_and_merge(tmp, *shape):
    """Ranks of another strategy are loaded as they are by two workers, and MindSpore merges the ranks of the source's own one."""
    script(tmp, "make_ranks", f"{tmp}/made", *shape)
    source = f"{tmp}/made/checkpoint"
    with lib.Mount(source, f"to={two_ranks(tmp)}") as root:
        text = script(tmp, "mf_dist_load", root, "same", workers=2)
        lib.equal(text.count("checked 15 parameters, 0 wrong"), 2, "workers that checked")
    with lib.Mount(source, "to=same") as root:
        lib.need("bad: []" in script(tmp, "mf_unify", root, f"{tmp}/made/strategy", f"{tmp}/unified", "1_2"), "MindSpore's merge")


def test_dp2_mp2(tmp):
    load_and_merge(tmp, "2", "2", "1")


def test_dp2_mp2_with_optimizer_shards(tmp):
    load_and_merge(tmp, "2", "2", "1", "opt")


def test_dp2_mp2_without_redundancy(tmp):
    load_and_merge(tmp, "2", "2", "1", "rr")


def test_mp2_pp2(tmp):
    load_and_merge(tmp, "1", "2", "2")


def test_workers_reshard_a_rank_view(tmp):
    """auto_trans_ckpt on ranks that are a view already: optimizer shards over dp2 mp2, shown as mp2 pp2, loaded whole."""
    script(tmp, "make_ranks", f"{tmp}/made", "2", "2", "1", "opt")
    script(tmp, "make_ranks", f"{tmp}/other", "1", "2", "2")
    with lib.Mount(f"{tmp}/made/checkpoint", f"to={tmp}/other/strategy") as root:
        text = script(tmp, "mf_dist_load", root, "trans", f"{tmp}/other/strategy", workers=2)
        lib.equal(text.count("checked 15 parameters, 0 wrong"), 2, "workers that checked")


def test_ranks_of_a_unified_directory(tmp):
    """What load_distributed_checkpoint would write to disk: a unified directory, loaded as ranks by two workers."""
    strategy = two_ranks(tmp)
    with lib.Mount(f"{tmp}/mp2/unified", f"to={strategy},prefix=tiny") as root:
        lib.equal(sorted(os.listdir(f"{root}/rank_1")), ["meta.json", "tiny_rank_1-1_2.safetensors"], "counters of hyper_param")
        text = script(tmp, "mf_dist_load", root, "same", workers=2)
        lib.equal(text.count("checked 15 parameters, 0 wrong"), 2, "workers that checked")


def resumed(tmp, root, world, shared_paths=None):
    before = os.environ.pop("SHARED_PATHS", None)
    if shared_paths:
        os.environ["SHARED_PATHS"] = shared_paths
    try:
        text = script(tmp, "mf_resume_ranks", root, str(world))
    finally:
        os.environ.pop("SHARED_PATHS", None)
        if before is not None:
            os.environ["SHARED_PATHS"] = before
    return dict(line.split(" ", 1) for line in text.splitlines() if line.startswith(("shared ", "resume ")))


def training(tmp):
    """Three steps of four ranks, the last of which only rank 0 has finished; and a strategy of twelve ranks."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    model.save(f"{tmp}/checkpoint", "1_9")
    model.save(f"{tmp}/checkpoint", "1_10")
    model.save(f"{tmp}/checkpoint", "1_11", only={0})
    layouts = {(0, n): Layout([12], [-1] * (len(units.shape) - 1)) for n, (_, units) in model.full.items()}
    return f"{tmp}/checkpoint", lib.write(f"{tmp}/twelve.ckpt", strategy_pb.merged(layouts))


def test_resume_picks_the_step(tmp):
    """The newest step that all ranks have, by the counters and meta.json of the view."""
    source, _ = training(tmp)
    with lib.Mount(source, "to=same") as root:
        lib.equal(resumed(tmp, root, 4), {"shared": "True", "resume": "net_rank_0-1_10.safetensors"}, "four ranks")
    with lib.Mount(source, "to=same,step=1_9") as root:
        lib.equal(resumed(tmp, root, 4), {"shared": "True", "resume": "net_rank_0-1_9.safetensors"}, "the step that is asked for")


def test_shared_paths(tmp):
    """The hint for more than 8 ranks is true: without SHARED_PATHS a mount is not taken for shared, and resuming does not look at it."""
    source, twelve = training(tmp)
    with lib.Mount(source, f"to={twelve}") as root:
        hint = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need("SHARED_PATHS" in hint, f"no hint: {hint}")
        lib.equal(resumed(tmp, root, 12), {"shared": "False", "resume": "True"}, "without SHARED_PATHS")
        want = {"shared": "True", "resume": "net_rank_0-1_10.safetensors"}
        lib.equal(resumed(tmp, root, 12, root), want, "with SHARED_PATHS")
        lib.equal(resumed(tmp, root, 8), want, "8 ranks are one host's")


if __name__ == "__main__":
    lib.main()
