# SPDX-License-Identifier: Apache-2.0
"""Readers who go down through a mapping, as glibc's memcpy() does: the mount reads ahead of them, as one of its own readers, in nobody's way;
and readers for whom it does not."""
import contextlib
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time

from mount import lib
from ref import sharded

MIB = 1 << 20
STEP = 64 << 10  # bytes that are compared at once
PART = "model-00001-of-00001.safetensors"

# Goes down through a mapping, and waits for a line before the lower half of each tensor. Ends with 3 at a wrong byte, with 1 where
# the file cannot be opened, by SIGBUS at a byte that cannot be read.
GOING_DOWN = f"""import mmap, sys
want = open(sys.argv[2], 'rb').read()
tensors, pause = int(sys.argv[3]), sys.argv[4] == 'pause'
with open(sys.argv[1], 'rb') as f:
    m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
size = len(want) // tensors
for t in range(tensors):
    for at in range(size - {STEP}, -1, -{STEP}):
        if m[t * size + at:t * size + at + {STEP}] != want[t * size + at:t * size + at + {STEP}]:
            sys.exit(3)
        if pause and at <= size // 2 < at + {STEP}:
            print('half', flush=True)
            sys.stdin.readline()
"""


def saved(tmp, tensors=2, mib=24):
    """Blocks and rows of four ranks, in turns: SOURCE."""
    model = sharded.Model()
    for i in range(tensors):
        model.add(f"t{i}", "F32", [mib * MIB // 4 // 1024, 1024], sharded.Layout([4], [0, -1] if i % 2 == 0 else [-1, 0]))
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def asked(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))["below_asked"]


def settled(root):
    """Likewise, when what is still on its way for a reader who has ended is there."""
    seen = [-1]

    def stays():
        seen.append(asked(root))
        return seen[-1] == seen[-2] or time.sleep(0.2)

    lib.wait_for(stays, "the last pages to be asked for")
    return seen[-1]


def wanted(root, tmp, part=PART):
    """What a mount's file holds, into a file; read with O_DIRECT, so that nothing of it is in the page cache. Its header is left to the end
    of the first page: what the program reads begins on a page."""
    fd = os.open(f"{root}/{part}", os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, MIB) as buffer, open(f"{tmp}/want", "wb") as out:
        at = 0
        while n := os.preadv(fd, [buffer], at):
            out.write(buffer[:n])
            at += n
    os.close(fd)
    return f"{tmp}/want"


def go_down(root, want, tensors=1, pause="", part=PART, **options):
    return subprocess.Popen([sys.executable, "-c", GOING_DOWN, f"{root}/{part}", want, str(tensors), pause or "no"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, **options)


def ended(reader):
    reader.communicate("\n\n", timeout=60 * lib.SLOW)
    return reader.returncode


def forget(path):
    """What is in the page cache of it."""
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_the_right_bytes(tmp):
    """Much of the file is asked for, at most a window more than is read; a second reader needs nothing."""
    source = saved(tmp)
    for option in ("cache_budget=off", "cache_budget=256M", "trust_sources", "max_threads=1"):
        with lib.Mount(source, option, "readahead=1M") as root:
            want = wanted(root, tmp)
            lib.equal(asked(root), 0, f"{option}: asked for ahead of a reader with O_DIRECT who goes up")
            size, first = os.path.getsize(want), 0

            def most():
                """A reader beside whom much else runs may be served before it is asked for."""
                nonlocal first
                forget(f"{root}/{PART}")
                before = settled(root)
                lib.equal(ended(go_down(root, want)), 0, f"{option}: the reader's exit code")
                first = settled(root)
                lib.need(first - before <= size + 32 * MIB, f"{option}: {first - before} bytes were asked for of {size}")
                return first - before >= size // 4

            lib.wait_for(most, f"a quarter of the file to be asked for with {option}")
            lib.equal(ended(go_down(root, want)), 0, f"{option}: the second reader's exit code")
            lib.equal(settled(root), first, f"{option}: asked for when all was there")
            lib.need("readers who go down" in lib.read(f"{root}/.gatherfs/status").decode(), "the status does not tell")


def test_files_in_folders(tmp):
    """Of ranks, and of the steps of a mount of many: the file is found by its path."""
    source = saved(tmp)
    for options, part in ((["to=same"], f"rank_1/{os.listdir(f'{source}/rank_1')[0]}"), (["steps=all"], f"1_10/{PART}"), (["steps=all"], f"latest/{PART}")):
        with lib.Mount(source, "readahead=1M", *options) as root:
            lib.equal(ended(go_down(root, wanted(root, tmp, part), part=part)), 0, f"{options}: the reader's exit code")
            lib.need(settled(root) > 0, f"{options}: nothing was asked for")


def test_readers_for_whom_nothing_is_read(tmp):
    """In order, mapped or not; with O_DIRECT; and past the page cache altogether."""
    source = saved(tmp)
    with lib.Mount(source, "readahead=1M") as root:
        with open(f"{root}/{PART}", "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            lib.need(sum(m[at] for at in range(0, len(m), 4096)) > 0, "a file of zeros")
        lib.equal(asked(root), 0, "asked for ahead of a mapped reader who goes up")
    for options, flags in ((("readahead=1M",), os.O_DIRECT), (("direct_io",), 0)):
        with lib.Mount(source, *options) as root, mmap.mmap(-1, MIB // 2) as buffer:
            fd = os.open(f"{root}/{PART}", os.O_RDONLY | flags)
            for at in range((os.fstat(fd).st_size - 1) // len(buffer) * len(buffer), -1, -len(buffer)):
                os.preadv(fd, [buffer], at)
            os.close(fd)
            lib.equal(asked(root), 0, f"asked for with {options}, flags {flags:o}")


def test_a_reader_whom_the_daemon_cannot_see(tmp):
    """In another namespace of processes, so that the kernel tells no number of his."""
    if os.geteuid() != 0:
        return "not root, who may make one"
    source, root = saved(tmp), f"{tmp}/mnt"
    os.mkdir(root)
    daemon = subprocess.Popen(["unshare", "--pid", "--fork", lib.PROGRAM, "mount", "-f", "-o", "readahead=1M", source, root], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    lib.wait_for(lambda: lib.mounted(root) or daemon.poll() is not None, "the mount")
    try:
        lib.equal(ended(go_down(root, wanted(root, tmp))), 0, "the reader's exit code")
        lib.need(settled(root) > 0, "nothing was asked for")
    finally:
        lib.unmount(root)
    lib.equal(daemon.wait(20 * lib.SLOW), 0, "the daemon's exit code")
    return None


def test_a_source_that_changes(tmp):
    """Old bytes or none: a reader who is half through when a source is written over ends by SIGBUS, or has the pages that were read before."""
    source = saved(tmp, tensors=1, mib=96)
    victim = f"{source}/rank_0/net_rank_0-1_10.safetensors"
    with lib.Mount(source, "readahead=1M") as root:
        want = wanted(root, tmp)
        reader = go_down(root, want, 1, "pause")
        lib.equal(reader.stdout.readline(), "half\n", "the reader")
        lib.need(asked(root) > 0, "a weak test: nothing was asked for")
        with open(victim, "r+b") as f:
            f.seek(-MIB, os.SEEK_END)
            f.write(random.Random(1).randbytes(MIB))
        os.utime(victim)
        lib.equal(ended(reader), -signal.SIGBUS, "the reader's end: rank 0 has the first quarter, which is beyond a window")
        lib.expect_eio(lambda: lib.read_at(f"{root}/{PART}", 4096, 4096), "the first page of what has changed")


def test_an_end_meanwhile(tmp):
    """A reader who is killed, and a mount that is taken away under him, or whose daemon is told to end, is killed or crashes: nobody waits
    for ever."""
    source = saved(tmp, tensors=4, mib=12)
    rng = random.Random(7)
    ends = (None, signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, "umount")
    for end in ends * 3:
        with lib.Mount(source, "readahead=1M", detached=True) as root:
            want, (pid,) = wanted(root, tmp), lib.daemons(root)
            reader = go_down(root, want, 4, stderr=subprocess.DEVNULL)
            time.sleep(0.05 + rng.random() / 10)
            if end == "umount":
                subprocess.run(["umount", "-l", root], check=False)
            elif end:
                os.kill(pid, end)
            if end in (None, "umount"):
                reader.kill()
            lib.need(ended(reader) in (0, 1, -signal.SIGBUS, -signal.SIGKILL), f"{end}: the reader's exit code {reader.returncode}")
            if end and end != "umount":
                lib.wait_for(lambda: not lib.runs(pid), f"the daemon to be gone after {end}")


# The answers to those who belong to the daemon come late: to the process that reads ahead, and to the thread that looks at the mount.
SLOW_TO_ITS_OWN = """#define _GNU_SOURCE
#define FUSE_USE_VERSION 314
#include <dlfcn.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void be_slow(fuse_req_t req)
{
	char path[64], text[256] = "";
	pid_t pid = fuse_req_ctx(req)->pid;
	int fd;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 9 && strcmp(text + 9, "read-ahead") == 0)
		usleep(400000);
	if (fd >= 0)
		close(fd);
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)pid);
	if (access(path, F_OK) == 0)
		usleep(400000);
}
int fuse_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	be_slow(req);
	return ((int (*)(fuse_req_t, const struct fuse_file_info *))dlsym(RTLD_NEXT, "fuse_reply_open"))(req, fi);
}
int fuse_reply_attr(fuse_req_t req, const struct stat *st, double time)
{
	be_slow(req);
	return ((int (*)(fuse_req_t, const struct stat *, double))dlsym(RTLD_NEXT, "fuse_reply_attr"))(req, st, time);
}
"""


@contextlib.contextmanager
def slow(tmp):
    """Mounts are slow to their own in this block."""
    flags, before = subprocess.run(["pkg-config", "--cflags", "fuse3"], capture_output=True, text=True, check=True).stdout.split(), dict(os.environ)
    code = lib.write(f"{tmp}/slow.c", SLOW_TO_ITS_OWN)
    subprocess.run(["cc", "-shared", "-fPIC", *flags, "-o", f"{tmp}/slow.so", code], check=True)
    os.environ.update(LD_PRELOAD=f"{tmp}/slow.so", ASAN_OPTIONS=before.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def asks(pid):
    """Whether a thread of this process waits for the answer of a mount."""
    return any("request_wait_answer" in stack for stack in lib.tasks(pid, "stack"))


def helpers(pid):
    """The processes that it has started."""
    return [int(child) for children in lib.tasks(pid, "children") for child in children.split()]


def test_a_daemon_that_is_stopped_or_crashes(tmp):
    """While the process that reads ahead waits for its answer: the daemon itself waits for nobody."""
    source = saved(tmp, tensors=1, mib=96)
    for end in (signal.SIGSTOP, signal.SIGABRT, signal.SIGSYS):  # a sanitizer takes SIGSEGV for its own
        with slow(tmp):
            mount = lib.Mount(source, "readahead=1M", detached=True)
            root = mount.__enter__()
        try:
            want, (pid,) = wanted(root, tmp), lib.daemons(root)
            reader = go_down(root, want, stderr=subprocess.DEVNULL)
            lib.wait_for(lambda: any(asks(child) for child in helpers(pid)), "the daemon to be asked")
            helper, = helpers(pid)
            os.kill(pid, end)
            if end == signal.SIGSTOP:
                lib.wait_for(lambda: all(" T " in text for text in lib.tasks(pid, "stat")), "the daemon to stop", seconds=5)
                os.kill(pid, signal.SIGCONT)
                lib.equal(ended(reader), 0, "the exit code of a reader whose daemon was stopped for a while")
            else:
                lib.wait_for(lambda: not lib.runs(pid) and not lib.runs(helper), f"the daemon to be gone after {end}, and the other process", seconds=5)
                lib.need(ended(reader) in (0, -signal.SIGBUS), f"{end}: the reader's exit code {reader.returncode}")
        finally:
            subprocess.run(["umount", "-f", "-l", root], check=False)
            mount.__exit__(None, None, None)


def test_an_end_while_the_daemon_looks_at_its_mount(tmp):
    """The thread that does is waited for neither by a process that is killed nor, to write a core, by one that crashes, which would have to
    answer it."""
    source, root = saved(tmp, tensors=1), f"{tmp}/mnt"
    os.mkdir(root)
    for end in (signal.SIGKILL, signal.SIGABRT, signal.SIGTERM):
        with slow(tmp):
            daemon = subprocess.Popen([lib.PROGRAM, "mount", "-f", source, root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            lib.wait_for(lambda: asks(daemon.pid), "the daemon to wait for itself")
            daemon.send_signal(end)
            lib.wait_for(lambda: daemon.poll() is not None, f"the daemon to be gone after {end}", seconds=5)
        finally:
            subprocess.run(["umount", "-f", "-l", root], check=False, stderr=subprocess.DEVNULL)
            daemon.kill()
            daemon.wait()


def rights(pid):
    """Of each of its threads, those that differ."""
    names = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Umask")
    return {tuple(line for line in text.splitlines() if line.split(":")[0] in names) for text in lib.tasks(pid, "status")}


def test_the_other_process(tmp):
    """There is one while readers go down; who kills it takes no byte and no mount away; it ends when nobody does, and
    with the mount."""
    source = saved(tmp, tensors=1, mib=96)
    with lib.Mount(source, "readahead=1M") as root:
        (pid,), want = lib.daemons(root), wanted(root, tmp)
        lib.equal(helpers(pid), [], "processes before anybody has read")
        for _ in range(2):
            reader = go_down(root, want, 1, "pause")
            lib.equal(reader.stdout.readline(), "half\n", "the reader")
            (child,), before = helpers(pid), asked(root)
            os.kill(child, signal.SIGKILL)
            lib.equal(ended(reader), 0, "the reader's exit code")
            forget(f"{root}/{PART}")
        lib.need(settled(root) > before, "nothing was asked for once it had been killed")
        helper, = [child for child in helpers(pid) if lib.runs(child)]
        held = lib.links(helper)
        lib.need(len(held) == 3 and held[0].startswith("socket:"), f"it holds {held}, and not its streams alone")
        lib.need(rights(helper) <= rights(pid), f"it may do {rights(helper)}, and the daemon {rights(pid)}")  # ThreadSanitizer has a thread of its own in it
        lib.wait_for(lambda: not helpers(pid), "it to end when there is nothing to do")
        forget(f"{root}/{PART}")
        lib.equal(ended(go_down(root, want)), 0, "the next reader's exit code")
        helper, = helpers(pid)
    lib.wait_for(lambda: not lib.runs(helper), "it to end with the mount")


def test_the_other_process_is_stopped(tmp):
    """It takes nobody's time, and is gone with a daemon that is told to end or killed."""
    source = saved(tmp, tensors=1, mib=96)
    for end in (signal.SIGTERM, signal.SIGKILL):
        with lib.Mount(source, "readahead=1M", detached=True) as root:
            want, (pid,) = wanted(root, tmp), lib.daemons(root)
            reader = go_down(root, want, 1, "pause")
            lib.equal(reader.stdout.readline(), "half\n", "the reader")
            helper, = helpers(pid)
            os.kill(helper, signal.SIGSTOP)
            lib.equal(ended(reader), 0, "the reader's exit code")
            os.kill(pid, end)
            lib.wait_for(lambda: not lib.runs(pid) and not lib.runs(helper), f"both to be gone after {end}", seconds=5)
            subprocess.run(["umount", "-l", root], check=False, stderr=subprocess.DEVNULL)


def test_the_other_process_cannot_work(tmp):
    """It is not started again and again. (A program that the loader was told to load is for /proc the loader.)"""
    source, root = saved(tmp), f"{tmp}/mnt"
    loader = subprocess.run(["sh", "-c", "ldd $(command -v sh) | sed -n 's/^\t*\\(\\/[^ ]*ld-linux[^ ]*\\).*/\\1/p'"], capture_output=True, text=True, check=True).stdout.strip()
    os.mkdir(root)
    with open(f"{tmp}/log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen([loader, lib.PROGRAM, "mount", "-f", "-q", "-o", "readahead=1M", source, root], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})  # of the loader itself
    lib.wait_for(lambda: lib.mounted(root) or daemon.poll() is not None, "the mount")
    try:
        want = wanted(root, tmp)
        for _ in range(2):
            forget(f"{root}/{PART}")
            lib.equal(ended(go_down(root, want, 2)), 0, "the reader's exit code")
        lib.equal(asked(root), 0, "asked for")
    finally:
        lib.unmount(root)
    lib.equal(daemon.wait(20 * lib.SLOW), 0, "the daemon's exit code")
    lib.equal(len(lib.read(f"{tmp}/log").splitlines()), 1, "lines of the log, as it was tried once")


def test_a_path_that_leads_elsewhere(tmp):
    """Where a link has come into the mount point's path, nothing is opened that may not be the mount's."""
    source = saved(tmp)
    os.mkdir(f"{tmp}/a")
    os.mkdir(f"{tmp}/a/mnt")
    with lib.Mount(source, "readahead=1M", point=f"{tmp}/a/mnt") as root:
        want = wanted(root, tmp)
        os.rename(f"{tmp}/a", f"{tmp}/b")
        os.symlink("b", f"{tmp}/a")
        lib.equal(ended(go_down(root, want)), 0, "the reader's exit code")
        lib.equal(settled(root), 0, "asked for")
        os.remove(f"{tmp}/a")
        os.rename(f"{tmp}/b", f"{tmp}/a")
        forget(f"{root}/{PART}")
        lib.equal(ended(go_down(root, want)), 0, "the exit code of a second reader")
        lib.need(settled(root) > 0, "nothing was asked for")


if __name__ == "__main__":
    lib.main()
