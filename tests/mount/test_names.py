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
           "qwen3_moe": [("mcore", [], lambda f: f.mcore()), ("mcore-train", [], lambda f: f.mcore_train(f.config["use_interleaved_weight_layout_mlp"]))],
           "deepseek_v3": [("mcore", [], lambda f: f.mcore())]}

SPARSE = {"decoder_sparse_step": 1, "mlp_only_layers": []}  # every layer has experts
TWIN = "{} is left out: Hugging Face's copy of {}, which these names have once (the bytes of the two are not compared)"


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
        lib.equal(sum(len(t[2]) for t in want.values()), sum(len(t[2]) for n, t in hf.items() if n not in family.twins()), "bytes of the reference")
        source = save_hf(f"{here}/hf", family, files=rng.choice([1, 3]))
        what = f"{kind} {family.config} {values}"
        try:
            said = shows(source, want, f"names={names}", f"part_size={rng.choice([60, 500, 5000])}", *sets(values))
            lib.equal(sorted(said), sorted(TWIN.format(*pair) for pair in family.twins().items()), "warnings")
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


def tiny(kind="llama", **fixed):
    return Family(random.Random(SEED), kind, "BF16", **fixed)


def test_a_model_is_told_by_hand(tmp):
    """No config.json: model= and set= say what is needed; what is missing is named."""
    family = tiny(num_hidden_layers=2, tie_word_embeddings=False, attention_bias=False, mlp_bias=False)
    source = save_hf(f"{tmp}/hf", family)
    os.remove(f"{source}/config.json")
    want = as_files(family.legacy(True), "BF16")
    said = ["model=llama", "set=num_hidden_layers=2", "set=qkv_concat=true"]
    heads = [f"set={k}={family.config[k]}" for k in ("num_attention_heads", "num_key_value_heads")]
    shows(source, want, "names=legacy", *said, *heads, f"set=head_dim={family.dim}")
    lib.refused_mount(source, "names=legacy", parts=["config.json", "model=", "llama, qwen2, qwen3", "recipe=FILE"])
    lib.refused_mount(source, "names=legacy", "model=llama", parts=["num_hidden_layers is needed"])
    shows(source, want, "names=legacy", *said, f"set=head_dim={family.dim}")  # the shapes tell the rest
    lib.refused_mount(source, "names=legacy", *said, parts=["num_attention_heads is needed", "set=num_attention_heads="])
    lib.refused_mount(source, "names=legacy", "model=lama", parts=["model=lama", "there are deepseek_v3, llama"])
    lib.refused_mount(source, "names=legacy", "set=model_type=gpt", parts=["model_type \"gpt\""])
    shows(source, want, "names=legacy", "set=model_type=llama", *said[1:], *heads, f"set=head_dim={family.dim}")


def test_what_config_says(tmp):
    family = tiny(num_hidden_layers=2, tie_word_embeddings=False)
    source = save_hf(f"{tmp}/hf", family)
    for text, *parts in (("[]", "expected an object"), ("{", "config.json"), ('{"model_type": "llama", "num_hidden_layers": "two"}', "num_hidden_layers", "two"),
                         ('{"model_type": "llama", "num_hidden_layers": 2.5}', "num_hidden_layers"), ('{"model_type": 1}', "model_type"),
                         ('{"model_type": "llama", "tie_word_embeddings": 1}', "tie_word_embeddings: expected true or false, found 1"),
                         (json.dumps({**family.config, "num_attention_heads": 7, "num_key_value_heads": 2, "head_dim": 4}), "7 / 2")):
        lib.write(f"{source}/config.json", text)
        lib.refused_mount(source, "names=legacy", "set=qkv_concat=true", parts=parts)
    lib.write(f"{source}/config.json", json.dumps({**family.config, "head_dim": None, "hidden_size": family.dim * family.config["num_attention_heads"]}))
    shows(source, as_files(family.legacy(), "BF16"), "names=legacy")


