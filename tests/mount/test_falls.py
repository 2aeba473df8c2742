# SPDX-License-Identifier: Apache-2.0
"""Readers who go down through a mapping, as glibc's memcpy() does: the mount reads ahead of them, as one of its own readers, in nobody's way;
and readers for whom it does not."""
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


def test_the_right_bytes(tmp):
    """Most of the file is asked for, at most a window more than is read; a second reader needs nothing."""
    source = saved(tmp)
    for option in ("cache_budget=off", "cache_budget=256M", "trust_sources", "max_threads=1"):
        with lib.Mount(source, option, "readahead=1M") as root:
            want = wanted(root, tmp)
            lib.equal(asked(root), 0, f"{option}: asked for ahead of a reader with O_DIRECT who goes up")
            lib.equal(ended(go_down(root, want)), 0, f"{option}: the reader's exit code")
            size, first = os.path.getsize(want), settled(root)
            lib.need(size // 4 <= first <= size + 32 * MIB, f"{option}: {first} bytes were asked for of {size}")
            lib.equal(ended(go_down(root, want)), 0, f"{option}: the second reader's exit code")
            lib.equal(settled(root), first, f"{option}: asked for when all was there")
            lib.need("readers who go down" in lib.read(f"{root}/.gatherfs/status").decode(), "the status does not tell")


def test_files_in_folders(tmp):
    """Of ranks, and of the steps of a mount of many: the file is found by its path."""
    source = saved(tmp, mib=96)
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
    source = saved(tmp, tensors=4)
    rng = random.Random(7)
    ends = (None, signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, "umount")
    for end in ends * 3:
        with lib.Mount(source, "readahead=1M", detached=True) as root:
            want, (pid,) = wanted(root, tmp), lib.daemons(root)
            reader = go_down(root, want, 4, stderr=subprocess.DEVNULL)
            time.sleep(0.1 + rng.random() / 5)
            if end == "umount":
                subprocess.run(["umount", "-l", root], check=False)
            elif end:
                os.kill(pid, end)
            if end in (None, "umount"):
                reader.kill()
            lib.need(ended(reader) in (0, 1, -signal.SIGBUS, -signal.SIGKILL), f"{end}: the reader's exit code {reader.returncode}")
            if end and end != "umount":
                lib.wait_for(lambda: not lib.runs(pid), f"the daemon to be gone after {end}")


SLOW_TO_OPEN = """#define _GNU_SOURCE
#define FUSE_USE_VERSION 314
#include <dlfcn.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <unistd.h>
int fuse_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	char task[64];
	snprintf(task, sizeof(task), "/proc/self/task/%d", (int)fuse_req_ctx(req)->pid);
	if (access(task, F_OK) == 0)
		usleep(400000);
	return ((int (*)(fuse_req_t, const struct fuse_file_info *))dlsym(RTLD_NEXT, "fuse_reply_open"))(req, fi);
}
"""


def waits_for_itself(pid):
    return any("request_wait_answer" in stack for stack in lib.tasks(pid, "stack"))


def test_a_crash_while_the_daemon_waits_for_itself(tmp):
    """The thread that opens files of the mount is not waited for, to write a core, by the process that would have to answer it."""
    flags = subprocess.run(["pkg-config", "--cflags", "fuse3"], capture_output=True, text=True, check=True).stdout.split()
    code = lib.write(f"{tmp}/slow.c", SLOW_TO_OPEN)
    subprocess.run(["cc", "-shared", "-fPIC", *flags, "-o", f"{tmp}/slow.so", code], check=True)
    source, before = saved(tmp, tensors=1, mib=96), dict(os.environ)
    for end in (signal.SIGABRT, signal.SIGSYS):  # a sanitizer takes SIGSEGV for its own
        os.environ.update(LD_PRELOAD=f"{tmp}/slow.so", ASAN_OPTIONS=before.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        mount = lib.Mount(source, "readahead=1M", detached=True)
        root = mount.__enter__()
        os.environ.clear()
        os.environ.update(before)
        try:
            want, (pid,) = wanted(root, tmp), lib.daemons(root)
            reader = go_down(root, want, stderr=subprocess.DEVNULL)
            lib.wait_for(lambda: waits_for_itself(pid), "the daemon to wait for itself")
            os.kill(pid, end)
            lib.wait_for(lambda: not lib.runs(pid), f"the daemon to be gone after {end}", seconds=5)
        finally:
            subprocess.run(["umount", "-f", "-l", root], check=False)
            mount.__exit__(None, None, None)
        lib.need(ended(reader) in (0, -signal.SIGBUS), f"{end}: the reader's exit code {reader.returncode}")


if __name__ == "__main__":
    lib.main()
