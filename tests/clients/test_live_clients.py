# SPDX-License-Identifier: Apache-2.0
"""A real training with MindSpore Transformers' CheckpointMonitor, followed by a mount while it saves."""
import json
import os
import subprocess
import sys
import time

import numpy as np
from safetensors import safe_open

from mount import lib

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, KEEP = 12, 3


def train(tmp, rank):
    """Two data-parallel ranks: each is a process that trains the same net and saves all of it."""
    os.makedirs(f"{tmp}/run-{rank}/local")
    env = {**os.environ, "GLOG_v": "3", "RANK_ID": str(rank), "LOCAL_DEFAULT_PATH": f"{tmp}/run-{rank}/local"}
    with open(f"{tmp}/run-{rank}/log", "wb") as log:
        return subprocess.Popen([sys.executable, f"{HERE}/mf_train_save.py", f"{tmp}/out", str(STEPS), str(KEEP), "0.5"], env=env,
                                cwd=f"{tmp}/run-{rank}", stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def compare(folder, want):
    """Every tensor of a step, as safe_open reads it, with what the training had; False when the step is gone. Its parameters."""
    seen = {}
    try:
        for name in os.listdir(folder):
            if name.startswith("model-"):
                with safe_open(f"{folder}/{name}", framework="numpy") as f:
                    seen.update({key: f.get_tensor(key) for key in f.keys()})
    except FileNotFoundError:
        return None
    for name, value in want.items():
        lib.need(name in seen and seen[name].tobytes() == value.tobytes(), f"{folder}: {name} differs or is not there")
    return seen


def wanted(tmp, step):
    """What a rank had, which is the same for both; one of them has saved it, the other may lag behind."""
    path = next(p for p in (f"{tmp}/out/want/rank_{rank}/{step}.npz" for rank in (0, 1)) if os.path.exists(p))
    with np.load(path) as f:
        return {n: f[n] for n in f.files if n.startswith(("model.", "lm_head.", "adam_"))}


def test_training(tmp):
    os.makedirs(f"{tmp}/out/checkpoint")
    with lib.Mount(f"{tmp}/out/checkpoint", "steps=all", "strategy=none") as root:
        ranks = [train(tmp, rank) for rank in (0, 1)]
        compared, weights = 0, {}
        while any(r.poll() is None for r in ranks):
            for name in set(os.listdir(root)) - {".gatherfs", "latest"}:
                step = int(name.split("_")[1])
                seen = compare(f"{root}/{name}", wanted(tmp, step))
                if seen:
                    compared += 1
                    weights[step] = seen["model.layers.0.attention.wq.weight"].tobytes()
            time.sleep(0.05)
        lib.equal([r.wait() for r in ranks], [0, 0], f"exit codes of the training: {lib.read(f'{tmp}/run-0/log')[-800:]}\n")
        lib.wait_for(lambda: set(os.listdir(root)) == {".gatherfs", "latest", "1_10", "1_11", "1_12"}, "the last steps")
        lib.need(len(weights) > 5 and len(set(weights.values())) == len(weights), f"a weak test: saw {sorted(weights)}")
        lib.need(compare(f"{root}/latest", wanted(tmp, STEPS)), "the last step")
        lib.equal(os.readlink(f"{root}/latest"), f"1_{STEPS}", "latest")
        lib.equal(json.loads(lib.read(f"{root}/.gatherfs/status.json"))["problems"], [], "problems")
    return f"saw {len(weights)} of {STEPS} steps, compared {compared} times"


if __name__ == "__main__":
    lib.main()
