# SPDX-License-Identifier: Apache-2.0
"""Steps that a training leaves, and what a mount with steps=all shows of them: shared by the tests of that."""
import json
import os
import time

from mount import lib, training
from ref import safefile

ALL = {0, 1, 2, 3}
STEPS = "steps=all"


def strategy(tmp):
    return training.model(0).save_strategy(f"{tmp}/strategy")


def series(tmp, steps):
    """A SOURCE with these steps, {step: ranks}, and its strategy."""
    os.makedirs(f"{tmp}/checkpoint", exist_ok=True)
    strategy(tmp)
    for step, ranks in steps.items():
        for rank in ranks:
            training.save(f"{tmp}/checkpoint", rank, step)
    return f"{tmp}/checkpoint"


def steps_of(root):
    return {n for n in os.listdir(root) if n not in (".gatherfs", "latest")}


def status(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))


def state(root, step):
    """(state, reason) of a step; (None, None) for one that is not known."""
    return next(((s["state"], s["why"]) for s in status(root)["steps"] if s["name"] == step), (None, None))


def shown(root, step):
    return f"1_{step}" in steps_of(root)


def await_steps(root, *steps):
    lib.wait_for(lambda: steps_of(root) == {f"1_{s}" for s in steps}, f"the steps {steps}, where {sorted(steps_of(root))} are shown")


def same_step(folder, step, rows=64):
    """Compares all of a step's folder; files that are gone make an OSError."""
    want = training.model(step, rows)
    lib.same_tensors(lib.tensors_of(folder), want.whole(), f"step {step}")
    lib.same_tensors(safefile.read_file(f"{folder}/hyper_param.safetensors")[0], want.hyper(), f"counters of step {step}")
    lib.equal(set(json.loads(lib.read(f"{folder}/param_name_map.json"))["weight_map"]), set(want.full), "param_name_map")


def remove(source, step, ranks=ALL):
    for rank in ranks:
        os.remove(f"{source}/rank_{rank}/{training.name(rank, step)}")


def daemon(root):
    pids = lib.daemons(root)
    lib.equal(len(pids), 1, f"daemons of {root}")
    return pids[0]


def descriptors(pid):
    """What a process has open for good: a look at SOURCE opens folders for a moment."""
    return min(len(os.listdir(f"/proc/{pid}/fd")) for _ in range(25) if time.sleep(0.02) is None)