def test_optimizer_state(tmp):
    """It follows its parameter among MindSpore's names, fused and split, and has none of Hugging Face's; counters likewise."""
    family = tiny("qwen3", tie_word_embeddings=False)
    train, infer = as_files(family.mcore_train(), "BF16"), as_files(family.mcore(), "BF16")
    state = lambda tensors: {p + n: (d, s, bytes(255 - b for b in data)) for n, (d, s, data) in tensors.items() for p in ("adam_m.", "adam_v.")}
    config, counters = with_config(tmp, family), {"global_step": ("I32", [1], b"\1\0\0\0")}
    source = save_ms(f"{tmp}/ms", {**train, **state(train), **counters})
    shows(source, {**infer, **state(infer), **counters}, "names=mcore", config)
    warnings = shows(source, as_files(family.hf, "BF16"), "names=hf", config, index="hf")
    lib.equal(len(warnings), 2, "warnings")
    lib.need(f"and {2 * len(train) - 1} more are left out: optimizer state" in " ".join(warnings), str(warnings))
    lib.need("global_step is left out" in " ".join(warnings), str(warnings))
    shows(save_ms(f"{tmp}/infer", {**infer, **state(infer)}), {**train, **state(train)}, "names=mcore-train", config)
    del infer["decoder.layers.0.self_attention.linear_k.weight"]
    lib.refused_mount(save_ms(f"{tmp}/less", {**as_files(family.mcore(), "BF16"), **state(infer)}), "names=mcore-train", config,
                      parts=["adam_m.model.layers.0.self_attn.k_proj.weight", "is missing", "adam_m.decoder.layers.0.self_attention.linear_qkv.weight"])


def test_what_is_left_out(tmp):
    """Copies and tables that MindSpore's names have no place for are left out, with a warning; a tied head may be there or not."""
    family = tiny(num_hidden_layers=2, tie_word_embeddings=True)
    more = {"lm_head.weight": ("BF16", [1, 2], b"abcd"), "model.layers.1.self_attn.rotary_emb.inv_freq": ("F32", [1], b"abcd")}
    source = save_hf(f"{tmp}/hf", family, tensors={**as_files(family.hf, "BF16"), **more})
    warnings = shows(source, as_files(family.legacy(), "BF16"), "names=legacy")
    lib.equal(warnings, ["lm_head.weight is left out: the head is the embedding (tie_word_embeddings)",
                         "model.layers.1.self_attn.rotary_emb.inv_freq is left out: computed anew from config.json"], "warnings")


def test_the_layer_that_predicts_one_more(tmp):
    """DeepSeek-V3: its embedding and head are the model's. They may be there or not, are left out, and come back as second names."""
    for tied in (False, True):
        deep = tiny("deepseek_v3", num_nextn_predict_layers=1, num_hidden_layers=2, tie_word_embeddings=tied)
        hf, want, at = as_files(deep.hf, "BF16"), as_files(deep.mcore(), "BF16"), f"{tmp}/{tied}"
        lib.equal(len(deep.twins()), 1 if tied else 2, "a weak test")
        lib.need("mtp.layers.0.final_layernorm.weight" in want, "a weak test")
        source = save_hf(f"{at}/hf", deep)
        shows(source, want, "names=mcore")
        lib.equal(shows(save_hf(f"{at}/less", deep, tensors={n: t for n, t in hf.items() if n not in deep.twins()}), want, "names=mcore"), [], "warnings")
        lib.equal(shows(save_ms(f"{at}/ms", want), hf, "names=hf", with_config(at, deep), index="hf"), [], "warnings")
        with lib.Mount(f"{at}/ms", "names=hf", with_config(at, deep)) as root:
            shows(root, want, "names=mcore")
        head = "model.layers.2.shared_head.head.weight"
        for name in deep.twins():
            dtype, shape, data = hf[name]
            bad = save_hf(f"{at}/bad", deep, tensors={**hf, name: (dtype, [shape[0] * shape[1]], data)})
            lib.refused_mount(bad, "names=mcore", parts=[name, "cannot be the copy of", deep.twins()[name], "shape or type differ"])
            bad = save_hf(f"{at}/bad", deep, tensors={**hf, name: ("F16", shape, data)})
            lib.refused_mount(bad, "names=mcore", parts=[name, "cannot be the copy of"])
        if tied:
            source = save_hf(f"{at}/more", deep, tensors={**hf, head: hf["model.embed_tokens.weight"]})
            lib.need(f"{head} is left out: the head is the embedding (tie_word_embeddings)" in shows(source, want, "names=mcore"), "no warning")
        lib.refused_mount(source, "names=mcore", "set=num_nextn_predict_layers=0", parts=["model.layers.2.", "matches no line"])


