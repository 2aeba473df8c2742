# SPDX-License-Identifier: Apache-2.0
"""Models under other names, loaded by the programs whose names they are: MindSpore Transformers and transformers."""
import json
import os
import random
import re
import subprocess

import numpy as np

from clients.test_clients import HERE, script
from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout
from ref.families import Family, as_files, mcore_name

TORCH = f"{HERE}/../../.venv/torch/bin/python"
LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32,
         "intermediate_size": 48, "vocab_size": 64}  # mfcommon.LLAMA, as Hugging Face says it


def llama_of_hugging_face(tmp, files="3"):
    script(tmp, "make_unified", f"{tmp}/hf", "hf", files)
    lib.write(f"{tmp}/hf/config.json", json.dumps(LLAMA))
    return f"{tmp}/hf"


def test_llama_on_one_card(tmp):
    """Without the view MindSpore Transformers converts every tensor as it loads; with it, nothing is left to convert."""
    with lib.Mount(llama_of_hugging_face(tmp), "names=legacy,part_size=20K") as root:
        names = os.listdir(root)
        lib.need("param_name_map.json" in names and not {"model.safetensors.index.json", "model.safetensors"} & set(names), str(names))
        lib.need("checked 21 parameters, 0 wrong" in script(tmp, "mf_legacy_single", root), "not all were checked")


def test_llama_with_qkv_concat(tmp):
    with lib.Mount(llama_of_hugging_face(tmp), "names=legacy,set=qkv_concat=true") as root:
        lib.need("checked 15 parameters, 0 wrong" in script(tmp, "mf_concat_single", root), "not all were checked")


def test_llama_on_two_cards(tmp):
    """Two workers; a Hugging Face directory would be written to, and this one cannot be."""
    with lib.Mount(llama_of_hugging_face(tmp), "names=legacy,part_size=20K") as root:
        text = script(tmp, "mf_dist_llama", root, workers=2)
        lib.equal(text.count("checked 21 parameters, 0 wrong"), 2, "workers that checked")


def converted(tmp, kind, **fixed):
    """What the weight_converters of MindSpore Transformers make of a random model, and what gatherfs makes of it."""
    family = Family(random.Random(3), kind, "F16", head_dim=4, **fixed)
    lib.write(f"{tmp}/{kind}/model.safetensors", safefile.write(as_files(family.hf, "F16"), {"format": "pt"}))
    lib.write(f"{tmp}/{kind}/config.json", json.dumps(family.config))
    with lib.Mount(f"{tmp}/{kind}", "names=mcore-train") as root:
        lib.need(", 0 wrong" in script(tmp, "mf_convert", kind, f"{tmp}/{kind}", root), "not all were checked")


def test_qwen3_converters(tmp):
    converted(tmp, "qwen3", num_attention_heads=6, num_key_value_heads=2)
    converted(tmp, "qwen3", num_attention_heads=6, num_key_value_heads=2, use_interleaved_weight_layout_mlp=False)


def test_qwen3_moe_converters(tmp):
    converted(tmp, "qwen3_moe", num_attention_heads=6, num_key_value_heads=3, num_experts=4, decoder_sparse_step=1, mlp_only_layers=[])


def torch(tmp, *args):
    done = subprocess.run([TORCH, f"{HERE}/hf_logits.py", *args], cwd=tmp, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=240, env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})
    lib.equal(done.returncode, 0, f"exit code of hf_logits.py {args}: {done.stderr.decode()[-1500:]}\n")
    return done.stdout.decode()


def cut(arrays, cuts):
    """Shards on four ranks: matrices cut on both axes, on one, or not, in turns; `cuts` begins the turn."""
    model = sharded.Model()
    maps = [[1, 0], [0, -1], [-1, 1], [-1, -1]]
    for i, (name, a) in enumerate(arrays.items()):
        model.full[name] = ("F32", a.view(np.uint8).reshape(*a.shape, 4))
        model.layouts[0, name] = Layout([2, 2], maps[(i + cuts) % 4] if a.ndim == 2 else [-1] * a.ndim)
    return model


def same_logits(tmp, kind, turn, *options):
    """transformers loads its own directory, and a view of shards that have MindSpore's names: the logits are equal to the last bit."""
    torch(tmp, "make", kind, f"{tmp}/{kind}")
    config = json.loads(lib.read(f"{tmp}/{kind}/config.json"))
    files = lib.tensors_of(f"{tmp}/{kind}")
    want = torch(tmp, "logits", f"{tmp}/{kind}")
    arrays = turn(Family.of(config, {n: np.frombuffer(t[2], np.uint32).reshape(t[1]) for n, t in files.items()}, "F32"))
    lib.write(f"{tmp}/config/config.json", json.dumps(config))
    for cuts in range(3):
        model = cut({n: np.ascontiguousarray(a) for n, a in arrays.items()}, cuts)
        strategy = model.save_strategy(f"{tmp}/{cuts}/strategy")
        source = model.save(f"{tmp}/{cuts}/checkpoint")
        with lib.Mount(source, "names=hf", f"with={tmp}/config", "part_size=20K", f"strategy={strategy}", *options) as root:
            lib.same_tensors(lib.tensors_of(root), files)
            lib.equal(torch(tmp, "logits", root), want, f"{kind}: logits")


def test_transformers_llama(tmp):
    same_logits(tmp, "llama", lambda f: f.legacy())


def test_transformers_llama_qkv_concat(tmp):
    same_logits(tmp, "llama", lambda f: f.legacy(True))


def test_transformers_qwen2(tmp):
    same_logits(tmp, "qwen2", lambda f: f.mcore())


def mixtral(family):
    """As mixtral.recipe says it."""
    hf, out = family.hf, {}
    for name, a in family.hf.items():
        if not re.search(r"[qkv]_proj|experts\.\d", name):
            out[mcore_name(name.replace("block_sparse_moe", "mlp"), 99)] = a
    for n in range(family.config["num_hidden_layers"]):
        experts = lambda w: [hf[f"model.layers.{n}.block_sparse_moe.experts.{e}.{w}.weight"].T for e in range(family.config["num_local_experts"])]
        out[f"decoder.layers.{n}.self_attention.linear_qkv.weight"] = family.qkv(n, "weight")
        out[f"decoder.layers.{n}.mlp.experts.weight1"] = np.concatenate([np.concatenate(p, axis=1) for p in zip(experts("w1"), experts("w3"))])
        out[f"decoder.layers.{n}.mlp.experts.weight2"] = np.concatenate(experts("w2"))
    return out


def test_transformers_mixture_of_experts(tmp):
    same_logits(tmp, "mixtral", mixtral, f"recipe={HERE}/mixtral.recipe")


if __name__ == "__main__":
    lib.main()
