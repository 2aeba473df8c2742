# SPDX-License-Identifier: Apache-2.0
"""-o names=: tensors under the names of Hugging Face and of MindSpore Transformers, fused and split."""
import json
import os
import random

import numpy as np

from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout
from ref.families import DTYPES, Family, as_files

SEED = int(os.environ.get("SEED", "1"))

# family -> (names, its own values, what MindSpore has under them)
NAMINGS = {"llama": [("legacy", [], lambda f: f.legacy()), ("legacy", ["qkv_concat=true"], lambda f: f.legacy(True))],
           "qwen2": [("legacy", [], lambda f: f.legacy()), ("legacy", ["qkv_concat=true"], lambda f: f.legacy(True)), ("mcore", [], lambda f: f.mcore())],
           "qwen3": [("mcore", [], lambda f: f.mcore()), ("mcore-train", [], lambda f: f.mcore_train()),
                     ("mcore-train", ["use_interleaved_weight_layout_mlp=false"], lambda f: f.mcore_train(False))],
           "qwen3_moe": [("mcore", [], lambda f: f.mcore()), ("mcore-train", [], lambda f: f.mcore_train())],
           "deepseek_v3": [("mcore", [], lambda f: f.mcore())]}


def save_hf(folder, family, files=2, tensors=None):
    tensors = as_files(family.hf, family.dtype) if tensors is None else tensors
    names, where = list(tensors), {}
    for i in range(files):
        name = f"model-{i + 1:05d}-of-{files:05d}.safetensors" if files > 1 else "model.safetensors"
        lib.write(f"{folder}/{name}", safefile.write({n: tensors[n] for n in names[i::files]}, {"format": "pt"}))
        where.update({n: name for n in names[i::files]})
    lib.write(f"{folder}/config.json", json.dumps(family.config))
    if files > 1:
        lib.write(f"{folder}/model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": where}))
    return folder


def save_ms(folder, tensors):
    lib.write(f"{folder}/part0.safetensors", safefile.write(tensors, {"format": "ms"}))
    return folder


def with_config(tmp, family):
    lib.write(f"{tmp}/config/config.json", json.dumps(family.config))
    return f"with={tmp}/config"


def sets(values):
    return [f"set={v}" for v in values]


def cut(rng, family, arrays, optimizer=False):
    """A model of these tensors on four ranks, each cut some way that fits."""
    model = sharded.Model()
    for name, a in arrays.items():
        model.full[name] = (family.dtype, np.ascontiguousarray(a).view(np.uint8).reshape(*a.shape, DTYPES[family.dtype]().itemsize))
        fits = [m for m in (([0, -1], 0), ([-1, 0], 1), ([1, 0], None), ([0, 1], None)) if a.ndim == 2 and a.shape[0] % (2 if m[0][0] >= 0 else 1) == 0 and
                a.shape[1] % (2 if m[0][1] >= 0 else 1) == 0]
        tensor_map = rng.choice(fits)[0] if fits and rng.random() < 0.9 else [-1] * a.ndim
        model.layouts[0, name] = Layout([2, 2], tensor_map)
    return model


def shows(source, want, *options, index="ms"):
    with lib.Mount(source, *options) as root:
        lib.same_tensors(lib.tensors_of(root), want, str(options))
        names = os.listdir(root)
        indexes = {"ms": "param_name_map.json", "hf": "model.safetensors.index.json"}
        lib.equal([k for k, f in indexes.items() if f in names], [index], f"{options}: index files")
        lib.need(index == "hf" or "model.safetensors" not in names, "a file that makes it Hugging Face's")
        lib.equal(set(json.loads(lib.read(f"{root}/{indexes[index]}"))["weight_map"]), set(want), f"{options}: names in the index")
        return json.loads(lib.read(f"{root}/.gatherfs/status.json"))["warnings"]


def ranks_show(source, model, *options):
    with lib.Mount(source, *options) as root:
        for rank, want in model.ranks().items():
            name, = (n for n in os.listdir(f"{root}/rank_{rank}") if n.endswith(".safetensors"))
            lib.same_tensors(safefile.read_file(f"{root}/rank_{rank}/{name}")[0], want, f"{options}: rank {rank}")


def both_ways(tmp, rng, kind, **fixed):
    """Hugging Face's directory as MindSpore's, whole and cut; MindSpore's, whole and cut, as Hugging Face's."""
    for names, values, of in NAMINGS[kind]:
        family = Family(rng, kind, rng.choice(list(DTYPES)), **fixed)
        here = f"{tmp}/{names}{len(os.listdir(tmp))}"
        want, hf = as_files(of(family), family.dtype), as_files(family.hf, family.dtype)
        lib.equal(sum(len(t[2]) for t in want.values()), sum(len(t[2]) for t in hf.values()), "bytes of the reference")
        source = save_hf(f"{here}/hf", family, files=rng.choice([1, 3]))
        what = f"{kind} {family.config} {values}"
        try:
            lib.equal(shows(source, want, f"names={names}", f"part_size={rng.choice([60, 500, 5000])}", *sets(values)), [], "warnings")
            model = cut(rng, family, of(family))
            strategy = model.save_strategy(f"{here}/strategy")
            ranks_show(source, model, f"names={names}", f"to={strategy}", *sets(values))
            lib.equal(shows(model.save(f"{here}/checkpoint"), hf, "names=hf", with_config(here, family), *sets(values), index="hf"), [], "warnings")
            shows(save_ms(f"{here}/ms", want), hf, "names=hf", with_config(here, family), *sets(v for v in values if "interleaved" in v), index="hf")
            shows(source, hf, "names=hf", index="hf")
            shows(f"{here}/ms", want, f"names={names}", with_config(here, family), *sets(values))
        except Exception as e:
            raise AssertionError(f"{what}: {e}") from e


def test_llama(tmp):
    both_ways(tmp, random.Random(SEED), "llama")


def test_qwen2(tmp):
    both_ways(tmp, random.Random(SEED), "qwen2")


def test_qwen3(tmp):
    both_ways(tmp, random.Random(SEED), "qwen3")


def test_qwen3_moe(tmp):
    both_ways(tmp, random.Random(SEED), "qwen3_moe")


def test_deepseek_v3(tmp):
    both_ways(tmp, random.Random(SEED), "deepseek_v3")


if __name__ == "__main__":
    lib.main()
