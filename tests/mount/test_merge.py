# SPDX-License-Identifier: Apache-2.0
"""gatherfs merge-strategy: what MindSpore's merge_pipeline_strategys does."""
import os

from mount import lib
from ref import sharded, strategy_pb
from ref.algebra import Layout


def read_layouts(data):
    """(stage, name) -> layout of a merged file, by MindSpore's schema, decoded by hand."""
    def fields(b):
        at, out = 0, []
        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = b[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(b):
            key = varint()
            if key & 7 == 0:
                out.append((key >> 3, varint()))
            else:
                lib.equal(key & 7, 2, "wire type")
                size = varint()
                out.append((key >> 3, b[at:at + size]))
                at += size
        return out

    def signed(v):
        return v - (1 << 64) if v >> 63 else v

    out, top = {}, fields(data)
    lib.equal([v for f, v in top if f == 1], [1], "current_stage")
    for item in (fields(v) for f, v in top if f == 3):
        name, body = dict(item)[1].decode(), fields(dict(item)[2])
        stage, _, name = name.partition("-")
        dims = {n: [[signed(x) for _, x in fields(v)] for f, v in body if f == n] for n in (1, 2)}
        numbers = {f: signed(v) for f, v in body if f >= 5}
        lib.need((int(stage), name) not in out, f"{name} comes twice")
        out[int(stage), name] = (dims[1], dims[2], numbers.get(5, 0), numbers.get(6, 0), numbers.get(7, 0))
    return out


def merge(folder, to):
    code, out, err = lib.gatherfs("merge-strategy", folder, to)
    lib.equal((code, out, err), (0, "", ""), "merge-strategy")
    return lib.read(to)


ORACLE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracle", "cases")


def same_layouts(got, want, what):
    """Maps as MindSpore means them: plain, or nested, in which empty entries at the end only mark the form."""
    lib.equal(got.keys(), want.keys(), f"{what}: parameters")
    for key in want:
        a, b = got[key], want[key]
        shards = lambda layout: layout[3:] if layout[3] and layout[4] else (0, 0)
        lib.equal((a[0], [e for e in a[1] if e], len(a[1]) > 1, shards(a)), (b[0], [e for e in b[1] if e], len(b[1]) > 1, shards(b)), f"{what}: {key}")


def test_merge_strategy_of_every_case(tmp):
    """Layout by layout what MindSpore's merge_pipeline_strategys wrote; a merged file merges to itself."""
    done = 0
    for case in sorted(os.listdir(ORACLE)):
        merged = f"{ORACLE}/{case}/strategy/src_merged.ckpt"
        if not os.path.exists(merged) or case == "name_dash":
            continue
        data = merge(f"{ORACLE}/{case}/strategy/src", f"{tmp}/{case}.ckpt")
        same_layouts(read_layouts(data), read_layouts(lib.read(merged)), case)
        lib.equal(merge(merged, f"{tmp}/again.ckpt"), data, f"{case}: merged again")
        lib.equal(merge(f"{tmp}/{case}.ckpt", f"{tmp}/again.ckpt"), data, f"{case}: ours merged again")
        done += 1
    lib.need(done > 30, f"only {done} cases")


def test_merge_strategy_forms(tmp):
    """Stages, nested maps and JSON in; one protobuf file out, that a mount reads as the strategy of the source."""
    model = sharded.pipeline()
    model.add("nested", "F32", [4, 4], {1: Layout([1, 2], [[1, 0], [-1]], nested=True)})
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    data = merge(f"{tmp}/strategy", f"{tmp}/merged.ckpt")
    same_layouts(read_layouts(data), read_layouts(strategy_pb.merged(model.layouts)), "protobuf")
    with lib.Mount(source, f"strategy={tmp}/merged.ckpt") as root:
        lib.same_tensors(lib.tensors_of(root), model.whole())
    plain = sharded.pipeline()
    for stage in (0, 1):
        lib.write(f"{tmp}/json/s{stage}.json", strategy_pb.encode_json(stage, {n: la for (s, n), la in plain.layouts.items() if s == stage}))
    same_layouts(read_layouts(merge(f"{tmp}/json", f"{tmp}/from_json.ckpt")), read_layouts(strategy_pb.merged(plain.layouts)), "JSON")


def test_merge_strategy_mode(tmp):
    """The new file is for those whom the umask allows."""
    folder = sharded.pipeline().save_strategy(f"{tmp}/strategy")
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            merge(folder, f"{tmp}/{mask}.ckpt")
        finally:
            os.umask(before)
        lib.equal(os.stat(f"{tmp}/{mask}.ckpt").st_mode & 0o7777, mode, f"umask {mask:o}")


def test_merge_strategy_refused(tmp):
    """One line that names what is wrong, and nothing is left behind; an old file of the name stays as it was."""
    model = sharded.pipeline()
    folder = model.save_strategy(f"{tmp}/strategy")
    lib.write(f"{tmp}/empty/note", "")
    lib.write(f"{tmp}/broken/x.ckpt", lib.read(f"{folder}/ckpt_strategy_rank_0.ckpt")[:-3])
    lib.write(f"{tmp}/hole/s1.ckpt", lib.read(f"{folder}/ckpt_strategy_rank_1.ckpt"))
    os.mkdir(f"{tmp}/both")
    lib.write(f"{tmp}/both/a.json", "{}")
    lib.write(f"{tmp}/both/b.ckpt", "")
    os.mkdir(f"{tmp}/out")
    old = merge(folder, f"{tmp}/out/old.ckpt")
    for folder, to, *parts in ((f"{tmp}/nowhere", "old.ckpt", f"{tmp}/nowhere"), (f"{tmp}/empty", "old.ckpt", f"{tmp}/empty"), (f"{tmp}/broken", "old.ckpt", "x.ckpt"),
                               (f"{tmp}/hole", "old.ckpt", "stage 0"), (f"{tmp}/both", "old.ckpt", ".json", ".ckpt"),
                               (folder, "no/such/folder.ckpt", "no/such/folder.ckpt", "No such file"), (folder, "", f"{tmp}/out/", "irectory")):
        lib.refused("merge-strategy", folder, f"{tmp}/out/{to}", parts=parts)
        lib.equal(os.listdir(f"{tmp}/out"), ["old.ckpt"], f"{folder}: what is there")
        lib.equal(lib.read(f"{tmp}/out/old.ckpt"), old, f"{folder}: the old file")
    for args in ((), (folder,), (folder, "a", "b")):
        lib.refused("merge-strategy", *args, parts=["DIR", "FILE"], code=2)


def test_merge_strategy_replaces(tmp):
    """The file appears whole under its name: readers of the old one keep it. It may lie in DIR itself, and be merged again."""
    model = sharded.pipeline()
    folder = model.save_strategy(f"{tmp}/strategy")
    lib.write(f"{tmp}/out.ckpt", "")
    with open(f"{tmp}/out.ckpt", "rb") as old:
        data = merge(folder, f"{tmp}/out.ckpt")
        lib.equal(old.read(), b"", "what a reader of the old file sees")
    lib.equal(merge(folder, f"{folder}/merged.ckpt"), data, "inside of DIR")
    lib.equal(merge(folder, f"{folder}/merged.ckpt"), data, "again, with the merged one beside the others")
    lib.equal(sorted(os.listdir(folder)), ["ckpt_strategy_rank_0.ckpt", "ckpt_strategy_rank_1.ckpt", "merged.ckpt"], "what is there")
    code, _, err = lib.gatherfs("merge-strategy", os.path.relpath(folder, tmp), "relative.ckpt", cwd=tmp)
    lib.equal((code, err), (0, ""), "relative paths")
    lib.equal(lib.read(f"{tmp}/relative.ckpt"), data, "relative paths")


def test_merge_strategy_replaces_nothing_else(tmp):
    """No file that was not made so, be it one that is merged, a checkpoint or anything else, and nothing that is no regular file."""
    model = sharded.pipeline()
    folder = model.save_strategy(f"{tmp}/strategy")
    stages = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    weights = f"{model.save(f'{tmp}/checkpoint')}/rank_0/net_rank_0-1_10.safetensors"
    os.mkfifo(f"{tmp}/fifo")
    os.symlink("nowhere", f"{tmp}/link")
    for args, victim in (((folder, stages[0]), stages[0]), (stages[:2], stages[1]), ((folder, weights), weights)):
        before = lib.read(victim)
        lib.refused("merge-strategy", *args, parts=[victim, "no merged strategy"])
        lib.equal(lib.read(victim), before, f"{victim} afterwards")
    for name in ("fifo", "link"):
        before = os.lstat(f"{tmp}/{name}")
        lib.refused("merge-strategy", folder, f"{tmp}/{name}", parts=[name, "no regular file"])
        lib.equal(os.lstat(f"{tmp}/{name}"), before, f"{name} afterwards")


if __name__ == "__main__":
    lib.main()
