# SPDX-License-Identifier: Apache-2.0
"""The end of a mount: who keeps it busy is named, and -l ends one in use without tearing it away from its readers."""
import os
import re
import signal
import subprocess
import sys
import tempfile

from mount import lib
from ref import sharded

HOLD = """
import ctypes, mmap, os, sys
root, how = sys.argv[1:]
name = root + "/" + next(n for n in sorted(os.listdir(root)) if n.startswith("model-"))
if "cwd" in how:
    os.chdir(root)
files = [open(name, "rb") for _ in range(how.count("open"))]
if "map" in how:
    # Python's own mmap keeps a descriptor too
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    fd = os.open(name, os.O_RDONLY)
    place = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
    os.close(fd)
if "odd-name" in how:
    with open("/proc/self/comm", "w") as f:
        f.write("a\\x1b[31m\\nb")
if "root" in how:
    os.chroot(root)
print("holds", flush=True)
sys.stdin.readline()
if "map" in how:
    sys.stdout.buffer.write(ctypes.string_at(place, 8))
for f in files:
    sys.stdout.buffer.write(f.read(8))
"""


class Holder:
    """A process that holds something of a mount until it is told to end: it then reads once more, into `said`."""

    def __init__(self, root, how):
        self.root, self.how, self.said = root, how, None

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", HOLD, self.root, self.how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        lib.equal(self.process.stdout.readline(), b"holds\n", "the holder")
        return self

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        self.said = self.process.communicate(b"\n", 20 * lib.SLOW)[0]
        lib.equal(self.process.returncode, 0, "exit code of the holder")

    def __exit__(self, *_):
        if self.said is None:
            self.process.kill()
            self.process.communicate()


def saved(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def test_busy_names_who_holds_it(tmp):
    with lib.Mount(saved(tmp)) as root:
        cases = [("open", "1 open"), ("open open", "2 open"), ("map", "1 mapped"), ("cwd", "works in it"), ("cwd map open", "1 open, 1 mapped, works in it")]
        cases += [("root", "has its root in it")] if os.geteuid() == 0 else []
        for how, words in cases:
            with Holder(root, how) as holder:
                said = lib.refused("umount", root, parts=[root, "busy", "umount -l"])
                lib.need(f"(pid {holder.pid}: {words})" in said, f"{how}: {said}")
                lib.equal(re.findall(r"pid (\d+)", said), [str(holder.pid)], "processes named")
        with Holder(root, "open") as first, Holder(root, "map") as second:
            said = lib.refused("umount", root, parts=["busy"])
            lib.equal(set(re.findall(r"pid (\d+)", said)), {str(first.pid), str(second.pid)}, "processes named")


def test_busy_names_a_few_of_many(tmp):
    with lib.Mount(saved(tmp)) as root:
        holders = [Holder(root, "open").__enter__() for _ in range(11)]
        try:
            said = lib.refused("umount", root, parts=["busy"])
            lib.need(len(re.findall(r"pid \d+", said)) == 8 and "and 3 more" in said, said)
        finally:
            for holder in holders:
                holder.__exit__()


def test_only_this_mount_is_looked_at(tmp):
    """Somebody in another mount of the same source, or beside it, holds nothing of this one."""
    source = saved(tmp)
    with lib.Mount(source) as other, lib.Mount(source) as root, Holder(other, "cwd map open"), Holder(root, "open") as holder:
        said = lib.refused("umount", root, parts=["busy"])
        lib.equal(re.findall(r"pid (\d+)", said), [str(holder.pid)], "processes named")


def test_names_of_processes_are_escaped(tmp):
    """A process may call itself anything, and the message stays one line."""
    with lib.Mount(saved(tmp)) as root, Holder(root, "open odd-name") as holder:
        lib.equal(lib.read(f"/proc/{holder.pid}/comm"), b"a\x1b[31m\nb\n", "its name")
        said = lib.refused("umount", root, parts=[f"(pid {holder.pid}: 1 open)"])
        lib.need("\x1b" not in said, repr(said))


def lazily(tmp, flag):
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    lib.equal(lib.gatherfs("mount", "-q", f"{tmp}/checkpoint", point)[0], 0, "mount")
    pid, = lib.daemons(point)
    want = lib.read(next(f"{point}/{n}" for n in sorted(os.listdir(point)) if n.startswith("model-")))[:8]
    with Holder(point, "open map") as holder:
        lib.equal(lib.gatherfs("umount", flag, point), (0, "", ""), f"umount {flag}")
        lib.need(not lib.mounted(point) and not os.listdir(point), "the mount is still in the tree")
        lib.need(lib.runs(pid), "the daemon left its readers")
        holder.end()
        lib.equal(holder.said, want * 2, "read after umount -l")
    lib.wait_for(lambda: not lib.runs(pid), "the daemon to end after its last reader")


def test_lazy(tmp):
    """-l takes the mount out of the tree at once; who has a file open or mapped reads on, and then the daemon ends."""
    saved(tmp)
    for flag in ("-l", "--lazy"):
        lazily(tmp, flag)


def test_dead_mount_in_use(tmp):
    """Of a killed daemon: nothing answers there, but its holders are named without asking it, and -l clears it away."""
    saved(tmp)
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    lib.equal(lib.gatherfs("mount", "-q", f"{tmp}/checkpoint", point)[0], 0, "mount")
    pid, = lib.daemons(point)
    with Holder(point, "open cwd") as holder:
        os.kill(pid, signal.SIGKILL)
        lib.wait_for(lambda: not lib.runs(pid), "the daemon to die")
        said = lib.refused("umount", point, parts=["busy"])
        lib.need(f"(pid {holder.pid}: 1 open, works in it)" in said, said)
        lib.equal(lib.gatherfs("umount", "-l", point), (0, "", ""), "umount -l")
        lib.need(not lib.mounted(point), "still mounted")


def test_mount_below(tmp):
    """What keeps a mount busy may be another mount in it."""
    if os.geteuid() != 0:
        return "not tried, for it needs root"
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint"), "to=same") as root:
        below = f"{root}/rank_0"
        subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
        try:
            lib.refused("umount", root, parts=["busy", "a mount below it"])
        finally:
            subprocess.run(["umount", below], check=True)
    return None


def test_wrong_usage(_):
    for args in ((), ("-x", "/a"), ("/a", "/b"), ("--lazily", "/a")):
        lib.refused("umount", *args, code=2, parts=["umount"])


if __name__ == "__main__":
    lib.main()
