# SPDX-License-Identifier: Apache-2.0
"""Nodes without a shared disk: several SOURCEs, each with its own ranks and strategy files, are one checkpoint."""
import os

from mount import lib
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout


def nodes(model, tmp, *ranks, step="1_10", strategy=True, files=None):
    """A SOURCE for each set of ranks, at tmp/nodeN/checkpoint, with the strategy files of its ranks' stages beside it."""
    per, out = next(iter(model.layouts.values())).world, []
    for n, own in enumerate(ranks):
        out.append(model.save(f"{tmp}/node{n}/checkpoint", step, own, files))
        for stage in {r // per for r in own} if strategy else ():
            lib.write(f"{tmp}/node{n}/strategy/ckpt_strategy_rank_{stage * per}.ckpt",
                      strategy_pb.encode(stage, {n: la for (s, n), la in model.layouts.items() if s == stage}))
    return out


def named(source, rank, step="1_10"):
    return f"{source}/rank_{rank}/net_rank_{rank}-{step}.safetensors"


def shows(sources, model, *options):
    with lib.Mount(sources, *options) as root:
        lib.same_tensors(lib.tensors_of(root), model.whole(), str(options))
        return lib.read(f"{root}/.gatherfs/status").decode()


def test_stages_on_nodes(tmp):
    """Each node has a stage and knows only its part of the strategy; positional, in any order, and with source=."""
    model = sharded.pipeline()
    a, b = nodes(model, tmp, {0, 1}, {2, 3})
    for sources, options in (([a, b], []), ([b, a], []), ([a], [f"source={b}"]), ([b + "/"], [f"source={a}/."])):
        status = shows(sources, model, *options)
        lib.need(a in status and b in status, f"the status does not list both: {status}")
        lib.need(f"{tmp}/node0/strategy" in status and f"{tmp}/node1/strategy" in status, f"the status does not list both strategies: {status}")
    point = f"{tmp}/m"
    os.mkdir(point)
    code, out, err = lib.gatherfs("mount", point, "-o", f"source={a},source={b}")
    lib.equal(code, 0, err)
    try:
        lib.same_tensors(lib.tensors_of(point), model.whole(), "only source=")
    finally:
        lib.unmount(point)
    lib.refused_mount(b, parts=["stage 0"])


def test_ranks_of_one_stage_on_nodes(tmp):
    """dp2 tp2 over three nodes, ranks mixed, in a unified and in a rank view."""
    model = sharded.small()
    sources = nodes(model, tmp, {0, 3}, {1}, {2})
    shows(sources, model)
    with lib.Mount(sources, "to=same") as root:
        for rank, tensors in model.ranks().items():
            lib.same_tensors(safefile.read_file(named(root, rank))[0], tensors, f"rank {rank}")
    lib.refused_mount(sources[:1], parts=['"', "rank_1"])


def test_strategy_once_for_all(tmp):
    """strategy= replaces the look-up; one folder beside all of them is read once; two strategies that contradict are refused."""
    model = sharded.pipeline()
    a, b = nodes(model, tmp, {0, 1}, {2, 3}, strategy=False)
    lib.refused_mount([a, b], parts=["strategy"])
    shows([a, b], model, f"strategy={model.save_strategy(tmp + '/all')}")
    files = [f"strategy={tmp}/all/{n}" for n in sorted(os.listdir(f"{tmp}/all"))]
    shows([a, b], model, *files)
    os.rename(a, f"{tmp}/a")
    os.rename(b, f"{tmp}/b")
    model.save_strategy(f"{tmp}/strategy")
    status = shows([f"{tmp}/a", f"{tmp}/b"], model)
    lib.equal(status.count("ckpt_strategy_rank_0.ckpt"), 1, "times the shared folder is listed")
    other = sharded.pipeline()
    other.layouts[0, "model.layers.0.w"] = Layout([2], [-1, 0])
    other.save_strategy(f"{tmp}/b/strategy")
    lib.refused_mount([f"{tmp}/a", f"{tmp}/b"], parts=["strategy", f"{tmp}/strategy", f"{tmp}/b/strategy"])


def test_a_rank_on_two_nodes(tmp):
    """Equal copies are one; a copy that differs is an error that names both files and the byte."""
    model = sharded.small()
    a, b = nodes(model, tmp, {0, 1, 2}, {1, 2, 3})
    shows([a, b], model)
    shows([a, a, b], model)
    data = bytearray(lib.read(named(b, 2)))
    middle = len(data) // 2
    data[middle] ^= 1
    lib.write(named(b, 2), bytes(data))
    for sources in ([a, b], [b, a]):
        lib.refused_mount(sources, parts=[named(a, 2), named(b, 2), f"byte {middle}"])
    lib.write(named(b, 2), lib.read(named(a, 2)) + b"\0")
    lib.refused_mount([a, b], parts=[named(a, 2), named(b, 2), f"{len(data)} bytes", f"{len(data) + 1}"])
    for at in (0, len(data) - 1):
        other = bytearray(lib.read(named(a, 2)))
        other[at] ^= 0x80
        lib.write(named(b, 2), bytes(other))
        lib.refused_mount([a, b], parts=[named(b, 2), f"byte {at}"])


def test_copies_larger_than_a_chunk(tmp):
    """Files are compared piece by piece: a byte beyond the first MiB, and the last one, count too."""
    model = sharded.Model().add("w", "U8", [2, 3 << 20], Layout([2], [0, -1])).add("v", "U8", [5], Layout([2], [-1]))
    a, b = nodes(model, tmp, {0, 1}, {1})
    shows([a, b], model)
    size = os.path.getsize(named(b, 1))
    for at in ((1 << 20) - 1, 1 << 20, (2 << 20) + 77, size - 1):
        with open(named(b, 1), "r+b") as f:
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 1]))
        lib.refused_mount([a, b], parts=[f"byte {at}"])
        lib.write(named(b, 1), lib.read(named(a, 1)))
    shows([a, b], model)


