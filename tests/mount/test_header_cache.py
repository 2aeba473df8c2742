# SPDX-License-Identifier: Apache-2.0
"""Headers that are remembered: a second mount reads none, whatever changed is read again, and no index can do harm."""
import json
import os
import shutil
import stat
import subprocess
import tempfile
import time

from mount import faulty, lib
from ref import safefile, sharded
from ref.algebra import Layout

LONG_AGO = 1_700_000_000_123_456_789  # ns


def age(path, ns=LONG_AGO):
    """What has just been written could be written again without another mtime, and is not remembered."""
    os.utime(path, ns=(ns, ns))


def saved(model, tmp, name="checkpoint"):
    """The model's ranks, all written long ago; their paths."""
    model.save_strategy(f"{tmp}/strategy")
    model.save(f"{tmp}/{name}")
    paths = [os.path.join(d, f) for d, _, files in sorted(os.walk(f"{tmp}/{name}")) for f in files]
    for path in paths:
        age(path)
    return paths


def status(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))["headers"]


def look(source, *options, model=None, want=None):
    """Mounts, compares every byte with the model, and says what became of the headers; the index is written when this returns."""
    with lib.Mount(source, *options) as root:
        if model:
            lib.same_tensors(lib.tensors_of(root), model.whole())
        said = status(root)
    if want:
        lib.equal((said["found"], said["read"]), want, "headers found and read")
    return said


def indexes(folder):
    return sorted(f for f in os.listdir(folder) if f.endswith(".index"))


def test_second_mount_reads_no_header(tmp):
    """Told by the storage itself: what is read before the first read of a file is nothing of the ranks'."""
    model = sharded.large(rows=64)
    saved(model, tmp)
    os.mkdir(f"{tmp}/cache", 0o700)
    options = f"header_cache={tmp}/cache", f"strategy={tmp}/strategy"
    with faulty.Storage(tmp, "noforget") as storage:
        storage.tell(direct=1)
        for want, headers in ((0, 4), (4, 0)):
            storage.tell(reset=1)
            with lib.Mount(f"{storage.point}/checkpoint", *options) as root:
                said = status(root)
                reads = [path for path, *_ in storage.said()["log"] if "rank_" in path]
                lib.equal(len(set(reads)), headers, f"ranks that were read while mounting: {reads}")
                lib.same_tensors(lib.tensors_of(root), model.whole())
            lib.equal((said["found"], said["read"], said["trouble"]), (want, headers, None), "headers found and read")
    name, = indexes(f"{tmp}/cache")
    lib.equal(stat.S_IMODE(os.stat(f"{tmp}/cache/{name}").st_mode), 0o600, "mode of an index")
    lib.equal(os.listdir(f"{tmp}/cache"), [name], "the folder of indexes")


def twins():
    """Two tensors of one shape, so that a header that has them the other way round is as long as the right one."""
    model = sharded.Model(5)
    return model.add("a.weight", "F32", [8, 6], Layout([4], [0, -1])).add("b.weight", "F32", [8, 6], Layout([4], [0, -1]))


def other(path):
    """The file with its tensors in the other order: as many bytes, other offsets."""
    tensors, meta = safefile.read_file(path)[:2]
    swapped = dict(reversed(list(tensors.items())))
    blob = safefile.write(swapped, meta)
    lib.need(len(blob) == os.path.getsize(path) and blob != lib.read(path), "the other file should be as long and different")
    return blob


def replace(path, blob):
    lib.write(f"{path}.new", blob)
    age(f"{path}.new")
    os.rename(f"{path}.new", path)


def in_place(path, blob):
    lib.write(path, blob)
    age(path)


def longer(path, blob):
    tensors, meta, _ = safefile.read(blob)
    in_place(path, safefile.write(tensors, {**meta, "more": "metadata"}))


def later(path, blob):
    lib.write(path, blob)
    age(path, LONG_AGO + 1)


def test_changed_files(tmp):
    """Replaced by one of the same size and mtime, written in place with the mtime put back, longer, and younger by a nanosecond."""
    model = twins()
    paths = saved(model, tmp)
    source, option = f"{tmp}/checkpoint", f"header_cache={tmp}/cache"
    look(source, option, model=model, want=(0, 4))
    for change in (replace, in_place, longer, later):
        change(paths[1], other(paths[1]))
        look(source, option, model=model, want=(3, 1))
        look(source, option, model=model, want=(4, 0))
        lib.equal(len(indexes(f"{tmp}/cache")), 1, "indexes of the same files")


def soon(work):
    """What `work` gives within a second, for what it writes is young for no longer; a machine that stands still is asked again."""
    for _ in range(20):
        began, said = time.time(), work()
        if time.time() - began < 1:
            return said
    raise AssertionError("twenty times it took longer than a second")


