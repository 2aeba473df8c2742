# SPDX-License-Identifier: Apache-2.0
"""More sources than a process may have open: every byte is right all the same, and a file that was replaced or taken away is an error."""
import errno
import mmap
import os
import subprocess
import tempfile
import threading

from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout

LIMIT, RANKS = 64, 96
MODEL = "model-00001-of-00001.safetensors"


def model(seed=1):
    """Tensors that are cut by rows and by columns over all ranks, so that any read needs any of the files."""
    m = sharded.Model(seed)
    m.add("a.rows", "F32", [RANKS * 2, 33], Layout([RANKS], [0, -1]))
    m.add("b.columns", "F32", [1000, RANKS * 5], Layout([RANKS], [-1, 0]))
    return m.add("whole", "F16", [7], Layout([RANKS], [-1]))


class Limited:
    """A mount by a process that may have LIMIT descriptors, and cannot raise that; gives the mount point."""

    def __init__(self, source, *options):
        self.source, self.options = source, [a for o in options for a in ("-o", o)]

    def __enter__(self):
        self.point = tempfile.mkdtemp(prefix="mnt-")
        done = subprocess.run(["sh", "-c", f'ulimit -n {LIMIT}; exec "$0" "$@"', lib.PROGRAM, "mount", self.source, self.point, *self.options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30 * lib.SLOW)
        if done.returncode != 0:
            os.rmdir(self.point)
            raise AssertionError(f"mount said {done.returncode}: {done.stdout.decode(errors='replace')}")
        return self.point

    def __exit__(self, *exc):
        lib.unmount(self.point)
        os.rmdir(self.point)


def saved(m, tmp):
    m.save_strategy(f"{tmp}/strategy")
    return m.save(f"{tmp}/checkpoint")


def path_of(source, rank):
    return f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors"


def open_files(point):
    """How many files of SOURCE the daemon has open."""
    (pid,) = lib.daemons(point)
    return sum("/rank_" in link for link in lib.links(pid))


def same(root, m):
    lib.same_tensors(lib.tensors_of(root), m.whole())


def errno_of_reading(root, m):
    try:
        same(root, m)
    except OSError as e:
        return e.errno
    return None


def in_threads(work, count=4):
    """Does work() in several threads at once; raises what the first of them raised."""
    raised = []

    def run():
        try:
            work()
        except BaseException as e:
            raised.append(e)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if raised:
        raise raised[0]


def drop_cache(root):
    for name in os.listdir(root):
        if name.endswith(".safetensors"):
            with open(f"{root}/{name}", "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_unified_view(tmp):
    m = model()
    with Limited(saved(m, tmp)) as root:
        lib.need(0 < open_files(root) < LIMIT, f"{open_files(root)} files are open")
        same(root, m)
        for _ in range(3):
            drop_cache(root)
            in_threads(lambda: same(root, m))
        lib.need(0 < open_files(root) < LIMIT, f"{open_files(root)} files are open after reading")


def test_rank_view(tmp):
    m = model()
    with Limited(saved(m, tmp), "to=same") as root:
        want = m.ranks()
        for rank in range(RANKS):
            got = safefile.read_file(path_of(root, rank))[0]
            lib.same_tensors(got, want[rank], f"rank {rank}")


def test_renamed_files_are_no_other_files(tmp):
    """A file that is renamed over by another one of the same size and time, while its descriptor is closed, is an error, and says so."""
    m, other = model(1), model(2)
    source = saved(m, tmp)
    last = path_of(source, RANKS - 1)
    stamp = os.stat(last)
    with Limited(source) as root:
        other.save(f"{tmp}/other")
        new = path_of(f"{tmp}/other", RANKS - 1)
        os.utime(new, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        same(root, m)  # the last file is read along, but others after it: columns go through all files many times
        os.rename(new, last)
        drop_cache(root)
        lib.equal(errno_of_reading(root, m), errno.EIO, "reading what needs the file that was replaced")
        status = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need(f"{last}: changed since it was mounted: inode: expected {stamp.st_ino}" in status, f"the status does not say it: {status}")


def test_files_that_are_gone(tmp):
    """What is kept open gives its bytes after a rotation; what is not gives an error with the reason."""
    m = model()
    source = saved(m, tmp)
    with Limited(source) as root:
        kept = open_files(root)
        for rank in range(RANKS):
            os.unlink(path_of(source, rank))
        lib.equal(errno_of_reading(root, m), errno.EIO, "reading what needs files that are gone")
        status = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need("more files than can be kept open (ulimit -n), and this one cannot be opened again: No such file" in status,
                 f"the status does not say it: {status}")
        lib.need(kept > 4, "hardly any file was kept open")
        page = m.whole()["a.rows"][2][:4096]  # of the first ranks, whose files were opened first
        lib.equal(direct(f"{root}/{MODEL}", data_of(f"{root}/{MODEL}"), 4096), page, "what is kept open")


def data_of(path):
    """Where the tensors of a safetensors file begin."""
    return 8 + int.from_bytes(lib.read_at(path, 0, 8), "little")


def direct(path, offset, length):
    """One O_DIRECT read, of nothing but what is asked for."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, length) as buffer:
            return buffer[:os.preadv(fd, [memoryview(buffer)], offset)]
    finally:
        os.close(fd)


if __name__ == "__main__":
    lib.main()