def test_layers_without_experts(tmp):
    """Qwen3-MoE: which layers have experts is what mlp_only_layers and decoder_sparse_step say, in config.json or set=."""
    for step, only, sparse in ((1, [], [0, 1, 2, 3]), (2, [], [1, 3]), (1, [0, 3, 9], [1, 2]), (2, [1], [3]), (5, [], []), (1, [3, 2, 1, 0], [])):
        family = tiny("qwen3_moe", num_hidden_layers=4, decoder_sparse_step=step, mlp_only_layers=only)
        lib.equal([n for n in range(4) if f"model.layers.{n}.mlp.gate.weight" in family.hf], sparse, "the reference")
        hf, train = as_files(family.hf, "BF16"), as_files(family.mcore_train(family.config["use_interleaved_weight_layout_mlp"]), "BF16")
        at = f"{tmp}/{step}{len(only)}"
        source = save_hf(f"{at}/hf", family)
        shows(source, train, "names=mcore-train")
        shows(source, as_files(family.mcore(), "BF16"), "names=mcore")
        shows(save_ms(f"{at}/ms", train), hf, "names=hf", with_config(at, family), index="hf")
        lib.write(f"{source}/config.json", json.dumps({**family.config, "mlp_only_layers": None, "decoder_sparse_step": 7}))
        shows(source, train, "names=mcore-train", f"set=decoder_sparse_step={step}", "set=mlp_only_layers=" + json.dumps(only).replace(",", "\\,"))
    for key, value, *parts in (("mlp_only_layers", [1.5], "list of whole numbers", "another kind"), ("mlp_only_layers", "0", "list of whole numbers, found 0"),
                               ("mlp_only_layers", 3, "list of whole numbers, found 3"), ("decoder_sparse_step", 0, "at least 1, found 0"),
                               ("mlp_only_layers", [0], "model.layers.1.mlp.down_proj.weight\" matches no line"), ("num_hidden_layers", 65537, "more than 65536")):
        lib.write(f"{source}/config.json", json.dumps({**family.config, "mlp_only_layers": [], "decoder_sparse_step": 1, key: value}))
        lib.refused_mount(source, "names=mcore", parts=[*parts] if key == "num_hidden_layers" or "model" in parts[0] else [key, *parts])


