# SPDX-License-Identifier: Apache-2.0
"""Cold sources: reading in order where the sources lie on storage that answers each read of at most 128 KiB after 5 ms.

The storage is tests/faultfs.c, mounted anew for each reading, so that nothing of it is in the page cache. A mounted model is read from
it with and without reading ahead (cache_budget=off), and one plain file, which the kernel reads ahead by itself.
"""
import contextlib
import os
import statistics
import subprocess
import time

import mounts
from figures import Row
from mounts import Failed
from reading import KINDS, UNIFIED, image_of

SCENARIOS = {"slow-blocks": ("blocks", 5), "slow-rows": ("rows", 5)}  # name: (checkpoint, least times the plain file)
DELAY = 5000            # microseconds
PART, PLAIN_PART = 128 << 20, 16 << 20  # bytes of the model, and of the plain file, that are read
BLOCK = 1 << 20


@contextlib.contextmanager
def slow_storage(program, folder):
    with mounts.empty_folder() as point:
        server = subprocess.Popen([program, folder, point], stdin=subprocess.DEVNULL)
        try:
            mounts.wait_for(lambda: os.path.ismount(point) or server.poll() is not None, "the slow storage")
            if server.poll() is not None:
                raise Failed(f"{program} ended with exit code {server.returncode}")
            with open(f"{point}/.faults", "w") as f:
                f.write(f"delay_us={DELAY}")
            yield point
        finally:
            server.terminate()
            server.wait(mounts.TIMEOUT)


def rate(path, size):
    """MB/s of reading the first `size` bytes of a file."""
    buf, left, began = bytearray(BLOCK), size, time.perf_counter()
    with open(path, "rb", buffering=0) as f:
        while left > 0:
            n = f.readinto(buf)
            if not n:
                raise Failed(f"{path}: shorter than {size} bytes")
            left -= n
    return (size - left) / (time.perf_counter() - began) / 1e6


def of_model(bench, folder, *options):
    storage = slow_storage(f"{os.path.dirname(bench.program)}/tests/faultfs", folder)
    with storage as point, mounts.gatherfs(bench.program, f"{point}/checkpoint", *options) as root:
        return rate(image_of(root, UNIFIED), PART)


def of_plain(bench, folder):
    with slow_storage(f"{os.path.dirname(bench.program)}/tests/faultfs", folder) as point:
        return rate(f"{point}/merged.safetensors", PLAIN_PART)


def measure(bench, name):
    checkpoint, target = SCENARIOS[name]
    folder, rounds = bench.checkpoint(checkpoint), {"gatherfs": [], "not ahead": [], "plain file": []}
    for _ in range(min(bench.rounds, 3)):
        rounds["gatherfs"].append(of_model(bench, folder, "index=ms"))
        rounds["not ahead"].append(of_model(bench, folder, "cache_budget=off"))
        rounds["plain file"].append(of_plain(bench, folder))
    figures = {key: statistics.median(values) for key, values in rounds.items()}
    figures["of plain"] = figures["gatherfs"] / figures["plain file"]
    return [Row("reading in order from slow storage, MB/s", KINDS[checkpoint], figures, "of plain", target, False, rounds)]
