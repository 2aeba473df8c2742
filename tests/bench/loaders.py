# SPDX-License-Identifier: Apache-2.0
"""Real loaders (load.py): on a mount and on the physically merged file; with a mount and with MindSpore's merging or splitting before."""
import os
import statistics

import mounts
from figures import Row
from mounts import Failed
from reading import UNIFIED, image_of, mount_of, plain_of

# name: (loader, checkpoint, page cache of the mount, most times as long as on the merged file)
LOADING = {
    "safe-open-cold": ("safe_open", "mixed700", "cold", 1.6),
    "safe-open-warm": ("safe_open", "mixed700", "warm", 1.1),
    "load-checkpoint-cold": ("load_checkpoint", "mixed700", "cold", 3.5),
    "load-checkpoint-warm": ("load_checkpoint", "mixed700", "warm", 1.3),
}
# name: (work, checkpoint, least times as fast as without gatherfs)
INSTEAD = {"merge": ("merge", "mixed700", 3), "split": ("split", "small", 100)}
SCENARIOS = {**LOADING, **INSTEAD}
LABELS = {"merge": "700 MB: mount, load / unified_safetensors, sync, load",
          "split": "one rank of 2,000 parameters: mount, load / load_distributed_checkpoint, load"}
LOADERS = {"safe_open": "safe_open, every tensor", "load_checkpoint": "ms.load_checkpoint, every byte touched"}
PYTHON = ".venv/clients/bin/python"  # has MindSpore
PATIENCE = 300                       # seconds: splitting takes MindSpore a minute


def measure(bench, name):
    return loading(bench, *LOADING[name]) if name in LOADING else instead(bench, *INSTEAD[name])


def child(*args):
    lines = mounts.run(PYTHON, f"{os.path.dirname(__file__)}/load.py", *args, timeout=PATIENCE).splitlines()
    found = [[float(word) for word in line.split()[1:]] for line in lines if line.startswith("seconds ")]
    if len(found) != 2:
        raise Failed(f"load.py {args}: printed {lines[-5:]}")
    return found


def loading(bench, loader, checkpoint, way, target):
    folder = bench.checkpoint(checkpoint)
    with mounts.gatherfs(bench.program, *mount_of(UNIFIED, folder, None)) as point:
        ours, plain = child(loader, way, str(bench.rounds), image_of(point, UNIFIED), plain_of(folder, UNIFIED))
    figures = {"gatherfs": statistics.median(ours), "plain": statistics.median(plain),
               "times": statistics.median(a / b for a, b in zip(ours, plain))}
    label = f"{LOADERS[loader]}, {way}"
    return [Row("loading 700 MB, s", label, figures, "times", target, True, {"gatherfs": ours, "plain": plain})]


def instead(bench, work, checkpoint, target):
    folder = bench.checkpoint(checkpoint)
    source = f"{folder}/checkpoint" if work == "merge" else merged_source(bench, folder)
    ours, theirs = child(work, bench.program, source, f"{folder}/strategy", f"{bench.data}/loading")
    figures = {"gatherfs": statistics.median(ours), "MindSpore": statistics.median(theirs)}
    figures["times faster"] = figures["MindSpore"] / figures["gatherfs"]
    return [Row("instead of merging and splitting, s", LABELS[work], figures, "times faster", target, False,
                {"gatherfs": ours, "MindSpore": theirs})]


def merged_source(bench, folder):
    """A unified checkpoint as MindSpore's splitter takes it."""
    made = f"{folder}/unified"
    bench.once(("unified", folder), lambda: os.path.isdir(made) or
               mounts.run(bench.program, "export", "-q", f"{folder}/checkpoint", made, "-o", f"strategy={folder}/strategy"))
    return made
