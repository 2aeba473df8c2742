#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a build of gatherfs: run.py --build DIR [--data DIR] [--rounds N] [SCENARIO...]

Reading is compared with an empty FUSE file (nullfs.c), which is as fast as FUSE can be here, and with an ordinary file of the same
contents. The three are read in turn, round after round, and each round gives a ratio; the medians are shown. Absolute figures say
little of another machine, ratios do. Sources are in the page cache. The bytes are compared before anything is timed.

Prints a table with the targets and writes DIR/bench.json. A missed target is no failure: a failure is what could not be run.
"""
import argparse
import contextlib
import glob
import json
import mmap
import os
import statistics
import sys
import time

import numpy as np

import exports
import make_checkpoint
import mounts
from mounts import Failed

# name: (checkpoint, view of it, way of readbench, least part of what the empty FUSE file does)
READING = {
    "blocks-direct": ("blocks", "unified", "direct", 0.55),
    "rows-direct": ("rows", "unified", "direct", 0.40),
    "blocks-cold": ("blocks", "unified", "cold", 0.70),
    "rows-cold": ("rows", "unified", "cold", 0.70),
    "blocks-mapped": ("blocks", "unified", "mapped", 0.70),
    "rows-mapped": ("rows", "unified", "mapped", 0.70),
    "blocks-rank-direct": ("blocks", "rank", "direct", 0.55),
    "rows-rank-direct": ("rows", "rank", "direct", 0.40),
    "blocks-rank-cold": ("blocks", "rank", "cold", 0.70),
    "rows-rank-cold": ("rows", "rank", "cold", 0.70),
}
# name: (checkpoint, view of it, most seconds to the first answered listing)
MOUNTING = {"small-mount": ("small", "unified", 0.15), "small-rank-mount": ("small", "rank", 0.15)}
EXPORTING = {"export": ("mixed", 0.80)}  # name: (checkpoint, least part of the speed of cp)
SCENARIOS = [*READING, *MOUNTING, *EXPORTING]
VIEWS = ("unified", "rank")  # of the shards, as one model; of the merged file, as the shards of rank 1
MOUNTS = 7                                   # how often
MEMORY = 32                                  # MiB: the most that a daemon may have of its own
WAYS = {"direct": "O_DIRECT", "cold": "buffered, cold", "warm": "buffered, warm", "mapped": "mapped in order, cold"}
KINDS = {"blocks": "whole blocks", "rows": "rows of 2 KiB", "small": "8 ranks x 2,000 parameters", "mixed": "1 GiB, rows and columns"}
BLOCK = 1 << 20


class Bench:
    def __init__(self, build, data, rounds, wanted):
        self.program = os.path.abspath(f"{build}/gatherfs")
        self.tools = f"{build}/tests/bench"
        self.data, self.rounds = os.path.abspath(data), rounds
        self.wanted = wanted or SCENARIOS
        self.reading, self.mounting, self.memory, self.exporting = {}, {}, {}, {}

    def of(self, table, checkpoint, view):
        """The wanted scenarios of a table that read this view of this checkpoint."""
        return {n: row[2:] for n, row in table.items() if row[:2] == (checkpoint, view) and n in self.wanted}

    def run(self):
        for checkpoint in make_checkpoint.CHECKPOINTS:
            for view in VIEWS:
                reading, mounting = self.of(READING, checkpoint, view), self.of(MOUNTING, checkpoint, view)
                if not reading and not mounting:
                    continue
                folder = make_checkpoint.ensure(self.data, checkpoint)
                fill_page_cache(folder)
                self.read(checkpoint, view, folder, reading)
                for name, (target,) in mounting.items():
                    self.mounting[name] = {"checkpoint": checkpoint, "view": view, "target": target, **self.mount_times(view, folder)}

        for name, (checkpoint, target) in EXPORTING.items():
            if name in self.wanted:
                self.export(name, checkpoint, target)

    def export(self, name, checkpoint, target):
        folder = make_checkpoint.ensure(self.data, checkpoint)
        fill_page_cache(folder)
        measured = exports.measure(self.program, folder, f"{self.data}/exported", self.rounds,
                                   lambda made: compare(image_of(made, "unified"), f"{folder}/merged.safetensors"))
        self.exporting[name] = {"checkpoint": checkpoint, "target": target, **measured}

    def read(self, checkpoint, view, folder, scenarios):
        """Mounts a view, compares all of it, measures the scenarios, and notes the daemon's memory on the way."""
        with merged_folder(folder) as merged, mounts.gatherfs(self.program, *mount_of(view, folder, merged)) as point:
            pid = mounts.daemon_of(self.program, point)
            memory = self.memory[f"{checkpoint} {view}"] = {"checkpoint": checkpoint, "view": view, "target": MEMORY,
                                                            "mounted": mounts.anonymous_mib(pid)}
            path, plain = image_of(point, view), plain_of(folder, view)
            compare(path, plain)
            memory["read_twice"] = mounts.anonymous_mib(pid)
            if scenarios:
                with mounts.nullfs(f"{self.tools}/nullfs", os.stat(path).st_size) as null:
                    mounts.copy_readahead(path, null)
                    for name, (way, target) in scenarios.items():
                        self.reading[name] = {"checkpoint": checkpoint, "view": view, "way": way, "target": target,
                                              "readahead_kib": mounts.readahead_kib(path), **self.rates(way, path, null, plain)}
                memory["at_the_end"] = mounts.anonymous_mib(pid)

    def rates(self, way, path, null, plain):
        lines = mounts.run(f"{self.tools}/readbench", way, str(self.rounds), path, null, "+", plain).splitlines()
        ours, empty, file = ([float(word) for word in line.split()] for line in lines)
        return {"gatherfs": ours, "nullfs": empty, "plain": file,
                "of_nullfs": statistics.median(a / b for a, b in zip(ours, empty)),
                "of_plain": statistics.median(a / b for a, b in zip(ours, file))}

    def mount_times(self, view, folder):
        """Seconds from starting the program to the end of the first listing with attributes."""
        times = []
        for _ in range(MOUNTS):
            with mounts.empty_folder() as point, merged_folder(folder) as merged:
                source, *options = mount_of(view, folder, merged)
                start = time.perf_counter()
                mounts.run(self.program, "mount", source, point, "-o", ",".join(options))
                names = [entry.name for entry in os.scandir(point) if entry.stat()]
                times.append(time.perf_counter() - start)
                mounts.run(self.program, "umount", point)
            if ("param_name_map.json" if view == "unified" else "rank_7") not in names:
                raise Failed(f"the mount of {folder} shows {names}")
        return {"seconds": times, "median": statistics.median(times)}


