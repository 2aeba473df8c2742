# SPDX-License-Identifier: Apache-2.0
"""gatherfs index: an index that many hosts share, what it is good for, and what gatherfs check says of one that lies."""
import glob
import json
import os
import shutil
import struct
import subprocess

from mount import lib
from mount.test_header_cache import LONG_AGO, age, in_place, look, saved, soon, twins
from ref import safefile, sharded

CKPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracle", "cases", "ckpt_dtypes")


def make(source, path, *args):
    code, out, err = lib.gatherfs("index", source, path, "--json", *args)
    lib.equal((code, err), (0, ""), "gatherfs index")
    return json.loads(out)


def test_many_hosts(tmp):
    """Copies of SOURCE, with other inodes, at other places and times, use one index; and no header is read: there is none any more."""
    model = twins()
    paths = saved(model, tmp)
    index = f"{tmp}/shared.index"
    said = make(f"{tmp}/checkpoint", index)
    lib.equal((said["index"], said["files"], said["headers"], said["left_out"], said["bytes"]), (index, 4, 1, 0, os.path.getsize(index)), "said")
    lib.equal(os.stat(index).st_mode & 0o777, 0o644 & ~os.umask(os.umask(0)), "mode")
    shutil.copytree(f"{tmp}/checkpoint", f"{tmp}/other")
    shutil.copytree(f"{tmp}/strategy", f"{tmp}/away/strategy")
    os.rename(f"{tmp}/other", f"{tmp}/away/checkpoint")
    look(f"{tmp}/away/checkpoint", f"header_cache={index}", model=model, want=(4, 0))
    for path in glob.glob(f"{tmp}/away/checkpoint/rank_*/*"):
        blob = lib.read(path)
        in_place(path, b"\xff" * (8 + struct.unpack_from("<Q", blob)[0]) + blob[8 + struct.unpack_from("<Q", blob)[0]:])
    lib.refused_mount(f"{tmp}/away/checkpoint", parts=["header length"])
    look(f"{tmp}/away/checkpoint", f"header_cache={index}", model=model, want=(4, 0))
    lib.equal(lib.gatherfs("check", f"{tmp}/away/checkpoint", "-o", f"header_cache={index}")[0], 1, "check of files without headers")
    lib.equal(len(paths), 4, "files")


def test_some_files_differ(tmp):
    """What is not in the index as it is, is read; who has named the index is told."""
    model = twins()
    paths = saved(model, tmp)
    index = f"{tmp}/shared.index"
    make(f"{tmp}/checkpoint", index)
    blob = lib.read(index)
    age(paths[3], LONG_AGO + 1)
    look(f"{tmp}/checkpoint", f"header_cache={index}", model=model, want=(3, 1))
    code, _, err = lib.gatherfs("mount", f"{tmp}/checkpoint", os.makedirs(f"{tmp}/m") or f"{tmp}/m", "--dry-run", "-o", f"header_cache={index}")
    lib.need(code == 0 and "1 files are not in it" in err, f"mount said {code}, {err!r}")
    lib.equal(lib.read(index), blob, "an index that was named is only read")
    lib.write(index, b"no index")
    code, _, err = lib.gatherfs("mount", f"{tmp}/checkpoint", f"{tmp}/m", "--dry-run", "-o", f"header_cache={index}")
    lib.need(code == 0 and "is no index" in err, f"mount said {code}, {err!r}")


def test_headers_that_differ_in_metadata_alone(tmp):
    """A note in each file, of any length, moves the data and makes no two headers equal. The tensors are kept once all the same."""
    model = sharded.Model()
    for i in range(100):
        model.add(f"t{i}", "F32", [8, 3], sharded.Layout([4], [0, -1]))
    paths = saved(model, tmp)
    alike = make(f"{tmp}/checkpoint", f"{tmp}/alike.index")
    for i, path in enumerate(paths):
        tensors, meta, _ = safefile.read_file(path)
        in_place(path, safefile.write(tensors, {**meta, "note": "7" * 10 ** i}))
    index = f"{tmp}/shared.index"
    said = make(f"{tmp}/checkpoint", index)
    lib.equal((said["headers"], alike["headers"]), (4, 1), "distinct headers")
    lib.need(said["bytes"] < alike["bytes"] + 3000, f"{said['bytes']} bytes; of equal headers {alike['bytes']}")
    for options in ([f"header_cache={index}"], [f"header_cache={tmp}/cache"], [f"header_cache={tmp}/cache"]):
        look(f"{tmp}/checkpoint", *options, model=model)
    code, out, err = lib.gatherfs("check", f"{tmp}/checkpoint", "-o", f"header_cache={index}")
    lib.need(code == 0, f"check of an index that is right: {code} {out}{err}")
    age(paths[1], LONG_AGO + 1)
    look(f"{tmp}/checkpoint", f"header_cache={tmp}/cache", model=model, want=(3, 1))
    look(f"{tmp}/checkpoint", f"header_cache={tmp}/cache", model=model, want=(4, 0))