def test_refused(tmp):
    """A checkpoint must be what the recipe says, to the last tensor."""
    family = tiny(num_hidden_layers=2, tie_word_embeddings=False, attention_bias=False, mlp_bias=False)
    whole = as_files(family.hf, "BF16")
    some = "model.layers.1.mlp.up_proj.weight"
    shape = whole[some][1]
    for change, *parts in (({"model.layers.2.mlp.up_proj.weight": whole[some]}, "model.layers.2.mlp.up_proj.weight", "matches no line", "21 of 22"),
                           ({"model.layers.01.mlp.up_proj.weight": whole[some]}, "model.layers.01.", "matches no line"),
                           ({some: None}, some, "is missing", "llama"), ({"lm_head.weight": None}, "lm_head.weight", "is missing"),
                           ({"x": whole[some]}, "tensor \"x\" matches no line"), ({n: None for n in list(whole)[1:]} | {list(whole)[0]: None, "x": whole[some]}, "no tensor", "\"x\""),
                           ({some: ("BF16", [shape[0] + 1, shape[1]], bytes(2 * (shape[0] + 1) * shape[1]))}, some, "axis 0", f"f {shape[0]}"),
                           ({some: ("BF16", [shape[0] * shape[1]], whole[some][2])}, some, "1 axes, expected 2"),
                           ({some: ("F16", *whole[some][1:])}, some, "F16", "BF16"),
                           ({some: ("F8_E4M3", shape, bytes(shape[0] * shape[1]))}, some, "F8_E4M3", "BF16 copy")):
        tensors = {n: t for n, t in {**whole, **change}.items() if t}
        save_hf(f"{tmp}/bad", family, files=1, tensors=tensors)
        lib.refused_mount(f"{tmp}/bad", "names=legacy", "set=qkv_concat=true", parts=["names=legacy", *parts])
    source = save_hf(f"{tmp}/hf", family)
    lib.refused_mount(source, "names=mcore", parts=["recipe \"llama\" has no mcore names"])
    lib.refused_mount(source, "names=legacy", f"set=num_key_value_heads={2 * family.config['num_attention_heads']}", parts=["no whole number"])
    for option, *parts in (("names=ms", "keep, hf, legacy"), ("set=x", "KEY=VALUE"), ("set==x", "KEY=VALUE"), ("model=", "llama"), ("model=llama", "needs names="),
                           (f"recipe={tmp}/r", "needs names="), ("set=a=b", "needs names=")):
        lib.refused_mount(source, *([option] if option.startswith("names") or "needs names=" in parts else ["names=hf", option]), parts=parts, code=2)


def test_shapes_of_fused_tensors(tmp):
    family = tiny(num_hidden_layers=1, tie_word_embeddings=False, attention_bias=False, mlp_bias=False, num_attention_heads=6, num_key_value_heads=3, head_dim=4)
    config = with_config(tmp, family)
    fused = as_files(family.legacy(True), "BF16")
    lib.refused_mount(save_ms(f"{tmp}/ms", fused), "names=hf", config, "set=num_attention_heads=9", f"set=head_dim={family.dim}",
                      parts=["w_qkv", "axis 0", "groups 3, queries 3", f"dim {family.dim}"])
    name = "model.layers.0.feed_forward.w_gate_hidden.weight"
    _, (rows, columns), data = fused[name]
    odd = {**fused, name: ("BF16", [rows - 1, columns], data[2 * columns:])}
    lib.refused_mount(save_ms(f"{tmp}/odd", odd), "names=hf", config, parts=[name, "axis 0", f"{rows - 1} elements"])


def test_same_strategy(tmp):
    """to=same: what is only renamed is cut as the source is; what is made of others is in no strategy."""
    family = tiny("qwen3")
    model = cut(random.Random(SEED), family, family.mcore())
    model.save_strategy(f"{tmp}/strategy")
    source, config = model.save(f"{tmp}/checkpoint"), with_config(tmp, family)
    want = sharded.Model()
    back = {id(a): n for n, a in family.hf.items()}
    names = {n: back[id(a)] for n, a in family.mcore().items()}
    want.full = {names[n]: t for n, t in model.full.items()}
    want.layouts = {(s, names[n]): la for (s, n), la in model.layouts.items()}
    ranks_show(source, want, "names=hf", "to=same", config)
    lib.refused_mount(source, "names=mcore-train", "to=same", config, parts=["to=same", "linear_", "name a target strategy"])