def fill_page_cache(folder):
    """Anew, in order: pages that were written, or came back one by one after a shortage, are small ones, and half as fast."""
    buf = bytearray(BLOCK)
    for path in glob.glob(f"{folder}/**/*.*", recursive=True):
        with open(path, "rb", buffering=0) as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while f.readinto(buf):
                pass


@contextlib.contextmanager
def merged_folder(folder):
    """A folder with nothing but the merged file: a unified SOURCE."""
    with mounts.empty_folder() as merged:
        os.symlink(f"{os.path.abspath(folder)}/merged.safetensors", f"{merged}/model.safetensors")
        try:
            yield merged
        finally:
            os.unlink(f"{merged}/model.safetensors")


def mount_of(view, folder, merged):
    """SOURCE and options of a view."""
    return (f"{folder}/checkpoint", f"strategy={folder}/strategy") if view == "unified" else (merged, f"to={folder}/strategy")


def plain_of(folder, view):
    """The ordinary file with the same tensors."""
    return f"{folder}/merged.safetensors" if view == "unified" else glob.glob(f"{folder}/checkpoint/rank_1/*.safetensors")[0]


def image_of(point, view):
    """The one file of weights that a mount of these checkpoints shows."""
    folder = point if view == "unified" else f"{point}/rank_1"
    files = [p for p in glob.glob(f"{folder}/*.safetensors") if not p.endswith("hyper_param.safetensors")]
    if len(files) != 1:
        raise Failed(f"expected one file of weights in the mount, found {files}")
    return files[0]


def read_whole(path, flags):
    """A file's bytes, read in megabytes into memory on a page, as O_DIRECT needs it."""
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        whole, buf, at = np.empty(os.fstat(fd).st_size, np.uint8), mmap.mmap(-1, BLOCK), 0
        while at < len(whole):
            n = os.preadv(fd, [buf], at)
            if n == 0:
                raise Failed(f"{path}: ends at byte {at} of {len(whole)}")
            whole[at:at + n] = np.frombuffer(buf, np.uint8, n)
            at += n
        return whole
    finally:
        os.close(fd)


def tensors_of(blob):
    """name -> (dtype, shape, bytes) of a safetensors file's bytes."""
    end = 8 + int.from_bytes(blob[:8].tobytes(), "little")
    header = json.loads(blob[8:end].tobytes())
    return {n: (t["dtype"], t["shape"], blob[end + t["data_offsets"][0]:end + t["data_offsets"][1]])
            for n, t in header.items() if n != "__metadata__"}


