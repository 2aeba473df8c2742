# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of many ranks and parameters: seconds from starting the mount to the end of its first listing, and the daemon's own memory,
then and after a part of every tensor was read.

Counted too: how often a source was read while mounting.
"""
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass

import make_world
import mounts
from figures import Row


@dataclass
class Scenario:
    world: str   # of make_world
    label: str
    cold: float  # most seconds without an index
    warm: float  # with one
    memory: int  # MiB


SCENARIOS = {
    "world-small": Scenario("small", "8 ranks x 2,000", 0.1, 0.03, 16),
    "world-moe": Scenario("moe", "64 ranks x 20,000", 2, 0.2, 128),
    "world-moe-crc": Scenario("moe-crc", "64 ranks x 20,000, no two headers equal", 2, 0.2, 128),
    "world-thousand": Scenario("thousand", "1,024 ranks x 4,500, 16 stages", 3, 0.3, 192),
    "world-four-thousand": Scenario("four-thousand", "4,096 ranks x 4,500, 16 stages", 12, 1, 512),
}
ROUNDS = 5
VIEWS = {"unified": [], "to=same": ["to=same"], "to=STRATEGY": ["to="]}  # "to=" alone: of the world's own strategy, as a file
STEP = 1 << 30  # bytes between two reads of one file


def options_of(folder, view, cache):
    options = ["to=" + f"{folder}/strategy" if o == "to=" else o for o in VIEWS[view]]
    return options + [f"header_cache={cache or 'off'}"]


def listed(point):
    """The names at the root, with attributes, as `ls -l` takes them."""
    return [entry.name for entry in os.scandir(point) if entry.stat()]


def touch_everything(point):
    """Reads one page in each GiB of every weights file at the root, or of every rank's."""
    for folder, folders, names in os.walk(point):
        folders[:] = [name for name in folders if name not in ("tensors", ".gatherfs")]
        for name in names:
            if name.endswith(".safetensors"):
                with open(os.path.join(folder, name), "rb", buffering=0) as f:
                    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                    for at in range(0, os.fstat(f.fileno()).st_size, STEP):
                        os.pread(f.fileno(), 4096, at)


def mounted(program, folder, view, cache):
    """One mount: seconds, and MiB after the listing and after reading."""
    with mounts.empty_folder() as point:
        start = time.perf_counter()
        mounts.run(program, "mount", f"{folder}/checkpoint", point, "-o", ",".join(options_of(folder, view, cache)))
        try:
            names = listed(point)
            seconds = time.perf_counter() - start
            pid = mounts.daemon_of(program, point)
            listed_mib = mounts.anonymous_mib(pid)
            touch_everything(point)
            read_mib = mounts.anonymous_mib(pid)
        finally:
            mounts.run(program, "umount", point)
    if ("param_name_map.json" if view == "unified" else "rank_7") not in names:
        raise mounts.Failed(f"the mount of {folder} shows {names}")
    mounts.wait_for(lambda: mounts.ended(pid), "the daemon to end")
    return seconds, listed_mib, read_mib


def header_reads(program, folder, cache):
    """How many reads of weights files one mount makes; None without strace, which stays until the daemon that it follows ends."""
    if not shutil.which("strace"):
        return None
    with mounts.empty_folder() as point, tempfile.NamedTemporaryFile("r") as log:
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-y", "-e", "trace=pread64,read", "-o", log.name, program, "mount",
                                   f"{folder}/checkpoint", point, "-o", ",".join(options_of(folder, "unified", cache))],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        mounts.wait_for(lambda: os.path.ismount(point) or tracer.poll() is not None, "the mount")
        mounts.wait_for(lambda: subprocess.run([program, "umount", point], stderr=subprocess.DEVNULL).returncode == 0, "the mount to be idle")
        tracer.wait(mounts.TIMEOUT)
        return len(re.findall(r"^\d+ +p?read(?:64)?\(\d+<[^>]*/rank_\d+/", log.read(), re.M))


def measure(bench, name):
    s = SCENARIOS[name]
    folder = make_world.ensure(bench.data, s.world)
    rows = []
    with tempfile.TemporaryDirectory(prefix="gatherfs-bench-") as cache:
        for view in VIEWS:
            mounted(bench.program, folder, view, cache)  # fills the index, and the page cache for both
            for where, index, target in ((None, "read", s.cold), (cache, "known", s.warm)):
                rows += rows_of(s, f"{s.label}, {view}, headers {index}", target, [mounted(bench.program, folder, view, where) for _ in range(ROUNDS)])
                if view == "unified" and shutil.which("strace"):
                    rows[-2].figures["reads"] = header_reads(bench.program, folder, where)
    return rows


def rows_of(s, label, target, runs):
    seconds, listed_mib, read_mib = zip(*runs)
    return [Row("mounting to the first listing, s", label, {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)},
                "median", target, True, {"seconds": seconds}),
            Row("memory of the daemon then, MiB", label, {"listed": max(listed_mib), "read": max(read_mib)}, "read", s.memory, True)]
