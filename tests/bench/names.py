# SPDX-License-Identifier: Apache-2.0
"""Other names: views that rename, fuse, split and transpose, read beside the plain view of the same source in the same run.

Each model has one large layer. A tensor has a file of its own in both views (part_size), so that nothing else is measured with it, and
is compared with what numpy makes of Hugging Face's tensors before it is timed.
"""
import json
import os
import random
import statistics
import sys
import time
from dataclasses import dataclass

import made
import mounts
from figures import Row
from mounts import Failed
from reading import BLOCK, read_whole, readbench, tensors_of

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ref import safefile  # noqa: E402
from ref.families import Family, as_files  # noqa: E402

COMMON = {"num_hidden_layers": 1, "hidden_size": 2048, "vocab_size": 8, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True}
MODELS = {  # kind, its config: 400 MB with long rows, 290 MB of 32 experts, 2,200 tensors of a few bytes
    "dense": ("qwen3", {**COMMON, "num_attention_heads": 128, "intermediate_size": 32768}),
    "experts": ("qwen3_moe", {**COMMON, "num_attention_heads": 8, "num_experts": 32, "moe_intermediate_size": 768, "decoder_sparse_step": 1,
                              "mlp_only_layers": [], "use_interleaved_weight_layout_mlp": True}),
    "many": ("qwen3", {**COMMON, "num_hidden_layers": 200, "hidden_size": 4, "num_attention_heads": 8, "head_dim": 2, "intermediate_size": 4}),
}
VERSION = 1
MOUNTS = 15
READING, MOUNTING = "reading under other names, O_DIRECT, GB/s", "mounting under other names to the first listing, s"
LAYER = "decoder.layers.0"
SLOWER = "of the slower"  # of the two plain mounts


@dataclass
class Scenario:
    label: str
    model: str
    source: str   # hf or ms: whose names the files have
    names: str
    tensor: str   # that is read; empty: the whole model, in one file
    key: str      # the figure with a target
    target: float


SCENARIOS = {
    "names-renamed": Scenario("renamed", "dense", "hf", "mcore", f"{LAYER}.mlp.linear_fc2.weight", "of plain", 0.95),
    "names-fused": Scenario("q, k and v fused", "dense", "hf", "mcore-train", f"{LAYER}.self_attention.linear_qkv.weight", "of plain", 0.95),
    "names-split": Scenario("q of a fused weight", "dense", "ms", "hf", "model.layers.0.self_attn.q_proj.weight", "of plain", 0.95),
    "names-interleaved": Scenario("rows of 4 KiB interleaved", "dense", "hf", "mcore-train", f"{LAYER}.mlp.linear_fc1.weight", "of plain", 0.5),
    "names-taken-apart": Scenario("interleaved rows taken apart", "dense", "ms", "hf", "model.layers.0.mlp.gate_proj.weight", "of plain", 0.5),
    "names-experts": Scenario("gate and up of experts, transposed", "experts", "hf", "mcore-train", f"{LAYER}.mlp.experts.weight1", "gatherfs", 1),
    "names-experts-down": Scenario("down of experts, transposed", "experts", "hf", "mcore-train", f"{LAYER}.mlp.experts.weight2", "gatherfs", 1),
    "names-experts-back": Scenario("experts transposed back", "experts", "ms", "hf", "", "gatherfs", 1),
    "names-mount": Scenario("2,200 tensors renamed", "many", "hf", "mcore", "", SLOWER, 1.25),
    "names-mount-fused": Scenario("2,200 tensors fused", "many", "hf", "mcore-train", "", SLOWER, 1.25),
    "names-mount-split": Scenario("1,600 tensors taken apart", "many", "ms", "hf", "", SLOWER, 1.25),
}


def measure(bench, name):
    s = SCENARIOS[name]
    folder = ensure(bench, s.model)
    return [mount_row(bench, s, folder) if s.model == "many" else read_row(bench, s, folder)]


def family(model):
    kind, config = MODELS[model]
    return Family(random.Random(model), kind, "BF16", **config)


