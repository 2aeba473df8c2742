# SPDX-License-Identifier: Apache-2.0
"""Sources on slow storage: what is read of them ahead of a reader, in which order and how much at a time; and what faults do."""
import json
import os
import random
import statistics
import time

from mount import faulty, lib
from ref import safefile, sharded

MIB = 1 << 20
NAME = "net_rank_{0}-1_10.safetensors"


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def wide(ranks=8, mib=16):
    """A tensor cut on its last axis, and one cut by rows, over eight ranks."""
    model = sharded.Model()
    model.add("columns", "F32", [mib * MIB // 2 // 4 // 2048, 2048], sharded.Layout([ranks], [-1, 0]))
    return model.add("rows", "F32", [mib * MIB // 2 // 4 // 2048, 2048], sharded.Layout([ranks], [0, -1]))


def weights(root):
    path, = (f"{root}/{name}" for name in os.listdir(root) if name.startswith("model-"))
    return path


def in_order(path, pause=0):
    """The whole file, by reads of a mebibyte."""
    with open(path, "rb", buffering=0) as f:
        return b"".join(iter(lambda: time.sleep(pause) or f.read(MIB), b""))


def status(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))


def looked_at(root):
    s = status(root)
    return s["ahead_asked"] + s["ahead_cached"]


def forget(folder):
    """Drops a folder's files out of the page cache, where they are on a disk."""
    for path, _, names in os.walk(folder):
        for name in names:
            fd = os.open(f"{path}/{name}", os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def sums(storage):
    """Bytes that were read of each file, and how often the same ones."""
    read, twice = {}, 0
    for path, offset, length, _ in storage.said()["log"]:
        pages = read.setdefault(path, set())
        want = set(range(offset // 4096, (offset + length + 4095) // 4096))
        twice += len(pages & want)
        pages |= want
    return {path: len(pages) * 4096 for path, pages in read.items()}, twice * 4096


def from_the_end(path, size=MIB // 4):
    """The whole file from its end to its beginning, as a copying program goes through a mapping of it."""
    with open(path, "rb", buffering=0) as f:
        parts = [os.pread(f.fileno(), size, at) for at in range((os.fstat(f.fileno()).st_size - 1) // size * size, -1, -size)]
    return b"".join(reversed(parts))


def disorder(offsets):
    """How far a read lies from where it would be in order, on average: the pieces of one step of a mebibyte are read all at once, in any order."""
    return statistics.mean(abs(offset - due) for offset, due in zip(offsets, sorted(offsets)))


def several_files_at_once(tmp, reader, asked, way):
    """Right bytes, many reads of all eight files at the same time, none of them twice, each file in order; `way` is 1, or -1 for a reader who
    goes down. What is asked for ahead of him is at least `asked`."""
    model = wide(mib=32)
    saved(model, tmp)
    with faulty.Storage(tmp) as storage, lib.Mount(f"{storage.point}/checkpoint", "readahead=0") as root:
        storage.tell(delay_us=20000, reset=1)
        lib.same_tensors(safefile.read(reader(weights(root)))[0], model.whole())
        said = storage.said()
        lib.need(said["most"] >= 16, f"at most {said['most']} reads at the same time")
        read, twice = sums(storage)
        lib.equal(len(read), 8, "files that were read")
        lib.need(twice <= MIB, f"{twice} bytes were read more than once")
        ahead = status(root)["ahead_asked"]
        lib.need(asked <= ahead <= 36 * MIB, f"{ahead} bytes were asked for ahead of a reader of 32 MiB")
        for path in read:
            offsets = [offset * way for p, offset, _, _ in said["log"] if p == path]
            lib.need(disorder(offsets) <= MIB * 3 // 4, f"{path} was read out of order: {offsets}")


def test_several_files_at_once(tmp):
    several_files_at_once(tmp, in_order, 20 * MIB, 1)


def test_from_the_end(tmp):
    several_files_at_once(tmp, from_the_end, 16 * MIB, -1)


def test_off(tmp):
    """cache_budget=off and =0: nothing is asked for ahead, and no thread is there for it."""
    model = wide(mib=4)
    source = saved(model, tmp)
    threads = []
    for option in ("cache_budget=off", "cache_budget=0", "cache_budget=256M"):
        with lib.Mount(source, option) as root:
            lib.same_tensors(safefile.read(in_order(weights(root)))[0], model.whole())
            lib.equal(status(root)["cache_budget"], 256 * MIB if option.endswith("M") else 0, option)
            if not option.endswith("M"):
                lib.equal((status(root)["ahead_asked"], status(root)["ahead_cached"]), (0, 0), option)
                lib.need("ahead of readers" not in lib.read(f"{root}/.gatherfs/status").decode(), "the status tells of what is off")
    for value in ("cache_budget=much", "cache_budget=-1", "cache_budget="):
        lib.refused_mount(source, value, parts=["cache_budget"], code=2)


def test_the_budget(tmp):
    """No more than the budget is read ahead of a reader who stops."""
    model = wide(mib=32)
    saved(model, tmp)
    for budget, most in (("2M", 2 * MIB), ("16M", MIB), ("64M", 4 * MIB)):
        with faulty.Storage(tmp) as storage, lib.Mount(f"{storage.point}/checkpoint", f"cache_budget={budget}", "readahead=0") as root:
            with open(weights(root), "rb", buffering=0) as f:
                for _ in range(12):
                    f.read(MIB)
                    time.sleep(0.02)  # for the thread that reads ahead
                lib.wait_for(lambda: looked_at(root) >= MIB, "something to be wanted")
                lib.wait_for(lambda: storage.said()["now"] == 0, "the storage to come to rest")
                asked = status(root)["ahead_asked"]
                lib.need(asked <= 12 * MIB + most + 2 * MIB, f"{asked} bytes asked for with {budget}, at 12 MiB")


def test_readers_not_in_order(tmp):
    """Reads here and there bring nothing but what they ask for."""
    model, rng = wide(), random.Random(3)
    saved(model, tmp)
    with faulty.Storage(tmp) as storage, lib.Mount(f"{storage.point}/checkpoint", "readahead=0") as root:
        want = in_order(weights(root))
    with faulty.Storage(tmp) as storage, lib.Mount(f"{storage.point}/checkpoint", "readahead=0") as root:
        fd = os.open(weights(root), os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        places = [n * 6 * MIB % len(want) // 4096 * 4096 for n in range(3)]
        for at in places:
            lib.need(os.pread(fd, 4096, at) == want[at:at + 4096], f"at {at}")
        lib.equal(status(root)["ahead_asked"], 0, "bytes asked for")
        for _ in range(200):
            at = rng.randrange(len(want) - 9000)
            lib.need(os.pread(fd, 9000, at) == want[at:at + 9000], f"at {at}")
        os.close(fd)


def test_warm_sources(tmp):
    """What is in the page cache is not asked for again, where the kernel can tell."""
    model = wide()
    source = saved(model, tmp)
    with lib.Mount(source) as root:
        in_order(weights(root))
    with lib.Mount(source) as root:
        def wanted():
            with open(weights(root), "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            in_order(weights(root), 0.01)
            return looked_at(root) >= MIB
        lib.wait_for(wanted, "something to be wanted")
        return "this kernel cannot tell what is in the page cache" if status(root)["ahead_asked"] else None


def test_faults_ahead(tmp):
    """A source that fails ahead of a reader is none of his business, unless he reads there; nor is one that got shorter or hangs."""
    model = wide()
    source = saved(model, tmp)
    with faulty.Storage(tmp, "attr_timeout=0") as storage, lib.Mount(f"{storage.point}/checkpoint", "readahead=0") as root:
        path, want = weights(root), model.whole()
        with open(path, "rb", buffering=0) as f:
            head = f.read(4096)
            begin = 8 + int.from_bytes(head[:8], "little")
            first = min(json.loads(head[8:begin]).items(), key=lambda t: t[1].get("data_offsets", [1 << 60])[0])[0]
            storage.tell(only="rank_3", delay_us=2000)
            for at in range(0, MIB, 65536):
                lib.equal(os.pread(f.fileno(), 65536, begin + at), want[first][2][at:at + 65536], "before the fault")
            storage.tell(eio=-1)
            lib.wait_for(lambda: storage.said()["now"] == 0, "the storage to come to rest")
            lib.expect_eio(lambda: [os.pread(f.fileno(), 65536, at) for at in range(0, 16 * MIB, 65536)], "the failing source, when it is read")
            storage.tell(eio=0)
            lib.equal(in_order(path)[begin:begin + 8 * MIB], want[first][2], "when the fault is over")
        os.truncate(f"{source}/rank_5/{NAME.format(5)}", 300000)
        lib.need(os.listdir(root), "the daemon is gone")


def test_truncated_ahead(tmp):
    """A source cut off while it is read ahead: EIO for whoever comes there, right bytes before, and the daemon lives and ends."""
    model = wide()
    source = saved(model, tmp)
    with faulty.Storage(tmp, "attr_timeout=0") as storage, lib.Mount(f"{storage.point}/checkpoint", "readahead=0") as root:
        path = weights(root)
        storage.tell(delay_us=5000)
        with open(path, "rb", buffering=0) as f:
            got = f.read(MIB) + f.read(MIB)
            os.truncate(f"{source}/rank_6/{NAME.format(6)}", 300000)
            lib.expect_eio(lambda: [f.read(MIB) for _ in range(16)], "a truncated source")
            begin = 8 + int.from_bytes(got[:8], "little")
            lib.equal(got[begin:], model.whole()["columns"][2][:len(got) - begin], "what was read before")
        lib.need("rank_6" in lib.read(f"{root}/.gatherfs/status").decode(), "the status does not name it")


def test_end_while_reading_ahead(tmp):
    """Unmounting does not wait for what was asked for ahead, which a storage that hangs never gives."""
    saved(wide(), tmp)
    with faulty.Storage(tmp) as storage:
        with lib.Mount(f"{storage.point}/checkpoint", "readahead=0") as root:
            with open(weights(root), "rb", buffering=0) as f:
                header = f.read(8192)
                f.seek(8 + int.from_bytes(header[:8], "little") + 8 * MIB)  # the tensor that is cut by rows: a mebibyte of each rank
                storage.tell(only="rank_2/", hang=1)
                while f.tell() < 9.7 * MIB and not storage.said()["now"]:
                    f.read(65536)
                    time.sleep(0.02)  # for the thread that reads ahead
                lib.wait_for(lambda: storage.said()["now"] > 0, "a read ahead that hangs")
        lib.need(storage.said()["now"] > 0, "nothing hung while the mount ended: a weak test")
        lib.need(not lib.mounted(root), "still mounted")


def test_a_step_that_goes(tmp):
    """A step that is read ahead and deleted: its reader goes on, and then its files are closed."""
    model = wide()
    model.save(f"{tmp}/checkpoint", "1_10")
    model.save(f"{tmp}/checkpoint", "1_20")
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(f"{tmp}/checkpoint", "steps=all", "readahead=0") as root:
        want = model.whole()
        forget(f"{tmp}/checkpoint")
        with open(weights(f"{root}/1_10"), "rb", buffering=0) as f:
            got = f.read(MIB) + f.read(MIB)
            for rank in range(8):
                os.unlink(f"{tmp}/checkpoint/rank_{rank}/{NAME.format(rank)}")
            lib.wait_for(lambda: not os.path.exists(f"{root}/1_10"), "the step to go", 30)
            while data := f.read(MIB):
                got += data
            lib.same_tensors(safefile.read(got)[0], want)
        lib.wait_for(lambda: status(root)["retired"] == 0, "the step to be let go", 30)


if __name__ == "__main__":
    lib.main()