def test_three_copies(tmp):
    model = sharded.small()
    a, b, c = nodes(model, tmp, {0, 1}, {0, 1, 2}, {0, 3})
    shows([a, b, c], model)
    other = bytearray(lib.read(named(c, 0)))
    other[-1] ^= 1
    lib.write(named(c, 0), bytes(other))
    lib.refused_mount([a, b, c], parts=[named(c, 0), "byte"])


def test_copies_of_other_steps(tmp):
    """Only files of one step are copies of each other; a node that lags behind holds nothing back as long as another has the rank."""
    old, new = sharded.small(1), sharded.small(2)
    a, b = nodes(old, tmp, {0, 1}, {1, 2, 3}, step="1_10")
    new.save(a, "1_20", {0, 1})
    new.save(b, "1_20", {2, 3})
    shows([a, b], new)
    shows([a, b], old, "step=1_10")
    os.unlink(named(b, 3, "1_20"))
    os.unlink(named(b, 2, "1_20"))
    lib.need("1_20" in shows([a, b], old), "the status does not say that 1_20 is not complete")


def test_a_copy_does_not_make_a_broken_step_incomplete(tmp):
    """All ranks have the newest step, one of them twice, but a tensor is in none of them: refused, not replaced by the step before."""
    old, new = sharded.small(1), sharded.small(2)
    a, b = nodes(old, tmp, {0, 1}, {1, 2, 3}, step="1_10")
    files = new.ranks()
    for rank in (1, 3):
        del files[rank]["lm_head.weight"]
    new.save(a, "1_20", {0, 1}, files)
    new.save(b, "1_20", {1, 2, 3}, files)
    lib.refused_mount([a, b], parts=["lm_head.weight"])


def test_nodes_that_are_none(tmp):
    model = sharded.small()
    a, b = nodes(model, tmp, {0, 1}, {2, 3})
    lib.write(f"{tmp}/empty/note", "")
    unified = os.path.dirname(lib.write(f"{tmp}/unified/model.safetensors", safefile.write(model.whole())))
    for other, *parts in ((f"{tmp}/empty", f"{tmp}/empty", "rank_N"), (unified, unified, "rank_N"), (f"{tmp}/nowhere", f"{tmp}/nowhere"),
                          (f"{unified}/model.safetensors", "model.safetensors")):
        lib.refused_mount([a, b, other], parts=parts)
        lib.refused_mount([other, a, b], parts=parts)
    lib.refused_mount([unified, f"{tmp}/empty"], parts=["rank_N"])


def test_one_node_twice(tmp):
    """The same folder twice is the same files twice, however it is spelled."""
    model = sharded.small()
    a, = nodes(model, tmp, {0, 1, 2, 3})
    os.symlink(a, f"{tmp}/link")
    shows([a, f"{tmp}/link", f"{a}/."], model)


if __name__ == "__main__":
    lib.main()
