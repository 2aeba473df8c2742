# SPDX-License-Identifier: Apache-2.0
"""-o rename=FILE: tensors under other names, in unified and in rank views."""
import json
import os
import re

from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def rules(tmp, *lines, name="rules"):
    return "rename=" + lib.write(f"{tmp}/{name}", "".join(f"{line}\n" for line in lines))


def renamed(tensors, *pairs):
    """What Python's re.sub makes of the names, rule after rule."""
    out = {}
    for name, tensor in tensors.items():
        for pattern, to in pairs:
            name = re.sub(pattern, to, name)
        out[name] = tensor
    return out


def shows(source, want, *options):
    with lib.Mount(source, *options) as root:
        lib.same_tensors(lib.tensors_of(root), want, str(options))
        index = json.loads(lib.read(f"{root}/param_name_map.json"))["weight_map"]
        lib.equal(set(index), set(want), f"{options}: names in the index")
        for name, part in index.items():
            lib.need(name in safefile.read_file(f"{root}/{part}")[0], f"{name} is not in {part}")


def test_rules(tmp):
    """Groups, anchors, every match, rules one after the other, several files; MindSpore's names to Hugging Face's."""
    model = sharded.small()
    source, whole = saved(model, tmp), model.whole()
    for pairs in ([(r"^model\.", "m.")], [(r"layers\.([0-9]+)\.w(.)", r"h.\1.attn.\2_proj")], [(r"\.", "/")], [(r"[0-9]+", r"<\g<0>>")],
                  [("wq", "wo_"), (r"wo\.", "wq."), ("wo_", "wo")], [("weight$", "嵌入é")], [("^(.*)$", r"net.\1")], [("nothing", "x")],
                  [(r"tok_embeddings", "embed_tokens"), (r"\.w([qo])\.", r".self_attn.\1_proj."), (r"\.norm\.", ".input_layernorm.")]):
        lines = [f"{a} {b}".replace(r"\g<0>", r"\0") for a, b in pairs]
        want = renamed(whole, *pairs)
        lib.equal(len(want), len(whole), "a weak test")
        shows(source, want, rules(tmp, "# a remark", "", *lines))
        files = [rules(tmp, line, name=f"rules{i}") for i, line in enumerate(lines)]
        shows(source, want, *files)
        shows(source, want, ",".join(files))


def test_order_is_of_the_new_names(tmp):
    model = sharded.small()
    with lib.Mount(saved(model, tmp), "part_size=400", rules(tmp, r"layers\.10\. layers.00.", r"layers\.2\. layers.20.")) as root:
        parts = sorted(n for n in os.listdir(root) if n.startswith("model-"))
        order = [int(m[1]) for n in parts for t in safefile.read_file(f"{root}/{n}")[0] for m in [re.search(r"layers\.(\d+)", t)] if m]
        lib.equal(sorted(set(order), key=order.index), [0, 1, 20], "layers in the order of their new names")


def test_refused(tmp):
    model = sharded.small()
    source = saved(model, tmp)
    for lines, *parts in ((["wq wo"], "model.layers", "another tensor has"), (["lm_head.weight step_num"], '"step_num"', "outside"),
                          (["( b"], "line 1", "("), (["a b", "a \\1"], "line 2", "\\1", "0 groups"), (["(a) \\9"], "\\9", "1 groups"), (["a"], "line 1", "one field"),
                          (["a b c"], "line 1", "more"), (["^(x*).*$ \\1"], "empty")):
        lib.refused_mount(source, rules(tmp, *lines), parts=[f"{tmp}/rules", *parts])
    lib.write(f"{tmp}/rules", b"lm \xff\xfe\n")
    lib.refused_mount(source, f"rename={tmp}/rules", parts=["lm_head.weight", "UTF-8"])
    lib.write(f"{tmp}/rules", b"a b\0")
    lib.refused_mount(source, f"rename={tmp}/rules", parts=[f"{tmp}/rules", "NUL"])
    with open(f"{tmp}/rules", "wb") as f:
        f.truncate((1 << 20) + 1)
    lib.refused_mount(source, f"rename={tmp}/rules", parts=[f"{tmp}/rules"])
    lib.refused_mount(source, f"rename={tmp}/nowhere", parts=[f"{tmp}/nowhere", "No such file"])
    lib.refused_mount(source, f"rename={tmp}", parts=[tmp])
    lib.refused_mount(source, "rename=", parts=["rename"], code=2)


def test_empty_rules(tmp):
    model = sharded.small()
    lib.write(f"{tmp}/rules", "")
    shows(saved(model, tmp), model.whole(), f"rename={tmp}/rules")


