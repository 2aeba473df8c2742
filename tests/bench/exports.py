# SPDX-License-Identifier: Apache-2.0
"""The export scenario: `gatherfs export` against `cp` of the files that it makes.

Both write to the same disk, to a folder that is not there yet, and both bring all of it to the disk before they end (export by
itself, cp by `sync FILE...` behind it). They take turns, and which is first changes from round to round. Sources are in the page
cache. Before each, as much memory as it will need is taken and given back: a virtual machine gives memory that was idle back to its
host, and whoever is first would wait until it is there again.
"""
import mmap
import os
import shutil
import statistics
import subprocess
import time

from mounts import Failed

PAGE = 4096


def warm_memory(size):
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size, PAGE):
            memory[at] = 1


def peak_kib(pid):
    """The most memory that a process had so far; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return max([0, *(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))])
    except OSError:
        return 0


def timed(*args, watch=False):
    """Runs a program: seconds, and its peak memory in KiB with `watch`."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while watch and process.poll() is None:
        peak = max(peak, peak_kib(process.pid))
        time.sleep(0.005)
    said = process.communicate()[1]
    if process.returncode != 0:
        raise Failed(f"{' '.join(args)}: exit code {process.returncode}: {said.strip()}")
    return time.perf_counter() - began, peak


def prepare(folder, size):
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()
    warm_memory(2 * size)


def measure(program, checkpoint, where, rounds, compare):
    """Times both, having called compare() with the folder of a first export. `where` is made and removed."""
    arguments = ["export", "-q", f"{checkpoint}/checkpoint", "-o", f"strategy={checkpoint}/strategy"]
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    first, ours, theirs = f"{where}/first", [], []
    try:
        peak = timed(program, *arguments, first, watch=True)[1]
        compare(first)
        names = sorted(os.listdir(first))
        size = sum(os.path.getsize(f"{first}/{n}") for n in names)
        copy = "mkdir \"$2\" && cp \"$1\"/* \"$2\" && sync \"$2\"/* \"$2\""
        for n in range(rounds):
            for which in ((ours, theirs) if n % 2 else (theirs, ours)):
                prepare(f"{where}/out", size)
                which.append(timed(program, *arguments, f"{where}/out")[0] if which is ours else
                             timed("sh", "-c", copy, "sh", first, f"{where}/out")[0])
    finally:
        shutil.rmtree(where, ignore_errors=True)
    return {"bytes": size, "gatherfs": ours, "cp": theirs, "peak_kib": peak,
            "of_cp": statistics.median(theirs) / statistics.median(ours)}
