#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a build of gatherfs: run.py --build DIR [--data DIR] [--rounds N] [SCENARIO...]

Whatever is timed is compared with the same work done without gatherfs in the same run: absolute figures say little of another
machine, ratios do. Sources are in the page cache unless a scenario says otherwise, and bytes are compared before they are timed.

Prints tables with the targets and writes DIR/bench.json. A missed target is no failure: a failure is what could not be run.
"""
import argparse
import glob
import json
import os
import sys
import tempfile
import time

import cold
import exports
import figures
import loaders
import make_checkpoint
import mounts
import names
import readers
import reading
import worlds

GROUPS = (reading, readers, cold, worlds, names, loaders, exports)  # each has SCENARIOS and measure(bench, name), which gives rows


class Bench:
    """What the scenarios share."""

    def __init__(self, build, data, rounds):
        self.program = os.path.abspath(f"{build}/gatherfs")
        self.tools = f"{build}/tests/bench"
        self.data, self.rounds = os.path.abspath(data), rounds
        self.done = set()

    def once(self, key, work):
        if key not in self.done:
            work()
            self.done.add(key)

    def checkpoint(self, name):
        """The folder of a checkpoint (make_checkpoint.py), in the page cache."""
        folder = make_checkpoint.ensure(self.data, name)
        self.once(("cached", name), lambda: fill_page_cache(folder))
        return folder


def fill_page_cache(folder):
    """Anew, in order: pages that were written, or came back one by one after a shortage, are small ones, and half as fast."""
    buf = bytearray(1 << 20)
    for path in glob.glob(f"{folder}/**/*.*", recursive=True):
        with open(path, "rb", buffering=0) as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while f.readinto(buf):
                pass


def print_facts(facts):
    print(f"{facts['cores']} cores ({facts['processor']}), Linux {facts['kernel']}, libfuse {facts['libfuse']}, "
          f"{'root' if facts['root'] else 'not root'}")
    if facts["load_before"] >= 0.5:
        print(f"other programs were running (load {facts['load_before']}): expect worse figures")


def measure(bench, wanted):
    rows = []
    for group in GROUPS:
        for name in group.SCENARIOS:
            if not wanted or name in wanted:
                started = time.monotonic()
                rows += group.measure(bench, name)
                print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return rows


def main():
    known = [name for group in GROUPS for name in group.SCENARIOS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--data", default="build/bench", help="where the checkpoints are made and kept")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("wanted", nargs="*", metavar="SCENARIO", help=" ".join(known))
    args = parser.parse_args()
    for name in args.wanted:
        if name not in known:
            parser.error(f"no scenario is called {name}")
    started = time.monotonic()
    try:
        facts = mounts.machine()
        with tempfile.TemporaryDirectory(prefix="gatherfs-bench-") as os.environ["XDG_CACHE_HOME"]:  # not the user's own
            rows = measure(Bench(args.build, args.data, args.rounds), args.wanted)
    except mounts.Failed as e:
        sys.exit(f"bench: {e}")
    print_facts(facts)
    figures.print_tables(rows)
    with open(f"{args.build}/bench.json", "w") as f:
        json.dump({"machine": facts, "rounds": args.rounds, "seconds": time.monotonic() - started,
                   "rows": [row.as_json() for row in rows]}, f, indent=1)
    print(f"\nfigures are medians of {args.rounds} rounds; every round is in {args.build}/bench.json")


if __name__ == "__main__":
    main()
