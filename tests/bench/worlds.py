# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of many ranks and parameters: seconds from starting the mount to the end of its first listing, and the daemon's own memory,
then and after a part of every tensor was read.

Counted too: how often a source was read while mounting (strace, if it is there). By itself: worlds.py PROGRAM DATA [WORLD...]
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import make_world
import mounts

TARGETS = {  # world: (seconds with a cold index, seconds with the index, MiB)
    "small": (0.1, 0.03, 16), "moe": (2, 0.2, 128), "moe-crc": (2, 0.2, 128), "thousand": (3, 0.3, 192), "four-thousand": (12, 1, 512),
}
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
    mounts.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon to end")
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


def measure(program, data, worlds=TARGETS, rounds=3, warm=False):
    """A row (a dict) for each world and view."""
    rows = []
    for world in worlds:
        folder = make_world.ensure(data, world)
        with tempfile.TemporaryDirectory(prefix="gatherfs-bench-") as cache:
            for view in VIEWS:
                if warm:
                    mounted(program, folder, view, cache)
                runs = [mounted(program, folder, view, cache if warm else None) for _ in range(rounds)]
                rows.append({"world": world, "view": view, "warm": warm, "seconds": statistics.median(r[0] for r in runs),
                             "seconds_target": TARGETS[world][1 if warm else 0], "listed_mib": max(r[1] for r in runs),
                             "read_mib": max(r[2] for r in runs), "mib_target": TARGETS[world][2],
                             "header_reads": header_reads(program, folder, cache if warm else None) if view == "unified" else None})
    return rows


def main():
    program, data, *worlds = sys.argv[1:]
    rounds = int(os.environ.get("ROUNDS", "3"))
    print(f"{'world':14} {'view':12} {'index':5} {'s':>7} {'target':>7} {'MiB ls':>7} {'read':>7} {'target':>7} {'header reads':>12}")
    for world in worlds or TARGETS:
        for row in measure(program, data, [world], rounds) + measure(program, data, [world], rounds, warm=True):
            print(f"{row['world']:14} {row['view']:12} {'warm' if row['warm'] else 'cold':5} {row['seconds']:7.3f} {row['seconds_target']:7} "
                  f"{row['listed_mib']:7.1f} {row['read_mib']:7.1f} {row['mib_target']:7} {row['header_reads'] if row['header_reads'] is not None else '':>12}",
                  flush=True)


if __name__ == "__main__":
    main()