def test_young_files_are_left_out(tmp):
    model = twins()
    paths = saved(model, tmp)
    said = soon(lambda: (os.utime(paths[1]), make(f"{tmp}/checkpoint", f"{tmp}/x.index"))[1])
    lib.equal((said["files"], said["left_out"]), (3, 1), "files, and those left out")
    code, out, _ = soon(lambda: (os.utime(paths[1]), lib.gatherfs("index", f"{tmp}/checkpoint", f"{tmp}/x.index"))[1])
    lib.need(code == 0 and "3 files, 1 distinct headers" in out and "too new" in out, out)


def test_refusals(tmp):
    """A SOURCE that could not be mounted, a place that cannot be written to, wrong usage; an older index stays as it is."""
    model = twins()
    paths = saved(model, tmp)
    lib.refused("index", f"{tmp}/checkpoint", f"{tmp}/not/here", parts=["not/here: cannot write: No such file"])
    lib.refused("index", f"{tmp}/checkpoint", f"{tmp}/strategy", parts=["strategy: cannot write: "])
    lib.refused("index", f"{tmp}/nowhere", f"{tmp}/x.index", parts=["nowhere"])
    lib.refused("index", f"{tmp}/checkpoint", code=2)
    make(f"{tmp}/checkpoint", f"{tmp}/x.index")
    blob = lib.read(f"{tmp}/x.index")
    os.truncate(paths[0], 100)
    lib.refused("index", f"{tmp}/checkpoint", f"{tmp}/x.index", parts=["rank_0"])
    lib.equal(lib.read(f"{tmp}/x.index"), blob, "the index")
    lib.equal(sorted(os.listdir(tmp)), ["checkpoint", "strategy", "x.index"], "what is left behind")


def test_nothing_else_is_replaced(tmp):
    """A file that is no index, least of all one of SOURCE, stays: a shell's * may have named it. So does what is no regular file."""
    paths = saved(twins(), tmp)
    os.mkfifo(f"{tmp}/fifo")
    os.symlink("nowhere", f"{tmp}/link")
    before = lib.read(paths[0])
    lib.refused("index", f"{tmp}/checkpoint", paths[0], parts=[paths[0], "no index"])
    lib.equal(lib.read(paths[0]), before, "a source afterwards")
    for name in ("fifo", "link"):
        looks = os.lstat(f"{tmp}/{name}")
        lib.refused("index", f"{tmp}/checkpoint", f"{tmp}/{name}", parts=[name, "no regular file"])
        lib.equal(os.lstat(f"{tmp}/{name}"), looks, f"{name} afterwards")
    lib.write(f"{tmp}/empty", "")
    for _ in range(2):
        make(f"{tmp}/checkpoint", f"{tmp}/empty")


def sealed(path, blob):
    """Writes an index with the right sum."""
    lib.write(f"{path}.tail", bytes(blob[24:]))
    out = subprocess.run(["xxhsum", "-H2", f"{path}.tail"], stdout=subprocess.PIPE, check=True).stdout.split()[0]
    os.remove(f"{path}.tail")
    struct.pack_into("<2Q", blob, 8, int(out[16:], 16), int(out[:16], 16))
    lib.write(path, bytes(blob))


def lie(path):
    """Swaps the offsets of the first two tensors."""
    blob = bytearray(lib.read(path))
    at = 112 + 8 * struct.unpack_from("<Q", blob, 32)[0]
    one, two = (struct.unpack_from("<5Q", blob, at + 40 * i) for i in range(2))
    lib.equal((one[2:4], two[2:4]), ((0, 48), (48, 96)), "offsets of the twins")
    struct.pack_into("<Q", blob, at, two[0])
    struct.pack_into("<Q", blob, at + 40, one[0])
    sealed(path, blob)


def test_a_header_of_another_kind(tmp):
    """What an index has as the header of a .ckpt file, whose rules are others, is none of a .safetensors file."""
    model = twins()
    saved(model, tmp)
    index = f"{tmp}/shared.index"
    make(f"{tmp}/checkpoint", index)
    blob = bytearray(lib.read(index))
    counts = struct.unpack_from("<10Q", blob, 32)
    entries = 112 + 8 * counts[0]
    header = entries + 40 * counts[1] + 24 * counts[2] + 16 * counts[3]
    start, = struct.unpack_from("<Q", blob, header + 8)
    struct.pack_into("<QI", blob, header + 8, 0, 1)
    for i in range(counts[1]):
        begin, end = struct.unpack_from("<2Q", blob, entries + 40 * i + 16)
        struct.pack_into("<2Q", blob, entries + 40 * i + 16, begin + start, end + start)
    sealed(index, blob)
    said = look(f"{tmp}/checkpoint", f"header_cache={index}", model=model, want=(0, 4))
    lib.equal(said["trouble"], None, "trouble with the index itself")


