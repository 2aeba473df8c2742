# SPDX-License-Identifier: Apache-2.0
"""What a read costs, by counting and never by time: system calls of the daemon for each MiB, bytes that it reads and writes for each
byte that a reader gets, reads of a source at mount, threads. Calls are counted by strace, bytes by the kernel (/proc/PID/io)."""
import collections
import json
import mmap
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

from mount import lib
from ref import families, safefile, sharded

MIB = 1 << 20
PART = "model-00001-of-00001.safetensors"
CALL = re.compile(r"^(?:\d+ +)?(\w+)\((?:\d+<([^>]*)>)?")


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def read_directly(path, passes=1, skip=0):
    """All of a file in reads of 1 MiB with O_DIRECT; how many bytes."""
    fd, size = os.open(path, os.O_RDONLY | os.O_DIRECT), os.path.getsize(path)
    try:
        with mmap.mmap(-1, MIB) as buffer:
            return sum(os.preadv(fd, [buffer], at) for _ in range(passes) for at in range(skip, size, MIB))
    finally:
        os.close(fd)


def calls_in(log):
    """(name, path of the first descriptor) of every call in a log of strace -f -y. One that was interrupted counts once."""
    with open(log, errors="replace") as f:
        return [m.groups() for m in map(CALL.match, f) if m]


