# SPDX-License-Identifier: Apache-2.0
"""One measurement with a real loader, in a process of its own: load.py WORK ARGUMENT... prints a line of seconds for each contestant.

  safe_open|load_checkpoint cold|warm ROUNDS MOUNTED PLAIN   every tensor of a file, by safetensors or MindSpore, every byte touched
  merge PROGRAM CHECKPOINT STRATEGY OUT                      mount and load; unified_safetensors, synced, and load of its result
  split PROGRAM MERGED STRATEGY OUT                          mount as ranks and load rank 1; load_distributed_checkpoint and load
"""
import gc
import glob
import os
import shutil
import subprocess
import sys
import time

import numpy as np
from safetensors import safe_open

RANK = 1


def touch(array):
    """Every byte, as whoever computes with it would."""
    flat = array.reshape(-1).view(np.uint8)
    words = flat[:len(flat) // 8 * 8].view(np.uint64)
    return int(np.add.reduce(words)) + int(np.add.reduce(flat[len(words) * 8:], dtype=np.uint64))


def by_safe_open(path):
    with safe_open(path, framework="np") as f:
        return {name: touch(f.get_tensor(name)) for name in f.keys()}


def by_load_checkpoint(path):
    import mindspore
    return {name: touch(p.asnumpy()) for name, p in mindspore.load_checkpoint(path, format="safetensors").items()}


def load_folder(folder):
    sums = {}
    for path in sorted(glob.glob(f"{folder}/*.safetensors")):
        sums.update(by_load_checkpoint(path))
    return sums


def drop(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def timed(fn, *args):
    start = time.perf_counter()
    result = fn(*args)
    return time.perf_counter() - start, result


def agree(a, b):
    if a != b or not a:
        sys.exit(f"load.py: the loaders disagree on {sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))[:5]}")


def forget(path):
    """Out of the page cache, where what is mapped would stay: MindSpore's parameters are mappings of the file."""
    gc.collect()
    drop(path)


def turns(load, way, rounds, paths):
    """The plain file lies in the page cache in any case; the mounted one does when it is warm."""
    seconds = [[], []]
    agree(*(load(p) for p in paths))
    for _ in range(int(rounds)):
        if way == "cold":
            forget(paths[0])
        for path, list_ in zip(paths, seconds):
            list_.append(timed(load, path)[0])
    return seconds


def mounted(program, source, options, folder, out):
    """Mounts, loads what is in a folder of the mount, unmounts."""
    point = f"{out}/mount"
    os.makedirs(point)
    start = time.perf_counter()
    subprocess.run([program, "mount", source, point, "-o", options], check=True)
    try:
        sums = load_folder(f"{point}/{folder}")
        return time.perf_counter() - start, sums
    finally:
        gc.collect()  # MindSpore's parameters are mappings of the files
        subprocess.run([program, "umount", point], check=True)


def sync(folder):
    for path in glob.glob(f"{folder}/**/*", recursive=True):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def merge(program, checkpoint, strategy, out):
    import mindspore
    ours, sums = mounted(program, checkpoint, f"strategy={strategy}", ".", out)

    def by_hand():
        mindspore.unified_safetensors(checkpoint, glob.glob(f"{strategy}/*.ckpt")[0], f"{out}/merged", max_process_num=2)
        sync(f"{out}/merged")
        return load_folder(f"{out}/merged")

    theirs, want = timed(by_hand)
    agree(sums, want)
    return [[ours], [theirs]]


def split(program, merged, strategy, out):
    import mindspore
    ours, sums = mounted(program, merged, f"to={strategy}", f"rank_{RANK}", out)

    def by_hand():
        mindspore.load_distributed_checkpoint(network=None, predict_strategy=glob.glob(f"{strategy}/*.ckpt")[0], unified_safetensors_dir=merged,
                                              dst_safetensors_dir=f"{out}/split", rank_id=RANK, format="safetensors", max_process_num=2)
        return load_folder(f"{out}/split/rank_{RANK}")

    theirs, want = timed(by_hand)
    agree(sums, want)
    return [[ours], [theirs]]


if __name__ == "__main__":
    work, args = sys.argv[1], sys.argv[2:]
    if work in ("merge", "split"):
        shutil.rmtree(args[3], ignore_errors=True)
        os.makedirs(args[3])
        result = {"merge": merge, "split": split}[work](*args)
        shutil.rmtree(args[3])
    else:
        result = turns({"safe_open": by_safe_open, "load_checkpoint": by_load_checkpoint}[work], args[0], args[1], args[2:])
    for seconds in result:
        print("seconds", *seconds)
