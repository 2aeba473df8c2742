# SPDX-License-Identifier: Apache-2.0
"""A directory of whole tensors, shown as it is or with options; small files beside it; mounts of mounts."""
import json
import os

from mount import lib
from ref import safefile, sharded

WIDE = sharded.small


def unified(tmp, hf=False, parts=2):
    """A unified directory with an index and small files; its tensors."""
    whole = WIDE().whole()
    names, where = list(whole), {}
    for i in range(parts):
        part = f"model-{i + 1:05d}-of-{parts:05d}.safetensors" if hf else f"part{i}.safetensors"
        lib.write(f"{tmp}/src/{part}", safefile.write({n: whole[n] for n in names[i::parts]}, {"format": "pt" if hf else "ms"}))
        where.update({n: part for n in names[i::parts]})
    index = {"metadata": {"total_size": sum(len(t[2]) for t in whole.values())}, "weight_map": where}
    lib.write(f"{tmp}/src/" + ("model.safetensors.index.json" if hf else "param_name_map.json"), json.dumps(index, indent=2))
    if not hf:
        lib.write(f"{tmp}/src/hyper_param.safetensors", safefile.write(WIDE().hyper(), {"format": "ms"}))
    for name in ("config.json", "tokenizer.model", "vocab.txt"):
        lib.write(f"{tmp}/src/{name}", f"contents of {name}")
    return f"{tmp}/src", whole


def test_shown_byte_for_byte(tmp):
    for hf in (False, True):
        source, _ = unified(f"{tmp}/{hf}", hf)
        with lib.Mount(source) as root:
            lib.equal(sorted(n for n in os.listdir(root) if n not in (".gatherfs", "tensors")), sorted(os.listdir(source)), "names")
            for name in os.listdir(source):
                lib.need(lib.read(f"{root}/{name}") == lib.read(f"{source}/{name}"), f"{name} differs")
                lib.equal(os.stat(f"{root}/{name}").st_size, os.stat(f"{source}/{name}").st_size, f"{name}: size")


COUNTERS = {"epoch_num": 3, "step_num": 17, "loss_scale": 1024, "global_batch_size": 8}


def test_common_json(tmp):
    """2.x resumes from common.json, so where the counters are known and it is not there, it is made of them; never for Hugging Face."""
    source, whole = unified(tmp)
    with lib.Mount(source) as root:
        lib.need(not os.path.exists(f"{root}/common.json"), "made of nothing")
    counters = {n: ("I64", [], v.to_bytes(8, "little")) for n, v in COUNTERS.items()}
    lib.write(f"{source}/hyper_param.safetensors", safefile.write(counters, {"format": "ms"}))
    want = {**COUNTERS, "loss_scale": 1024.0, "global_step": None, "consumed_samples": None, "ckpt_status": None}
    for options in ([], ["part_size=700"]):
        with lib.Mount(source, *options) as root:
            lib.equal(json.loads(lib.read(f"{root}/common.json")), want, f"{options}: common.json")
            lib.same_tensors(lib.tensors_of(root), whole)
            lib.equal(lib.read(f"{root}/hyper_param.safetensors") == lib.read(f"{source}/hyper_param.safetensors"), not options, "as it is")
    with lib.Mount(source, "index=hf") as root:
        lib.need(not os.path.exists(f"{root}/common.json"), "in a view for Hugging Face")
    lib.write(f"{source}/common.json", "one's own")
    for options in ([], ["part_size=700"]):
        with lib.Mount(source, *options) as root:
            lib.equal(lib.read(f"{root}/common.json"), b"one's own", f"{options}: SOURCE's own")
    hf, _ = unified(f"{tmp}/hf", hf=True)
    lib.write(f"{hf}/hyper_param.safetensors", safefile.write(counters, {"format": "ms"}))
    with lib.Mount(hf) as root:
        lib.need(not os.path.exists(f"{root}/common.json"), "in Hugging Face's directory")


def test_one_file(tmp):
    source, whole = unified(tmp, parts=1)
    with lib.Mount(f"{source}/part0.safetensors") as root:
        lib.equal(sorted(os.listdir(root)), [".gatherfs", "part0.safetensors", "tensors"], "root")
        lib.same_tensors(lib.tensors_of(root), whole)