def test_steps(tmp):
    """steps=all: each step's folder has the other names."""
    family = tiny("llama", num_hidden_layers=2)
    model = cut(random.Random(SEED), family, family.legacy(True))
    model.save_strategy(f"{tmp}/strategy")
    for step in ("1_10", "1_20"):
        model.save(f"{tmp}/checkpoint", step=step)
    with lib.Mount(f"{tmp}/checkpoint", "steps=all", "names=hf", with_config(tmp, family)) as root:
        for step in ("1_10", "1_20", "latest"):
            lib.same_tensors(lib.tensors_of(f"{root}/{step}"), as_files(family.hf, "BF16"), step)
            lib.need("model.safetensors.index.json" in os.listdir(f"{root}/{step}"), "no index")


def test_info(tmp):
    """`gatherfs info` shows what would become of each name, before anything is mounted."""
    family = tiny("qwen3_moe", num_hidden_layers=1, num_experts=5, tie_word_embeddings=True, **SPARSE)
    source = save_hf(f"{tmp}/hf", family, tensors={**as_files(family.hf, "BF16"), "lm_head.weight": ("BF16", [1], b"ab")})
    code, out, err = lib.gatherfs("info", "--names", "mcore-train", source)
    lib.equal((code, err), (0, ""), "info")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in out.split("\n") if line.strip()}
    at = "model.layers.0"
    lib.need('hf as mcore-train, by the recipe "qwen3_moe"' in lines["names"], out)
    lib.need(lines["decoder.layers.0.self_attention.linear_qkv.weight"].endswith(" + ".join(f"{at}.self_attn.{p}_proj.weight" for p in "qkv")), out)
    lib.need(lines["decoder.layers.0.mlp.experts.weight1"].endswith(" + 6 more") and "lm_head.weight is left out" in out, out)
    report = json.loads(lib.gatherfs("info", "--json", "--names=mcore-train", source)[1])["names"]
    lib.equal(sorted(report), sorted(family.mcore_train()), "names")
    lib.equal(report["decoder.layers.0.mlp.experts.weight2"], [f"{at}.mlp.experts.{e}.down_proj.weight" for e in range(5)], "experts")
    lib.equal(sorted(n for parts in report.values() for n in parts), sorted(family.hf), "every tensor once")
    ms = save_ms(f"{tmp}/ms", as_files(family.mcore_train(), "BF16"))
    out = lib.gatherfs("info", "--names=hf", ms, "-o", f"with={source}")[1]
    lib.need("part of decoder.layers.0.mlp.experts.weight1" in out, out)
    lib.equal(lib.gatherfs("info", "--names", ms, "-o", f"with={source}"), (0, out, ""), "--names alone is Hugging Face's")
    lib.refused("info", "--names=hf", ms, parts=["config.json", "model="])


def test_wide_experts(tmp):
    """Wide enough to be transposed by tiles out of a mapping; read in pieces that begin and end anywhere."""
    rng = random.Random(SEED)
    for dtype, hidden, ffn in (("BF16", 300, 270), ("F32", 200, 261), ("F16", 264, 257)):
        family = Family(rng, "qwen3_moe", dtype, num_hidden_layers=1, hidden_size=hidden, moe_intermediate_size=ffn, num_experts=3, head_dim=2, **SPARSE)
        want, hf = as_files(family.mcore_train(), dtype), as_files(family.hf, dtype)
        shows(save_hf(f"{tmp}/{dtype}hf", family), want, "names=mcore-train")
        config = with_config(tmp, family)
        source = save_ms(f"{tmp}/{dtype}ms", want)
        shows(source, hf, "names=hf", config, index="hf")
        with lib.Mount(source, "names=hf", config) as root:
            whole = lib.read(f"{root}/model.safetensors")
            for _ in range(200):
                at, length = rng.randrange(len(whole)), rng.choice([1, 3, 700, 5000, 100000])
                lib.need(lib.read_at(f"{root}/model.safetensors", at, length) == whole[at:at + length], f"{length} bytes at {at}")


