# SPDX-License-Identifier: Apache-2.0
"""A training that saves: the system calls of MindSpore's CheckpointMonitor, without MindSpore.

usage: training.py FOLDER RANK FIRST LAST KEEP PAUSE: rank RANK saves the steps FIRST..LAST of model(), one every PAUSE seconds, and
keeps KEEP of them.
"""
import glob
import json
import os
import random
import stat
import sys
import time

from ref import safefile, sharded
from ref.algebra import Layout

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def model(step, rows=64):
    """dp2 tp2; each step has other values. At step N the counter step_num is N."""
    m = sharded.Model(step)
    m.add("embedding.weight", "F32", [rows, 96], Layout([2, 2], [0, -1])).add("columns.weight", "BF16", [rows, 64], Layout([2, 2], [-1, 0]))
    m.add("shared.weight", "F32", [rows, 16], Layout([2, 2], [0, -1], 1, -1)).add("norm.weight", "F32", [96], Layout([2, 2], [-1]))
    return m.add_outside("loss_scale", "F32", [1])


def blob(step, rank, rows=64):
    return safefile.write(model(step, rows).ranks()[rank], sharded.META)


def name(rank, step):
    return f"net_rank_{rank}-1_{step}.safetensors"


def random_name(prefix):
    return prefix + "".join(random.choice(LETTERS) for _ in range(6))


def put(path, data, mode):
    """What safetensors and MindSpore do together: a temporary name, a second one, the name, and only then the mode."""
    temporary = os.path.join(os.path.dirname(path), random_name(".tmp"))
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    for at in range(0, len(data), 65536):
        os.write(fd, data[at:at + 65536])
    os.close(fd)
    os.rename(temporary, path + ".tmp")
    os.rename(path + ".tmp", path)
    os.chmod(path, mode)


def rotate(folder, rank, keep):
    """Before saving: as many of the oldest files are deleted as it takes."""
    files = sorted(glob.glob(f"{folder}/rank_{rank}/net_rank_{rank}-*.safetensors"), key=lambda p: os.stat(p).st_mtime_ns)
    for path in files[:max(0, len(files) - keep + 1)]:
        os.chmod(path, stat.S_IWRITE)
        os.remove(path)


def put_meta(folder, rank, step):
    path = f"{folder}/rank_{rank}/meta.json"
    temporary = os.path.join(os.path.dirname(path), random_name("tmp"))
    with open(temporary, "w") as f:
        json.dump({"last_epoch": 1, "last_step": step, "last_ckpt_file": name(rank, step)}, f)
    os.replace(temporary, path)
    os.chmod(path, 0o640)


def save(folder, rank, step, data=None, keep=None):
    """One rank's save of one step, with the rotation before it."""
    os.makedirs(f"{folder}/rank_{rank}", mode=0o750, exist_ok=True)
    if keep:
        rotate(folder, rank, keep)
    put(f"{folder}/rank_{rank}/{name(rank, step)}", blob(step, rank) if data is None else data, 0o400)
    put_meta(folder, rank, step)


def main():
    folder, rank, first, last, keep, pause = sys.argv[1], *map(int, sys.argv[2:6]), float(sys.argv[6])
    for step in range(first, last + 1):
        save(folder, rank, step, keep=keep)
        time.sleep(pause * random.uniform(0.5, 1.5))


if __name__ == "__main__":
    main()