def compare(path, plain):
    """Reads the mounted file twice, directly and through the page cache, and compares every tensor with the merged file's."""
    got, want = tensors_of(read_whole(path, os.O_DIRECT)), tensors_of(np.memmap(plain, np.uint8, "r"))
    again = tensors_of(read_whole(path, 0))
    if got.keys() != want.keys() or again.keys() != want.keys():
        raise Failed(f"{path}: not the tensors of {plain}: {sorted(got.keys() ^ want.keys())[:5]}")
    for name, (dtype, shape, data) in want.items():
        for found in (got[name], again[name]):
            if found[:2] != (dtype, shape) or not np.array_equal(found[2], data):
                raise Failed(f"{path}: tensor {name} is not the one in {plain}: nothing is timed")


def print_table(bench, facts):
    print(f"{facts['cores']} cores ({facts['processor']}), Linux {facts['kernel']}, libfuse {facts['libfuse']}, "
          f"{'root' if facts['root'] else 'not root'}")
    print("" if facts["load_before"] < 0.5 else f"other programs were running (load {facts['load_before']}): expect worse figures\n")
    if bench.reading:
        print(f"{'reading, 1 MiB a read, GB/s':<40}{'gatherfs':>9}{'empty':>7}{'plain':>7}{'of plain':>10}{'of empty':>10}{'target':>8}")
    for r in bench.reading.values():
        rate = [statistics.median(r[k]) for k in ("gatherfs", "nullfs", "plain")]
        print(f"{of_view(r) + ', ' + WAYS[r['way']]:<40}{rate[0]:>9.2f}{rate[1]:>7.2f}{rate[2]:>7.2f}"
              f"{r['of_plain']:>10.2f}{r['of_nullfs']:>10.2f}{r['target']:>8.2f}{missed(r['of_nullfs'] < r['target'])}")
    for r in bench.mounting.values():
        print(f"\n{'mounting to the first listing, s':<40}{'':>33}{r['median']:>10.3f}{r['target']:>8.2f}{missed(r['median'] > r['target'])}")
        print(f"  {of_view(r)}, {len(r['seconds'])} times, {min(r['seconds']):.3f} to {max(r['seconds']):.3f}")
    for r in bench.exporting.values():
        rate = [r["bytes"] / statistics.median(r[k]) / 1e9 for k in ("gatherfs", "cp")]
        print(f"\n{'exporting, GB/s':<40}{'gatherfs':>9}{'cp':>7}{'':>7}{'of cp':>20}{'target':>8}")
        print(f"{KINDS[r['checkpoint']]:<40}{rate[0]:>9.2f}{rate[1]:>7.2f}{'':>7}{r['of_cp']:>20.2f}{r['target']:>8.2f}{missed(r['of_cp'] < r['target'])}")
        print(f"  memory of the process: at most {r['peak_kib'] / 1024:.1f} MiB")
    if not bench.memory:
        return
    print(f"\n{'memory of the daemon, MiB':<40}{'':>9}{'mounted':>17}{'read':>7}{'most':>10}{'target':>8}")
    for m in bench.memory.values():
        most = max(m[k] for k in ("mounted", "read_twice", "at_the_end") if k in m)
        print(f"{of_view(m):<40}{'':>9}{m['mounted']:>17.1f}{m['read_twice']:>7.1f}{most:>10.1f}{MEMORY:>8}{missed(most > MEMORY)}")


def of_view(row):
    return KINDS[row["checkpoint"]] + ("" if row["view"] == "unified" else ", a rank of")


def missed(is_missed):
    return "  missed" if is_missed else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--data", default="build/bench", help="where the checkpoints are made and kept")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("wanted", nargs="*", metavar="SCENARIO", help=" ".join(SCENARIOS))
    args = parser.parse_args()
    for name in args.wanted:
        if name not in SCENARIOS:
            parser.error(f"no scenario is called {name}")
    bench = Bench(args.build, args.data, args.rounds, args.wanted)
    try:
        facts = mounts.machine()
        bench.run()
    except Failed as e:
        sys.exit(f"bench: {e}")
    print_table(bench, facts)
    with open(f"{args.build}/bench.json", "w") as f:
        json.dump({"machine": facts, "rounds": args.rounds, "reading": bench.reading, "mounting": bench.mounting,
                   "memory": bench.memory, "exporting": bench.exporting}, f, indent=1)
    print(f"\neach figure is a median of {args.rounds} rounds; all of them are in {args.build}/bench.json")


if __name__ == "__main__":
    main()