def test_marks_follow(tmp):
    """The metadata that says that a tensor is Int4 has its new name."""
    model = sharded.Model().add("q", "I8", [4, 4], Layout([2], [0, -1])).add("w", "F32", [4, 4], Layout([2], [0, -1]))
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint", meta={"format": "ms", "q": "Int4", "note": "q"})
    option = rules(tmp, "^q$ layer.q", "^note$ x")
    with lib.Mount(source, option) as root:
        meta = safefile.read_file(f"{root}/model-00001-of-00001.safetensors")[1]
        lib.equal(meta, {"format": "ms", "remove_redundancy": "False", "layer.q": "Int4", "note": "q"}, "metadata")
    with lib.Mount(source, option, "to=same") as root:
        meta = safefile.read_file(f"{root}/rank_1/net_rank_1-1_10.safetensors")[1]
        lib.equal(meta, {"format": "ms", "remove_redundancy": "False", "layer.q": "Int4", "note": "q"}, "metadata of rank 1")


def ranks_of(root, count):
    return {r: safefile.read_file(f"{root}/rank_{r}/net_rank_{r}-1_10.safetensors")[0] for r in range(count)}


def test_same_knows_the_old_names(tmp):
    """to=same: the source's strategy has the source's names, whatever the view calls them; two names may change places."""
    model = sharded.small()
    pairs = [(r"\.wq\.", ".q."), (r"\.wo\.", ".wq."), (r"\.q\.", ".wo.")]
    with lib.Mount(saved(model, tmp), rules(tmp, *(f"{a} {b}" for a, b in pairs)), "to=same") as root:
        for rank, tensors in model.ranks().items():
            want = {**renamed({n: t for n, t in tensors.items() if n in model.full}, *pairs), **model.hyper()}
            lib.same_tensors(ranks_of(root, 4)[rank], want, f"rank {rank}")


def test_a_target_knows_the_new_names(tmp):
    """to=STRATEGY is written for the model as the view names it; under the old names it has nothing to show."""
    model = sharded.small()
    source, option = saved(model, tmp), rules(tmp, "^(.*)$ new.\\1")
    target = sharded.Model()
    target.full, target.outside = {f"new.{n}": t for n, t in model.full.items()}, model.outside
    target.layouts = {(0, n): Layout([2], [0] + [-1] * (len(t[1].shape) - 2)) for n, t in target.full.items()}
    folder = target.save_strategy(f"{tmp}/dst")
    with lib.Mount(source, option, f"to={folder}") as root:
        for rank, want in target.ranks().items():
            lib.same_tensors(ranks_of(root, 2)[rank], want, f"rank {rank}")
        lib.equal(json.loads(lib.read(f"{root}/.gatherfs/status.json"))["warnings"], [], "warnings")
    lib.refused_mount(source, option, f"to={tmp}/strategy", parts=["no tensor in common"])
    lib.refused_mount(source, f"to={folder}", parts=["no tensor in common"])


def test_the_strategy_to_keep(tmp):
    """.gatherfs/strategy.ckpt of a renamed view still serves to mount its source."""
    model = sharded.small()
    source = saved(model, tmp)
    with lib.Mount(source, rules(tmp, "^ x.")) as root:
        lib.write(f"{tmp}/kept.ckpt", lib.read(f"{root}/.gatherfs/strategy.ckpt"))
    shows(source, model.whole(), f"strategy={tmp}/kept.ckpt")


def test_unified_source(tmp):
    """A directory of whole tensors is laid out anew, with the index of its own kind; the counters keep their names."""
    model = sharded.small()
    whole = model.whole()
    lib.write(f"{tmp}/ms/w.safetensors", safefile.write(whole, {"format": "ms"}))
    lib.write(f"{tmp}/ms/hyper_param.safetensors", safefile.write(model.hyper(), {"format": "ms"}))
    lib.write(f"{tmp}/hf/model.safetensors", safefile.write(whole, {"format": "pt"}))
    lib.write(f"{tmp}/hf/model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": {n: "model.safetensors" for n in whole}}))
    option, want = rules(tmp, "^model\\.(.*) \\1", "step_num n"), renamed(whole, (r"^model\.", ""))
    with lib.Mount(f"{tmp}/ms", option) as root:
        lib.same_tensors(lib.tensors_of(root), want)
        lib.same_tensors(safefile.read_file(f"{root}/hyper_param.safetensors")[0], model.hyper(), "counters")
    with lib.Mount(f"{tmp}/hf", option) as root:
        lib.same_tensors(lib.tensors_of(root), want)
        lib.equal(set(json.loads(lib.read(f"{root}/model.safetensors.index.json"))["weight_map"]), set(want), "index")


def test_with_filter(tmp):
    """filter= asks for the names of the source."""
    model = sharded.small()
    want = renamed({n: t for n, t in model.whole().items() if not n.startswith("model.layers")}, ("^", "new."))
    shows(saved(model, tmp), want, rules(tmp, "^ new."), "filter=model.layers", "filter=new")


if __name__ == "__main__":
    lib.main()