def test_own_recipe(tmp):
    """A family of one's own: concatenation on the last axis, stacking, a transposition, four in one."""
    text = """# of one's own
family toy
number heads heads
index layer 1 3
index head 0 heads
names legacy
layer.{layer}.bias ms.{layer}.bias
weave ms.all : x (a+b y)
of a : x (a y)
of b : x (b y)
weave ms.{layer}.stack : head o (i 1+1+1+1)
of layer.{layer}.{head}.q : i o
of layer.{layer}.{head}.k : o i
of layer.{layer}.{head}.v : i o
of layer.{layer}.{head}.g : (i o)
"""
    rng = np.random.default_rng(SEED)
    hf, ms, heads = {"a": rng.integers(0, 1 << 16, (3, 4), np.uint16), "b": rng.integers(0, 1 << 16, (3, 10), np.uint16)}, {}, 3
    ms["ms.all"] = np.concatenate([hf["a"], hf["b"]], axis=1)
    for layer in (1, 2):
        hf[f"layer.{layer}.bias"] = ms[f"ms.{layer}.bias"] = rng.integers(0, 1 << 16, (), np.uint16)
        whole = rng.integers(0, 1 << 16, (heads, 2, 5, 4), np.uint16)
        ms[f"ms.{layer}.stack"] = whole.reshape(heads, 2, 20)
        for h in range(heads):
            q, k, v, g = np.moveaxis(whole[h], 2, 0)
            hf.update({f"layer.{layer}.{h}.q": q.T, f"layer.{layer}.{h}.k": k, f"layer.{layer}.{h}.v": v.T, f"layer.{layer}.{h}.g": g.T.reshape(-1)})
    hf, ms = as_files(hf, "BF16"), as_files(ms, "BF16")
    text = text.replace("number heads heads", "number heads heads\nnumber a | 2\nnumber b | 5")
    option = "recipe=" + lib.write(f"{tmp}/toy.recipe", text)
    shows(save_ms(f"{tmp}/hf", hf), ms, "names=legacy", option, "set=heads=3")
    shows(save_ms(f"{tmp}/ms", ms), hf, "names=hf", option, "set=heads=3", "model=toy", index="hf")
    lib.refused_mount(f"{tmp}/ms", "names=hf", option, "set=heads=3", "model=llama", parts=["toy.recipe", "model=llama"])
    lib.refused_mount(f"{tmp}/ms", "names=hf", option, "set=heads=2", parts=["axis 0", "stack"])
    lib.write(f"{tmp}/bad.recipe", text + "of x : i\n")
    lib.refused_mount(f"{tmp}/ms", "names=hf", f"recipe={tmp}/bad.recipe", parts=["bad.recipe", "line", "too many"])
    lib.refused_mount(f"{tmp}/ms", "names=hf", f"recipe={tmp}/none", parts=["none", "No such file"])


def test_with_rename_and_filter(tmp):
    """filter= goes by the source's names, rename= by the new ones; small files come along; a directory that is right is shown anew."""
    family = tiny("qwen2", tie_word_embeddings=False)
    train = as_files(family.mcore(), "BF16")
    source = save_ms(f"{tmp}/ms", {**train, "adam_m.x": ("U8", [1], b"x")})
    config, rules = with_config(tmp, family), "rename=" + lib.write(f"{tmp}/rules", "^model\\. m.\n")
    hf = as_files(family.hf, "BF16")
    want = {n.replace("model.", "m.", 1) if n.startswith("model.") else n: t for n, t in hf.items()}
    shows(source, want, "names=hf", "filter=adam_m", config, rules, index="hf")
    lib.refused_mount(source, "names=hf", "filter=embedding", config, parts=["adam_m.x", "matches no line"])
    lib.refused_mount(source, "names=hf", "filter=adam_", "filter=embedding", config, parts=["embedding.word_embeddings.weight", "is missing"])
    with lib.Mount(source, "names=hf", "filter=adam_", config, "index=ms") as root:
        lib.same_tensors(lib.tensors_of(root), hf)
        lib.need("param_name_map.json" in os.listdir(root) and "config.json" in os.listdir(root), "files")


if __name__ == "__main__":
    lib.main()
