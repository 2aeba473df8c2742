# SPDX-License-Identifier: Apache-2.0
"""Mounting: seconds from starting the program to the end of the first listing with attributes."""
import os
import statistics
import time

import mounts
from figures import Row
from mounts import Failed
from reading import RANK, UNIFIED, merged_folder, mount_of

# name: (checkpoint, view of it, most seconds)
SCENARIOS = {"small-mount": ("small", UNIFIED, 0.10), "small-rank-mount": ("small", RANK, 0.10)}
MOUNTS = 7  # how often


def measure(bench, name):
    checkpoint, view, target = SCENARIOS[name]
    folder = bench.checkpoint(checkpoint)
    times = [mount_time(bench, view, folder) for _ in range(MOUNTS)]
    label = f"8 ranks x 2,000 parameters{'' if view == UNIFIED else ', as ranks'}"
    figures = {"median": statistics.median(times), "least": min(times), "most": max(times)}
    return [Row("mounting to the first listing, s", label, figures, "median", target, True, {"seconds": times})]


def mount_time(bench, view, folder):
    with mounts.empty_folder() as point, merged_folder(folder) as merged:
        source, *options = mount_of(view, folder, merged)
        start = time.perf_counter()
        mounts.run(bench.program, "mount", source, point, "-o", ",".join(options))
        names = [entry.name for entry in os.scandir(point) if entry.stat()]
        seconds = time.perf_counter() - start
        mounts.run(bench.program, "umount", point)
    if ("param_name_map.json" if view == UNIFIED else "rank_7") not in names:
        raise Failed(f"the mount of {folder} shows {names}")
    return seconds