class Traced:
    """The system calls of the daemon of a mount while a block runs: `calls` behind it, None where it may not be traced."""

    def __init__(self, point):
        self.pid, self.calls = lib.daemons(point)[0], None

    def __enter__(self):
        self.log = tempfile.mktemp(prefix="strace-")
        self.process = subprocess.Popen(["strace", "-f", "-y", "-o", self.log, "-p", str(self.pid)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = self.process.stderr.readline()
        self.attached = "attached" in self.said
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20 * lib.SLOW)
        if self.attached:
            self.calls = calls_in(self.log)
        if os.path.exists(self.log):
            os.unlink(self.log)


def names(calls):
    return dict(collections.Counter(name for name, _ in calls))


def io_of(pid):
    with open(f"/proc/{pid}/io") as f:
        return {key: int(value) for key, value in (line.split(": ") for line in f)}


def stripes(tp, columns, tensors=4):
    """Tensors of 4 MiB, cut on the last axis: a rank's rows have columns / tp elements."""
    model = sharded.Model()
    for i in range(tensors):
        model.add(f"t{i}", "F32", [MIB // columns, columns], sharded.Layout([tp], [-1, 0]))
    return model


def blocks(tensors=4):
    model = sharded.Model()
    for i in range(tensors):
        model.add(f"t{i}", "F32", [1024, 1024], sharded.Layout([4], [0, -1]))
    return model


# What is read, and the most calls that the daemon may make for each of the two requests of a MiB: the request and the reply, a read of
# each source (of short rows two, for there is room for 256 KiB at once) and a look at the stamp of each. Every other request for blocks
# meets the end of one, and of long rows a request may begin and end within one.
BOUNDS = (
    ("blocks", blocks, [], 2 + 1.5 + 1.5 + 0.25),
    ("rows of 256 bytes", lambda: stripes(4, 256), [], 2 + 2 * 4 + 4 + 0.5),
    ("rows of 16 KiB", lambda: stripes(4, 16384), [], 2 + 4 + 4 + 1.5),
    ("blocks from trusted sources", blocks, ["trust_sources"], 2.25),
)


# A thread that begins or ends meanwhile, or is woken.
THREADS = {"futex", "clone", "clone3", "mmap", "munmap", "mprotect", "madvise", "rseq", "set_robust_list", "prctl", "rt_sigprocmask", "exit",
           "rt_sigtimedwait", "restart_syscall", "clock_gettime"}


def test_calls_for_each_mebibyte(tmp):
    for what, make, options, most in BOUNDS:
        with lib.Mount(saved(make(), f"{tmp}/{what}"), "cache_budget=off", *options) as root:
            read_directly(f"{root}/{PART}", 2)  # threads, buffers, mappings are made
            with Traced(root) as traced:
                size = read_directly(f"{root}/{PART}", 2)
            if traced.calls is None:
                return f"cannot trace here: {traced.said.strip()}"
            lib.need(len(traced.calls) >= 4 * size // MIB, f"{what}: a weak test: {len(traced.calls)} calls were seen")
            rate = sum(name not in THREADS for name, _ in traced.calls) / (2 * size / MIB)
            lib.need(rate <= most, f"{what}: {rate:.2f} calls a request, at most {most}: {names(traced.calls)}")


def test_calls_of_interleaving(tmp):
    """Rows of gate and of up in turns, of 4 KiB each and all in one file: never a call for each of them."""
    f = families.Family(random.Random(1), "qwen3", "BF16", num_hidden_layers=1, hidden_size=2048, vocab_size=8, num_attention_heads=8,
                        num_key_value_heads=8, head_dim=16, intermediate_size=1024, tie_word_embeddings=True)
    os.mkdir(f"{tmp}/hf")
    lib.write(f"{tmp}/hf/model.safetensors", safefile.write(families.as_files(f.hf, "BF16")))
    lib.write(f"{tmp}/hf/config.json", json.dumps(f.config))
    with lib.Mount(f"{tmp}/hf", "names=mcore-train,part_size=1K,cache_budget=off") as root:
        name = json.loads(lib.read(f"{root}/param_name_map.json"))["weight_map"]["decoder.layers.0.mlp.linear_fc1.weight"]
        read_directly(f"{root}/{name}", 2)
        with Traced(root) as traced:
            size = read_directly(f"{root}/{name}", 2)
        if traced.calls is None:
            return f"cannot trace here: {traced.said.strip()}"
        seen = names(traced.calls)
        lib.need(16 <= seen["pread64"] <= (2 * 4 + 1) * size // MIB + 4, f"reads of {size} bytes: {seen}")


def test_calls_of_splitting(tmp):
    """Rows of 1 KiB that are far apart in the source: from a mapping, never a call for each of them."""
    model = stripes(1, 1024)
    source = saved(model, tmp)
    stripes(4, 1024).save_strategy(f"{tmp}/target")
    with lib.Mount(source, f"to={tmp}/target", "cache_budget=off") as root:
        path = f"{root}/rank_1/net_rank_1-1_10.safetensors"
        read_directly(path, 2)
        with Traced(root) as traced:
            size = read_directly(path, 4)
        if traced.calls is None:
            return f"cannot trace here: {traced.said.strip()}"
        rate = len(traced.calls) / (size / MIB)
        lib.need(rate <= 20, f"{rate:.2f} calls a MiB: {names(traced.calls)}")


def test_bytes_for_each_byte(tmp):
    """One byte read from sources and one written to the kernel for each that is delivered; from trusted sources none is read."""
    for what, make, options, _ in BOUNDS:
        with lib.Mount(saved(make(), f"{tmp}/{what}"), *options) as root:
            read_directly(f"{root}/{PART}")
            pid, passes = lib.daemons(root)[0], 4
            before = io_of(pid)
            size = read_directly(f"{root}/{PART}", passes)
            after = io_of(pid)
            reads, writes = ((after[key] - before[key]) / size for key in ("rchar", "wchar"))
            lib.need(1 <= writes <= 1.01, f"{what}: {writes:.3f} bytes written for each byte")
            least, most = (0, 0.01) if "trust_sources" in options else (0.9, 1.01)  # the header is memory of ours
            lib.need(least <= reads <= most, f"{what}: {reads:.3f} bytes read for each byte")


def test_page_cache(tmp):
    """O_DIRECT and direct_io ask the daemon each time, anything else once."""
    source = saved(blocks(), tmp)
    for options, flags, asks in (([], 0, 1), ([], os.O_DIRECT, 4), (["direct_io"], 0, 4)):
        with lib.Mount(source, *options) as root:
            pid, fd = lib.daemons(root)[0], os.open(f"{root}/{PART}", os.O_RDONLY | flags)
            before, size = io_of(pid)["wchar"], os.fstat(fd).st_size
            with mmap.mmap(-1, MIB) as buffer:
                for _ in range(4):
                    lib.equal(sum(os.preadv(fd, [buffer], at) for at in range(0, size, MIB)), size, "bytes read")
            os.close(fd)
            lib.equal(round((io_of(pid)["wchar"] - before) / size, 1), asks, f"{options}, flags {flags:o}: how often all was asked for")


def test_reads_of_headers(tmp):
    """A mount reads a source's header in one go or two, and nothing else of it."""
    model = sharded.Model()
    for i in range(50):
        model.add(f"t{i}", "F32", [64, 64], sharded.Layout([4], [0, -1]))
    source, log = saved(model, tmp), f"{tmp}/log"
    os.mkdir(f"{tmp}/point")
    env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # which cannot be traced
    done = subprocess.run(["strace", "-f", "-y", "-o", log, lib.PROGRAM, "mount", "--dry-run", source, f"{tmp}/point", "-o",
                           "header_cache=off" if header_cache() else "quiet"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 and "ptrace" in done.stdout:
        return f"cannot trace here: {done.stdout.strip()}"
    lib.equal(done.returncode, 0, done.stdout)
    paths = [path for name, path in calls_in(log) if name in ("read", "pread64", "preadv", "readv", "mmap") and path]
    for rank in range(4):
        reads = paths.count(f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors")
        lib.need(1 <= reads <= 2, f"rank {rank}: {reads} reads of its file")


def header_cache():
    return "header_cache" in lib.gatherfs("mount", "-h")[1]


def test_threads(tmp):
    """However many readers there are, threads are bounded."""
    source = saved(blocks(), tmp)
    for most in (1, 4):
        with lib.Mount(source, f"max_threads={most}") as root:
            readers = [threading.Thread(target=read_directly, args=(f"{root}/{PART}", 6)) for _ in range(24)]
            for reader in readers:
                reader.start()
            pid, seen, began = lib.daemons(root)[0], 0, time.time()
            while any(reader.is_alive() for reader in readers):
                seen = max(seen, len(os.listdir(f"/proc/{pid}/task")))
            spare = int(time.time() - began)  # one more is started each second in which nothing is answered
            for reader in readers:
                reader.join()
            lib.need(2 <= seen <= most + 4 + spare, f"{seen} threads with max_threads={most}")  # who waits for the end, reads ahead, follows


if __name__ == "__main__":
    lib.main()
