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

from figures import Row
from mounts import Failed
from reading import UNIFIED, compare, image_of

SCENARIOS = {"export": ("mixed", 0.80)}  # name: (checkpoint, least part of the speed of cp)
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


def measure(bench, name):
    checkpoint, target = SCENARIOS[name]
    folder = bench.checkpoint(checkpoint)
    size, peak, rates = export_rates(bench, folder)
    figures = {**{k: statistics.median(v) for k, v in rates.items()}, "memory, MiB": peak / 1024}
    figures["of cp"] = figures["gatherfs"] / figures["cp"]
    return [Row("exporting, GB/s", f"{size / (1 << 30):.1f} GiB, rows and columns", figures, "of cp", target, False, rates)]


def export_rates(bench, folder):
    """The bytes of an export, whose contents were compared; the memory of the process; GB/s of every round."""
    where = f"{bench.data}/exported"
    arguments = ["export", "-q", f"{folder}/checkpoint", "-o", f"strategy={folder}/strategy"]
    copy = "mkdir \"$2\" && cp \"$1\"/* \"$2\" && sync \"$2\"/* \"$2\""
    rates = {"gatherfs": [], "cp": []}
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    try:
        peak = timed(bench.program, *arguments, f"{where}/first", watch=True)[1]
        compare(image_of(f"{where}/first", UNIFIED), f"{folder}/merged.safetensors")
        size = sum(os.path.getsize(f"{where}/first/{n}") for n in os.listdir(f"{where}/first"))
        commands = {"gatherfs": [bench.program, *arguments, f"{where}/out"], "cp": ["sh", "-c", copy, "sh", f"{where}/first", f"{where}/out"]}
        for n in range(bench.rounds):
            for which in sorted(rates, reverse=n % 2 == 1):
                prepare(f"{where}/out", size)
                rates[which].append(size / timed(*commands[which])[0] / 1e9)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    return size, peak, rates