def test_other_parts_and_index(tmp):
    """Options that change tensors lay them out anew; an index of Hugging Face's keeps being one."""
    source, whole = unified(f"{tmp}/ms")
    with lib.Mount(source, "part_size=700") as root:
        lib.need(len([n for n in os.listdir(root) if n.startswith("model-")]) > 2, "a weak test")
        lib.same_tensors(lib.tensors_of(root), whole)
        lib.same_tensors(safefile.read_file(f"{root}/hyper_param.safetensors")[0], WIDE().hyper())
        lib.equal(lib.read(f"{root}/config.json"), b"contents of config.json", "small files")
        lib.need(not os.path.exists(f"{root}/part0.safetensors"), "the old parts are still there")
    with lib.Mount(source, "index=hf") as root:
        lib.need(os.path.exists(f"{root}/model.safetensors.index.json") and not os.path.exists(f"{root}/param_name_map.json"), "index=hf")
        lib.same_tensors(lib.tensors_of(root), whole)
    source, whole = unified(f"{tmp}/hf", hf=True)
    with lib.Mount(source, "filter=model.layers.10") as root:
        lib.need(os.path.exists(f"{root}/model.safetensors.index.json") and not os.path.exists(f"{root}/param_name_map.json"), "a source that has hf's")
        lib.same_tensors(lib.tensors_of(root), {n: t for n, t in whole.items() if not n.startswith("model.layers.10")})


def test_with(tmp):
    """-o with=DIR: its small files show through; ours, weights and indexes never."""
    model = WIDE()
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    shown, hidden = ["config.json", "tokenizer.json", "merges.txt"], ["x.safetensors", "y.index.json", "param_name_map.json", "z.bin", "w.ckpt", "rank_table.json"]
    for name in shown + hidden:
        lib.write(f"{tmp}/with/{name}", f"of with: {name}")
    lib.write(f"{tmp}/with/folder/inside.json", "x")
    lib.write(f"{tmp}/more/config.json", "of more")
    lib.write(f"{tmp}/more/extra.json", "of more")
    with open(f"{tmp}/with/huge.txt", "wb") as f:
        f.truncate((64 << 20) + 1)
    with lib.Mount(source, f"with={tmp}/with", f"with={tmp}/more") as root:
        own = [".gatherfs", "hyper_param.safetensors", "model-00001-of-00001.safetensors", "param_name_map.json", "tensors"]
        lib.equal(sorted(os.listdir(root)), sorted(own + shown + ["extra.json"]), "root")
        for name in shown:
            lib.equal(lib.read(f"{root}/{name}").decode(), f"of with: {name}", name)
        lib.need(lib.read(f"{root}/param_name_map.json")[:1] == b"{", "our own names win")
        lib.same_tensors(lib.tensors_of(root), model.whole())
    lib.refused_mount(source, f"with={tmp}/nowhere", parts=[f"{tmp}/nowhere"])


def test_mount_of_a_mount(tmp):
    model = WIDE()
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint"), "part_size=700") as inner:
        with lib.Mount(inner) as root:
            for name in os.listdir(inner):
                if name not in (".gatherfs", "tensors"):
                    lib.need(lib.read(f"{root}/{name}") == lib.read(f"{inner}/{name}"), f"{name} differs")
        with lib.Mount(inner, "index=hf") as root:
            lib.same_tensors(lib.tensors_of(root), model.whole())


def test_promises_of_an_index(tmp):
    """An index that promises what no file has would be dropped by loaders without a word: refused."""
    source, _ = unified(f"{tmp}/a", hf=True)
    os.unlink(f"{source}/model-00002-of-00002.safetensors")
    lib.refused_mount(source, parts=["model.safetensors.index.json", "model-00002-of-00002.safetensors"])
    source, _ = unified(f"{tmp}/b")
    os.unlink(f"{source}/part1.safetensors")
    lib.refused_mount(source, parts=["param_name_map.json", "part1.safetensors"])


def test_options_that_mean_nothing_here(tmp):
    source, _ = unified(tmp)
    lib.refused_mount(source, "step=1_10", parts=["step"])
    lib.refused_mount(source, f"strategy={tmp}", parts=["strategy"])


if __name__ == "__main__":
    lib.main()