def test_young_files(tmp):
    """A file that was written just now is read the next time too."""
    model = sharded.large(rows=64)
    paths = saved(model, tmp)
    source, option = f"{tmp}/checkpoint", f"header_cache={tmp}/cache"
    look(source, option, model=model, want=(0, 4))
    for since in (0, 10 ** 12):
        soon(lambda: (age(paths[2], time.time_ns() + since), look(source, option, model=model, want=(3, 1))))
        look(source, option, model=model, want=(3, 1))
    age(paths[2])
    look(source, option, model=model, want=(3, 1))
    look(source, option, model=model, want=(4, 0))


def broken_indexes(path):
    """(what it is, how to make it of a good one, what is said)."""
    def put(change):
        blob = bytearray(lib.read(path))
        change(blob)
        lib.write(path, bytes(blob))

    def link():
        os.rename(path, f"{path}.elsewhere")
        os.symlink(f"{path}.elsewhere", path)

    def folder():
        os.remove(path)
        os.mkdir(path)

    yield "empty", lambda: lib.write(path, b""), "is no index"
    yield "garbage", lambda: lib.write(path, os.urandom(5000)), "is no index"
    yield "torn", lambda: os.truncate(path, os.path.getsize(path) // 2), "section"
    yield "zeros at its end", lambda: put(lambda b: b.__setitem__(slice(len(b) // 2, len(b)), bytes(len(b) - len(b) // 2))), "sum"
    yield "another version", lambda: put(lambda b: b.__setitem__(24, b[24] + 1)), "version"
    yield "everybody's to write", lambda: os.chmod(path, 0o666), "others may write"
    yield "a link", link, "symbolic links"
    yield "a pipe", lambda: (os.remove(path), os.mkfifo(path, 0o600)), "regular file"
    yield "a huge file", lambda: os.truncate(path, 1 << 40), "at most"
    if os.geteuid() == 0:
        yield "somebody else's", lambda: os.chown(path, 12345, -1), "belongs to uid 12345"
    yield "a folder", folder, "regular file"


def test_broken_indexes(tmp):
    """Each is not used, which is said and no error; the bytes are right; and the next one is good again."""
    model = sharded.large(rows=64)
    saved(model, tmp)
    source, option, cache = f"{tmp}/checkpoint", f"header_cache={tmp}/cache", f"{tmp}/cache"
    look(source, option, model=model, want=(0, 4))
    path = f"{cache}/{indexes(cache)[0]}"
    good = lib.read(path)
    for what, make, says in broken_indexes(path):
        make()
        said = look(source, option, model=model, want=(0, 4))
        lib.need(said["trouble"] and says in said["trouble"], f"{what}: {said['trouble']} does not say {says!r}")
        if what != "a folder":
            look(source, option, model=model, want=(4, 0))
            lib.equal(lib.read(path), good, f"{what}: the index after it")


def test_folder_of_others(tmp):
    """A folder that others may write to, and one that belongs to somebody else, are left alone."""
    model = sharded.large(rows=64)
    saved(model, tmp)
    source, option = f"{tmp}/checkpoint", f"header_cache={tmp}/cache"
    look(source, option, model=model)
    for change, back in [(lambda: os.chmod(f"{tmp}/cache", 0o777), lambda: os.chmod(f"{tmp}/cache", 0o700))] + (
            [(lambda: os.chown(f"{tmp}/cache", 12345, -1), lambda: os.chown(f"{tmp}/cache", 0, -1))] if os.geteuid() == 0 else []):
        change()
        said = look(source, option, model=model, want=(0, 4))
        lib.need("must belong to uid" in (said["trouble"] or ""), f"trouble: {said['trouble']}")
        back()
        look(source, option, model=model, want=(4, 0))


def test_nothing_can_be_written(tmp):
    """No room, a limit on files, no folder to be made, nobody's home: the mount is there and right."""
    model = sharded.large(rows=64)
    saved(model, tmp)
    source = f"{tmp}/checkpoint"
    for place in ("/proc/self/nowhere", "/dev/full", f"{tmp}/not/here", f"{tmp}/strategy/ckpt_strategy_rank_0.ckpt"):
        look(source, f"header_cache={place}", model=model, want=(0, 4))
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", lib.PROGRAM, "ls", source, "-o", f"header_cache={tmp}/cache"]
    for command in (limited, ["env", "-i", lib.PROGRAM, "ls", source, "-o", f"header_cache={tmp}/strategy/x/y"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30 * lib.SLOW)
        lib.equal((done.returncode, done.stderr.decode()), (0, ""), f"{command}")
    lib.equal(os.listdir(f"{tmp}/cache"), [], "what a limit leaves behind")
    if os.geteuid() != 0:
        return "no full disk without root"
    os.makedirs(f"{tmp}/full/cache", mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", f"{tmp}/full"], check=True)
    try:
        with open(f"{tmp}/full/filler", "wb", buffering=0) as f:
            f.write(b"x" * 8192)
        look(source, f"header_cache={tmp}/full", model=model, want=(0, 4))
        lib.equal(os.listdir(f"{tmp}/full"), ["filler"], "what a full disk keeps")
    finally:
        subprocess.run(["umount", f"{tmp}/full"], check=True)


def in_a_home(tmp, run):
    """As a user, whom neither the folder of the tests nor that of the program may let in."""
    home = tempfile.mkdtemp(dir="/tmp")
    try:
        shutil.copy(lib.PROGRAM, home)
        shutil.copytree(f"{tmp}/checkpoint", f"{home}/checkpoint")
        shutil.copytree(f"{tmp}/strategy", f"{home}/strategy")
        subprocess.run(["chown", "-R", "12345:12345", home], check=True)
        run("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", f"{home}/gatherfs", what=f"{home}/checkpoint", HOME=home)
        lib.equal(len(indexes(f"{home}/.cache/gatherfs")), 1, "indexes in a user's home")
    finally:
        shutil.rmtree(home)


def test_where(tmp):
    """XDG_CACHE_HOME, whoever asks; without it a user's home; off leaves nothing; a look counts like a mount."""
    saved(sharded.large(rows=64), tmp)
    source = f"{tmp}/checkpoint"
    before = set(os.listdir(lib.CACHE))

    def run(*command, what=source, **env):
        done = subprocess.run([*command, "ls", what], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"], **env},
                              timeout=30 * lib.SLOW)
        lib.equal(done.returncode, 0, f"ls, which said {done.stdout}")

    run(lib.PROGRAM, XDG_CACHE_HOME=f"{tmp}/xdg/deep", HOME=tmp)
    lib.need(not os.path.exists(f"{tmp}/xdg"), "made more than a folder above its own")
    run(lib.PROGRAM, XDG_CACHE_HOME=f"{tmp}/xdg", HOME=tmp)
    lib.equal(len(indexes(f"{tmp}/xdg/gatherfs")), 1, "indexes in XDG_CACHE_HOME")
    lib.equal([stat.S_IMODE(os.stat(f"{tmp}/{p}").st_mode) for p in ("xdg", "xdg/gatherfs")], [0o700] * 2, "modes")
    lib.equal(lib.gatherfs("ls", source, "-o", "header_cache=off")[0], 0, "ls without a cache")
    lib.equal(set(os.listdir(lib.CACHE)), before, "what off leaves")
    if os.geteuid() == 0 and shutil.which("setpriv"):
        in_a_home(tmp, run)


def test_bounds(tmp):
    """Old indexes make room for new ones; other files stay; what was left in the making goes after an hour."""
    saved(sharded.large(rows=64), tmp)
    os.mkdir(f"{tmp}/cache", 0o700)
    for i, name in enumerate(("old.index", "older.index", "new.index", "other", ".gatherfs-1-x.index", ".gatherfs-2-x.index")):
        with open(f"{tmp}/cache/{name}", "wb") as f:
            f.truncate(400 << 20)
        age(f"{tmp}/cache/{name}", time.time_ns() - [7200, 9000, 3600, 99999, 7200, 60][i] * 10 ** 9)
    look(f"{tmp}/checkpoint", f"header_cache={tmp}/cache", want=(0, 4))
    left = sorted(os.listdir(f"{tmp}/cache"))
    lib.equal(left, sorted([".gatherfs-2-x.index", "new.index", "old.index", "other", *(n for n in left if len(n) == 38)]), "what is left")
    lib.equal(len(left), 5, "files in the folder")


def test_several_steps(tmp):
    """Each step has an index of its own; a mount of all of them uses each."""
    model = sharded.large(rows=64)
    model.save(f"{tmp}/checkpoint", "1_20")
    saved(model, tmp)
    option = f"header_cache={tmp}/cache"
    look(f"{tmp}/checkpoint", option, "step=1_10", want=(0, 4))
    look(f"{tmp}/checkpoint", option, "step=1_20", want=(0, 4))
    with lib.Mount(f"{tmp}/checkpoint", option, "steps=all") as root:
        for step in ("1_10", "1_20"):
            lib.same_tensors(lib.tensors_of(f"{root}/{step}"), model.whole())
        said = [step["headers"] for step in json.loads(lib.read(f"{root}/.gatherfs/status.json"))["steps"]]
        lib.equal([(s["found"], s["read"]) for s in said], [(4, 0)] * 2, "headers found and read")
        lib.equal(lib.read(f"{root}/.gatherfs/status").count(b"headers: 4 from "), 2, "headers in the status")
    lib.equal(len(indexes(f"{tmp}/cache")), 2, "indexes")


def test_mount_of_a_mount(tmp):
    """A mount looks the same with other options, so what is on one is never remembered."""
    model = sharded.large(rows=64)
    saved(model, tmp)
    with lib.Mount(f"{tmp}/checkpoint") as root:
        for _ in range(2):
            look(root, f"header_cache={tmp}/cache", "part_size=1G", model=model, want=(0, 1))
        lib.refused("index", root, f"{tmp}/x.index", parts=["a mount of gatherfs"])
    lib.need(not os.path.exists(f"{tmp}/cache"), "something was remembered")


if __name__ == "__main__":
    lib.main()