def test_check_finds_a_lie(tmp):
    """An index that swaps two tensors of one shape is like any other to a mount, but not to check: one that is shared, and one's own."""
    model = twins()
    paths = saved(model, tmp)
    source, cache = f"{tmp}/checkpoint", f"{tmp}/cache"
    make(source, f"{tmp}/shared.index")
    look(source, f"header_cache={cache}", want=(0, 4))
    for option, index in ((f"header_cache={tmp}/shared.index", f"{tmp}/shared.index"), (f"header_cache={cache}", *glob.glob(f"{cache}/*")))[:2]:
        code, out, _ = lib.gatherfs("check", source, "--json", "-o", option)
        lib.equal((code, [f["kind"] for f in json.loads(out)["findings"]]), (0, ["load"]), f"check with {index}")
        lie(index)
        with lib.Mount(source, option) as root:
            swapped = {**model.whole(), **{a: model.whole()[b] for a, b in (("a.weight", "b.weight"), ("b.weight", "a.weight"))}}
            lib.same_tensors(lib.tensors_of(root), swapped)
        code, out, _ = lib.gatherfs("check", source, "--json", "-o", option)
        found = [f for f in json.loads(out)["findings"] if f["kind"] != "load"]
        lib.equal((code, [f["kind"] for f in found]), (1, ["index"] * 4), f"check with a wrong {index}")
        lib.need(paths[0] in found[0]["message"] and index in found[0]["message"] and "a.weight" in found[0]["message"], found[0]["message"])
        lib.equal(lib.gatherfs("check", source, "-o", "header_cache=off")[0], 0, "check without it")


def test_ckpt_files(tmp):
    """.ckpt files are indexed once as well: equal parameters of different files are one header."""
    shutil.copytree(f"{CKPT}/ckpt", f"{tmp}/checkpoint")
    paths = glob.glob(f"{tmp}/checkpoint/**/*.ckpt", recursive=True)
    for path in paths:
        age(path)
    options = f"strategy={CKPT}/strategy/src", f"header_cache={tmp}/cache"
    with lib.Mount(f"{tmp}/checkpoint", options[0], "header_cache=off") as root:
        want = lib.tensors_of(root)
    for found in (0, len(paths)):
        with lib.Mount(f"{tmp}/checkpoint", *options) as root:
            lib.same_tensors(lib.tensors_of(root), want)
            said = json.loads(lib.read(f"{root}/.gatherfs/status.json"))["headers"]
        lib.equal((said["found"], said["read"]), (found, len(paths) - found), "headers found and read")
    said = make(f"{tmp}/checkpoint", f"{tmp}/x.index", "-o", options[0])
    lib.need(said["files"] == len(paths) > said["headers"], f"{said}: a header for each file")
    lib.equal(lib.gatherfs("check", f"{tmp}/checkpoint", "-o", ",".join((options[0], f"header_cache={tmp}/x.index")))[0], 0, "check")


def test_unified_source(tmp):
    """Whole tensors, shown file by file or laid out anew; an index of one file that is the SOURCE itself."""
    model = twins()
    saved(model, tmp)
    os.mkdir(f"{tmp}/unified")
    with lib.Mount(f"{tmp}/checkpoint") as root:
        for name in os.listdir(root):
            if name.endswith(".safetensors"):
                lib.write(f"{tmp}/unified/{name}", lib.read(f"{root}/{name}"))
                age(f"{tmp}/unified/{name}")
    files = len(os.listdir(f"{tmp}/unified"))
    make(f"{tmp}/unified", f"{tmp}/x.index")
    for options in ((), ("part_size=100",)):
        look(f"{tmp}/unified", f"header_cache={tmp}/x.index", *options, model=model, want=(files, 0))
    alone = glob.glob(f"{tmp}/unified/model-*")[0]
    lib.equal(make(alone, f"{tmp}/alone.index")["files"], 1, "files")
    look(alone, f"header_cache={tmp}/alone.index", model=model, want=(1, 0))
    age(alone, LONG_AGO + 1)
    look(alone, f"header_cache={tmp}/alone.index", model=model, want=(0, 1))


if __name__ == "__main__":
    lib.main()
