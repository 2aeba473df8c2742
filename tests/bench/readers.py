# SPDX-License-Identifier: Apache-2.0
"""Readers that are not one after the other: how long a small read at random takes, and whether many that map one file are in each other's way."""
import statistics

from figures import Row
from reading import UNIFIED, compared_mount, readbench

MANY = 32                                       # processes that map one file, as the workers of a host do
SCENARIOS = {"random": (25, 60), "many": None}  # random: microseconds that a read may take longer than of the empty FUSE file, median and 99th percentile


def measure(bench, name):
    return random_reads(bench) if name == "random" else many_readers(bench)


def random_reads(bench):
    with compared_mount(bench, "blocks", UNIFIED) as (path, null, _):
        lines = readbench(bench, ["random"], path, null)
    names = ("half take", "99 of 100 take")
    return [Row("reading 4 KiB at random, O_DIRECT, us", what, {"gatherfs": statistics.median(ours), "empty": statistics.median(empty),
                                                               "longer": statistics.median(a - b for a, b in zip(ours, empty))},
                "longer", target, True, {"gatherfs": ours, "empty": empty})
            for what, target, ours, empty in zip(names, SCENARIOS["random"], lines[:2], lines[2:])]


def many_readers(bench):
    with compared_mount(bench, "blocks", UNIFIED) as (path, _, _):
        one = readbench(bench, ["mapped"], path)[0]
        many = readbench(bench, ["-p", str(MANY), "-w", "mapped"], path)[0]
    figures = {"one": statistics.median(one), "all": statistics.median(many), "times": statistics.median(many) / statistics.median(one)}
    return [Row("mapping one file, cold, GB/s", f"{MANY} processes, each all of it", figures, "times", 1, False, {"one": one, "all": many})]
