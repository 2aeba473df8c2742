# SPDX-License-Identifier: Apache-2.0
"""Reading: how fast the bytes of a mounted file come, and what the daemon needs of memory meanwhile.

A mount is compared with an empty FUSE file (nullfs.c), which is as fast as FUSE can be here, and with an ordinary file of the same
contents. The three are read in turn, round after round, and each round gives a ratio; the medians are shown. The bytes are compared
before anything is timed.
"""
import contextlib
import glob
import json
import mmap
import os
import statistics
from dataclasses import dataclass

import numpy as np

import mounts
from figures import Row
from mounts import Failed

BLOCK = 1 << 20
MEMORY = 32  # MiB: the most that a daemon may have of its own
UNIFIED, RANK = "unified", "rank"  # views: the shards as one model; the merged file as the shards of rank 1

@dataclass
class Scenario:
    checkpoint: str
    view: str
    way: str            # of readbench
    target: float       # least part of what the empty FUSE file does
    processes: int = 1  # that read at once, each a part of the file
    options: tuple = () # more of the mount


SCENARIOS = {
    "blocks-direct": Scenario("blocks", UNIFIED, "direct", 0.62),
    "blocks-direct-2": Scenario("blocks", UNIFIED, "direct", 0.55, 2),
    "rows-direct": Scenario("rows", UNIFIED, "direct", 0.55),
    "narrow-direct": Scenario("narrow", UNIFIED, "direct", 0.45),
    "blocks-trusted": Scenario("blocks", UNIFIED, "direct", 0.85, 1, ("trust_sources",)),
    "blocks-trusted-2": Scenario("blocks", UNIFIED, "direct", 0.78, 2, ("trust_sources",)),
    "blocks-cold": Scenario("blocks", UNIFIED, "cold", 0.85),
    "rows-cold": Scenario("rows", UNIFIED, "cold", 0.85),
    "blocks-warm": Scenario("blocks", UNIFIED, "warm", 0.95),
    "blocks-mapped": Scenario("blocks", UNIFIED, "mapped", 0.80),
    "rows-mapped": Scenario("rows", UNIFIED, "mapped", 0.80),
    "blocks-rank-direct": Scenario("blocks", RANK, "direct", 0.62),
    "rows-rank-direct": Scenario("rows", RANK, "direct", 0.55),
    "blocks-rank-cold": Scenario("blocks", RANK, "cold", 0.85),
    "rows-rank-cold": Scenario("rows", RANK, "cold", 0.85),
}
WAYS = {"direct": "O_DIRECT", "cold": "buffered, cold", "warm": "buffered, warm", "mapped": "mapped in order, cold"}
KINDS = {"blocks": "whole blocks", "rows": "rows of 2 KiB", "narrow": "rows of 256 B"}
READING = "reading, 1 MiB a read, GB/s"
MEMORY_OF = "memory of the daemon, MiB"


def measure(bench, name):
    s = SCENARIOS[name]
    with compared_mount(bench, s.checkpoint, s.view, s.options) as (path, null, plain):
        rates = readbench(bench, ["-p", str(s.processes), s.way], path, null, "+", plain)
        memory = mounts.anonymous_mib(mounts.daemon_of(bench.program, os.path.realpath(mount_point(path))))
    label = "".join([KINDS[s.checkpoint], "" if s.view == UNIFIED else ", a rank of", f", {WAYS[s.way]}",
                     f", {s.processes} readers" if s.processes > 1 else "", *(f", {o}" for o in s.options)])
    return [ratios(READING, label, dict(zip(("gatherfs", "empty", "plain"), rates)), s.target),
            Row(MEMORY_OF, label, {"most": memory}, "most", MEMORY, True)]


@contextlib.contextmanager
def compared_mount(bench, checkpoint, view, options=()):
    """A mount whose bytes were compared: the mounted file, an empty FUSE file of its size and read-ahead, the plain file."""
    folder = bench.checkpoint(checkpoint)
    with merged_folder(folder) as merged, mounts.gatherfs(bench.program, *mount_of(view, folder, merged), *options) as point:
        path, plain = image_of(point, view), plain_of(folder, view)
        bench.once(("compared", checkpoint, view, options), lambda: compare(path, plain))
        with mounts.nullfs(f"{bench.tools}/nullfs", os.stat(path).st_size) as null:
            mounts.copy_readahead(path, null)
            yield path, null, plain


def mount_point(path):
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def readbench(bench, way, *files):
    """What readbench says of every round, a list a line."""
    said = mounts.run(f"{bench.tools}/readbench", *way[:-1], way[-1], str(bench.rounds), *files)
    return [[float(word) for word in line.split()] for line in said.splitlines()]


def ratios(group, label, rates, target):
    def of(other):
        return statistics.median(a / b for a, b in zip(rates["gatherfs"], rates[other]))

    figures = {**{k: statistics.median(v) for k, v in rates.items()}, "of plain": of("plain"), "of empty": of("empty")}
    return Row(group, label, figures, "of empty", target, False, rates)


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
    return (f"{folder}/checkpoint", f"strategy={folder}/strategy") if view == UNIFIED else (merged, f"to={folder}/strategy")


def plain_of(folder, view):
    """The ordinary file with the same tensors."""
    return f"{folder}/merged.safetensors" if view == UNIFIED else glob.glob(f"{folder}/checkpoint/rank_1/*.safetensors")[0]


def image_of(point, view):
    """The one file of weights that a mount of these checkpoints shows."""
    folder = point if view == UNIFIED else f"{point}/rank_1"
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