def ensure(bench, model):
    """The folder of a model: hf/, ms/ and config.json, in the page cache."""
    folder = made.ensure(f"{bench.data}/names-{model}", [VERSION, MODELS[model]], lambda folder: make(folder, family(model)))
    bench.once(("cached", folder), lambda: fill(folder))
    return folder


def make(folder, f):
    for side, tensors in (("hf", f.hf), ("ms", f.mcore_train())):
        os.makedirs(f"{folder}/{side}", exist_ok=True)
        with open(f"{folder}/{side}/part0.safetensors", "wb") as out:
            out.write(safefile.write(as_files(tensors, "BF16")))
    with open(f"{folder}/config.json", "w") as out:
        json.dump(f.config, out)


def fill(folder):
    for side in ("hf", "ms"):
        with open(f"{folder}/{side}/part0.safetensors", "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            buf = bytearray(BLOCK)
            while f.readinto(buf):
                pass


def options(s, folder):
    """Of the view with other names, and of the plain one."""
    size = "part_size=1K" if s.tensor else "part_size=16G"
    return (f"names={s.names}", "index=ms", size, f"with={folder}"), ("index=ms", size, f"with={folder}")


def files_of(point):
    """tensor -> the file that it is in."""
    with open(f"{point}/param_name_map.json") as f:
        return {tensor: f"{point}/{name}" for tensor, name in json.load(f)["weight_map"].items()}


def like(path, point):
    """The file of a view whose size is nearest to that of `path`: how fast a file is read depends on its size, too."""
    return min(set(files_of(point).values()), key=lambda other: (abs(os.path.getsize(other) - os.path.getsize(path)), other))


def compare(path, want):
    got = tensors_of(read_whole(path, os.O_DIRECT))
    if not got.keys() <= want.keys() or (len(got) > 1 and len(got) < len(want)):
        raise Failed(f"{path}: not the tensors of the model")
    for name, (dtype, shape, data) in got.items():
        if (dtype, shape) != want[name][:2] or data.tobytes() != want[name][2]:
            raise Failed(f"{path}: tensor {name} is not what numpy makes of the model: nothing is timed")


def read_row(bench, s, folder):
    ours, plain = options(s, folder)
    with mounts.gatherfs(bench.program, f"{folder}/{s.source}", *ours) as point, mounts.gatherfs(bench.program, f"{folder}/{s.source}", *plain) as beside:
        files, f = files_of(point), family(s.model)
        path = files[s.tensor] if s.tensor else next(iter(files.values()))
        bench.once(("compared", s.label), lambda: compare(path, as_files({"hf": f.hf, "mcore": f.mcore(), "mcore-train": f.mcore_train()}[s.names], "BF16")))
        rates = dict(zip(("gatherfs", "plain view"), readbench(bench, ["direct"], path, like(path, beside))))
    figures = {k: statistics.median(v) for k, v in rates.items()}
    figures["of plain"] = statistics.median(a / b for a, b in zip(*rates.values()))
    return Row(READING, s.label, figures, s.key, s.target, False, rates)


def mount_time(bench, source, view):
    with mounts.empty_folder() as point:
        start = time.perf_counter()
        mounts.run(bench.program, "mount", source, point, "-o", ",".join(view))
        listed = len([e for e in os.scandir(point) if e.stat()])
        seconds = time.perf_counter() - start
        mounts.run(bench.program, "umount", point)
    if not listed:
        raise Failed(f"the mount of {source} is empty")
    return seconds


def mount_row(bench, s, folder):
    """Beside the plain views of the source and of the same tensors as the other side stores them: names can cost no less than reading
    the header of the one and writing that of the other, so the slower of the two counts."""
    ours, plain = options(s, folder)
    other = "ms" if s.source == "hf" else "hf"
    mounted = {"gatherfs": (s.source, ours), "plain view": (s.source, plain), "as stored": (other, plain)}
    times = {key: [] for key in mounted}
    for _ in range(MOUNTS):
        for key, (source, view) in mounted.items():
            times[key].append(mount_time(bench, f"{folder}/{source}", view))
    figures = {k: statistics.median(v) for k, v in times.items()}
    figures[s.key] = statistics.median(a / max(b, c) for a, b, c in zip(*times.values()))
    return Row(MOUNTING, s.label, figures, s.key, s.target, True, times)
