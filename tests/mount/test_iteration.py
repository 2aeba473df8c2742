# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of MindSpore Transformers 2.x, saved by itself (tests/iteration/make.py): every view, every choice, and damage."""
import hashlib
import json
import os
import shutil

import numpy as np

from mount import lib
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "iteration")
WANT = json.loads(lib.read(f"{HERE}/expected.json"))
DTYPES = {"Float32": "F32", "Float16": "F16", "BFloat16": "BF16"}
COUNTERS = {"epoch_num": ("I64", []), "step_num": ("I64", []), "loss_scale": ("I64", []), "global_batch_size": ("I64", []), "global_step": ("I32", [1])}


def value(name, iteration, shape):
    """What make.py saved."""
    seed = int.from_bytes(hashlib.sha256(f"{name} {iteration}".encode()).digest()[:4], "little")
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)


def widened(tensor):
    """The bytes of a tensor, BFloat16 as Float32, as expected.json has them."""
    dtype, _, data = tensor
    return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).tobytes() if dtype == "BF16" else data


def check_values(got, want, what):
    lib.equal(sorted(got), sorted(want), f"{what}: names")
    for name, w in want.items():
        lib.equal((got[name][0], got[name][1]), (DTYPES[w["dtype"]], w["shape"]), f"{what}: {name}")
        lib.equal(hashlib.sha256(widened(got[name])).hexdigest(), w["sha256"], f"{what}: the bytes of {name}")


def hyper(root):
    tensors = safefile.read_file(f"{root}/hyper_param.safetensors")[0]
    return {n: int.from_bytes(t[2], "little") for n, t in tensors.items() if n in COUNTERS and lib.need(t[:2] == COUNTERS[n], n) is None}


def number(root):
    return json.loads(lib.read(f"{root}/common.json"))["step_num"]


def warnings(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))["warnings"] if os.path.exists(f"{root}/.gatherfs/status.json") else lib.read(f"{root}/.gatherfs/status").decode()


def copy(tmp, name):
    shutil.copytree(f"{HERE}/{name}", f"{tmp}/{name}")
    return f"{tmp}/{name}"


def source_files(folder, rank):
    """What a rank saved, model and optimizer."""
    out = {}
    for name in os.listdir(folder):
        if f"-{rank:07d}-" in "-" + name:
            out.update(safefile.read_file(f"{folder}/{name}")[0])
    return out


def rank_files(root, rank):
    name, = [n for n in os.listdir(f"{root}/rank_{rank}") if n.endswith(".safetensors")]
    return name, safefile.read_file(f"{root}/rank_{rank}/{name}")[0]


def test_unified(tmp):
    """The values that MindSpore Transformers' loader gives back, whatever the layout."""
    for key, want in WANT.items():
        name, iteration = key.split("/")
        with lib.Mount(f"{HERE}/{name}", f"step={iteration}", "part_size=1K") as root:
            lib.need(len([n for n in os.listdir(root) if n.startswith("model-")]) > 1 or name == "lone", "a weak test")
            check_values(lib.tensors_of(root), want, key)
            lib.equal(lib.read(f"{root}/common.json"), lib.read(f"{HERE}/{name}/iteration_{int(iteration):08d}/common.json"), "common.json")
            lib.equal([n for n in os.listdir(root) if n in ("metadata.json", "latest_checkpointed_iteration.txt", "strategy.ckpt")], [], "files")
            lone = name == "lone"
            lib.equal(hyper(root), {"epoch_num": 1 if lone else 2, "step_num": int(iteration), "loss_scale": 1, "global_batch_size": 1 if lone else 16,
                                    "global_step": int(iteration)}, f"{key}: counters")


def test_values_are_numpy_s(tmp):
    """expected.json against the seeds themselves."""
    with lib.Mount(f"{HERE}/dp2mp2") as root:
        for name, (dtype, shape, data) in lib.tensors_of(root).items():
            v = value(name, 20, shape)
            if dtype == "BF16":
                lib.need(np.abs(np.frombuffer(widened((dtype, shape, data)), np.float32).reshape(shape) - v).max() < 0.02, name)
            else:
                lib.equal(data, v.astype({"F32": np.float32, "F16": np.float16}[dtype]).tobytes(), name)


def test_choice_of_the_iteration(tmp):
    source = copy(tmp, "dp2mp2")
    for options, want in (([], 20), (["step=10"], 10), (["step=iteration_00000010"], 10), (["step=20"], 20)):
        with lib.Mount(source, *options) as root:
            lib.equal(number(root), want, str(options))
    for part in ("iteration_00000010", "iteration_00000010/"):
        with lib.Mount(f"{source}/{part}") as root:
            lib.equal(number(root), 10, part)
    shutil.copytree(f"{source}/iteration_00000010", f"{tmp}/under another name")
    with lib.Mount(f"{tmp}/under another name") as root:
        lib.equal(number(root), 10, "a folder of another name")
    lib.refused_mount(source, "step=11", parts=["step=11", "iteration_00000020"])
    lib.refused_mount(source, "step=1_10", parts=["step=1_10", "number"])
    lib.write(f"{source}/latest_checkpointed_iteration.txt", "10\n")
    with lib.Mount(source) as root:
        lib.equal(number(root), 10, "the tracker decides, not the number")
    lib.write(f"{source}/latest_checkpointed_iteration.txt", "30")
    lib.refused_mount(source, parts=["latest_checkpointed_iteration.txt", "30"])
    lib.write(f"{source}/latest_checkpointed_iteration.txt", "ten")
    lib.refused_mount(source, parts=["latest_checkpointed_iteration.txt", "ten"])
    os.unlink(f"{source}/latest_checkpointed_iteration.txt")
    with lib.Mount(source) as root:
        lib.equal(number(root), 20, "no tracker: the newest")


def test_an_iteration_that_is_not_complete(tmp):
    source = copy(tmp, "dp2mp2")
    gone = "tiny-opt-0000003-0000004.safetensors"
    os.unlink(f"{source}/iteration_00000020/{gone}")
    lib.refused_mount(source, parts=[gone, "missing", "rank 3"])
    os.unlink(f"{source}/latest_checkpointed_iteration.txt")
    with lib.Mount(source) as root:
        lib.equal(number(root), 10, "the newest complete one")
        lib.need("iteration_00000020 is not complete" in lib.read(f"{root}/.gatherfs/status").decode(), "no warning")
    lib.refused_mount(source, "step=20", parts=[gone])
    os.unlink(f"{source}/iteration_00000010/metadata.json")
    lib.refused_mount(source, parts=[gone])
    lib.refused_mount(source, "step=10", parts=["metadata.json", "one of 4"])


def test_to_same(tmp):
    """Each rank gets what it saved, under the names of earlier versions."""
    folder = f"{HERE}/dp2mp2/iteration_00000020"
    for name in ("dp2mp2", "unique"):
        with lib.Mount(f"{HERE}/{name}", "to=same") as root:
            for rank in range(4):
                file, got = rank_files(root, rank)
                lib.equal(file, f"tiny_rank_{rank}-2_20.safetensors", "name")
                want = source_files(folder, rank)
                lib.equal(sorted(set(got) - set(want)), sorted({"epoch_num", "step_num", "global_batch_size", "loss_scale"}), "beside the parameters")
                free = {"global_step", "learning_rate"}
                lib.same_tensors({n: t for n, t in got.items() if n in want and n not in free}, {n: t for n, t in want.items() if n not in free}, f"{name}: rank {rank}")
                lib.equal(json.loads(lib.read(f"{root}/rank_{rank}/meta.json")), {"last_epoch": 2, "last_step": 20, "last_ckpt_file": file}, "meta.json")
    folder = f"{HERE}/mp2pp2/iteration_00000007"
    with lib.Mount(f"{HERE}/mp2pp2", "to=same") as root:
        for rank in range(4):
            file, got = rank_files(root, rank)
            lib.equal(file, f"net_rank_{rank}-2_7.safetensors", "name")
            want = {n: t for n, t in source_files(folder, rank).items() if rank < 2 or not n.endswith("norm.weight")}
            lib.same_tensors({n: t for n, t in got.items() if n in want}, want, f"mp2pp2: rank {rank}")


def test_to_a_strategy(tmp):
    layouts = {(0, n): Layout([2, 2], [0, -1]) if len(w["shape"]) == 2 else Layout([2, 2], [-1] * len(w["shape"])) for n, w in WANT["unique/20"].items()}
    lib.write(f"{tmp}/target.ckpt", strategy_pb.merged(layouts))
    for name in ("dp2mp2", "unique"):
        with lib.Mount(f"{HERE}/{name}", f"to={tmp}/target.ckpt") as root, lib.Mount(f"{HERE}/{name}") as whole:
            full = lib.tensors_of(whole)
            for rank in range(4):
                _, got = rank_files(root, rank)
                for (_, n), la in layouts.items():
                    dtype, shape, data = full[n]
                    units = np.frombuffer(data, np.uint8).reshape(*shape, safefile.BITS[dtype] // 8)
                    part = la.take(units, la.block(rank))
                    lib.equal(got[n][2], part.tobytes(), f"{name}: rank {rank}: {n}")


def test_other_views(tmp):
    with lib.Mount(f"{HERE}/dp2mp2", "filter=adam_", "index=hf") as root:
        lib.equal(sorted(n for n in os.listdir(root) if not n.startswith(".") and n != "tensors"), ["model.safetensors", "model.safetensors.index.json"], "files")
        check_values(lib.tensors_of(root), {n: w for n, w in WANT["dp2mp2/20"].items() if not n.startswith("adam_")}, "hf")
    lib.refused_mount(f"{HERE}/dp2mp2", "strategy=none", parts=["strategy=", "metadata.json"])
    lib.refused_mount([f"{HERE}/dp2mp2", f"{HERE}/unique"], parts=["SOURCE"])


def test_common_json_of_other_sources(tmp):
    """Where counters are tensors, common.json is made of them."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    files = model.ranks()
    for tensors in files.values():
        for name, (dtype, shape) in COUNTERS.items():
            tensors[name] = (dtype, shape, (17 if name != "loss_scale" else 1024).to_bytes(8 if dtype == "I64" else 4, "little"))
    for rank, tensors in files.items():
        lib.write(f"{tmp}/checkpoint/rank_{rank}/net_rank_{rank}-1_17.safetensors", safefile.write(tensors))
    with lib.Mount(f"{tmp}/checkpoint") as root:
        lib.equal(json.loads(lib.read(f"{root}/common.json")), {"epoch_num": 17, "step_num": 17, "global_step": 17, "loss_scale": 1024.0, "global_batch_size": 17,
                                                                "consumed_samples": None, "ckpt_status": None}, "common.json")
    with lib.Mount(f"{tmp}/checkpoint", "index=hf") as root:
        lib.need(not os.path.exists(f"{root}/common.json"), "common.json in a view for Hugging Face")


def damage(tmp, change, parts):
    """Mounts must fail after `change` of the parsed metadata.json, saying `parts`."""
    source = f"{tmp}/{len(os.listdir(tmp))}"
    shutil.copytree(f"{HERE}/unique/iteration_00000020", f"{source}/iteration_00000020")
    path = f"{source}/iteration_00000020/metadata.json"
    m = json.loads(lib.read(path))
    change(m, m["state_dict_metadata"], m["storage_data"], source + "/iteration_00000020")
    lib.write(path, json.dumps(m))
    lib.refused_mount(source, parts=parts)


W = "model.layers.0.wq.weight"
PLACE = f"('{W}', (1,))"


def rewrite(path, change):
    tensors, meta, _ = safefile.read_file(path)
    change(tensors)
    lib.write(path, safefile.write(tensors, meta))


def holder(storage, folder, key=PLACE):
    return f"{folder}/{storage[key][0]['file_name']}"


def test_damaged_metadata(tmp):
    def replica(m, t, s, f):
        path = holder(s, f)
        rewrite(path, lambda ts: ts.update({W: ("F32", [4, 5], ts[W][2][:80])}))

    def swap(m, t, s, f):
        s[PLACE], s[f"('{W}', (0,))"] = s[f"('{W}', (0,))"], s[PLACE]

    def dtype(m, t, s, f):
        rewrite(holder(s, f), lambda ts: ts.update({W: ("I32", *ts[W][1:])}))

    for change, parts in (
            (lambda m, t, s, f: s.update({f"('{W}', (2,))": s.pop(PLACE)}), [W, "slice 2", "make 2"]),
            (swap, [W, "is stored by rank", "by its layout"]),
            (lambda m, t, s, f: s[PLACE][0].update(storage_rank=0), ["file_name", "rank 0's"]),
            (lambda m, t, s, f: s[PLACE][0].update(storage_rank=9), ["file_name", "rank 9"]),
            (lambda m, t, s, f: s[PLACE][0].update(file_name="../x.safetensors"), [W, "file_name"]),
            (lambda m, t, s, f: s[PLACE][0].pop("file_name"), [W, "file_name is missing"]),
            (lambda m, t, s, f: s[PLACE][0].update(file_name="nothing.safetensors"), ["nothing.safetensors", "missing"]),
            (lambda m, t, s, f: t[W]["chunk"].pop(), [W, "chunk has 1"]),
            (lambda m, t, s, f: t[W]["chunk"][1].update(global_offset=[0]), [W, "slice 0 is there twice"]),
            (lambda m, t, s, f: t[W]["chunk"][1].update(global_offset=[4, 0]), [W, "global_offset"]),
            (lambda m, t, s, f: t[W]["chunk"][1].update(local_shape=[8, 6]), [W, "local_shape"]),
            (lambda m, t, s, f: t[W].update(axis_fragmentations=[1, 2]), [W, "local_shape"]),
            (lambda m, t, s, f: t[W].update(axis_fragmentations=[3, 1]), [W, "axis_fragmentations"]),
            (lambda m, t, s, f: t[W].update(layout=None), [W, "layout is null"]),
            (lambda m, t, s, f: t[W]["layout"].update(tensor_map=[-1, 0]), [W, "axis_fragmentations", "layout"]),
            (lambda m, t, s, f: t[W]["layout"].update(tensor_map=[5, -1]), [W, "tensor_map"]),
            (lambda m, t, s, f: t[W]["layout"].update(rank_list=[0, 2, 1, 3]), [W, "rank_list"]),
            (lambda m, t, s, f: t[W]["layout"].update(rank_list=[0, 1]), [W, "device_matrix", "rank_list"]),
            (lambda m, t, s, f: t[W]["layout"].update(interleaved_parallel=True), [W, "interleaved_parallel"]),
            (lambda m, t, s, f: t[W]["properties"].update(dtype="Int32"), [W, "dtype", "I32", "F32"]),
            (lambda m, t, s, f: t[W].update(global_shape=[8, 12], axis_fragmentations=[2, 1], chunk=[{"global_offset": [i], "local_shape": [4, 12]} for i in (0, 1)]),
             [W, "global_shape", "[8, 12]", "[8, 6]"]),
            (lambda m, t, s, f: m.pop("storage_data"), ["storage_data is missing"]),
            (lambda m, t, s, f: s.update({"model.layers": []}), ["storage_data", "model.layers"]),
            (replica, [W, "shape", "[4, 5]"]),
            (dtype, [W, "dtype"]),
            (lambda m, t, s, f: rewrite(holder(s, f), lambda ts: ts.pop(W)), [W, "block 1 of 2", "rank_1, rank_3"])):
        damage(tmp, change, parts)


def test_replicas_whose_bytes_differ(tmp):
    """A mount takes the first of them, as it must; `check` compares them all, and names those that differ."""
    source = copy(tmp, "dp2mp2")
    lib.equal(lib.gatherfs("check", source)[0], 0, "a sound one")
    for rank, others in ((2, "rank 0"), (1, "rank 3")):
        path = f"{source}/iteration_00000020/tiny-model-{rank:07d}-0000004.safetensors"
        sound = lib.read(path)
        os.chmod(path, 0o600)
        rewrite(path, lambda ts: ts.update({W: (*ts[W][:2], bytes([ts[W][2][0] ^ 1]) + ts[W][2][1:])}))
        code, out, _ = lib.gatherfs("check", source)
        lib.need(code == 1 and W in out and f"rank {rank}" in out and others in out and "differs" in out, f"{rank}: {code}: {out}")
        lib.write(path, sound)
    lib.equal(lib.gatherfs("check", source)[0], 0, "sound again")


def test_metadata_that_readers_accept(tmp):
    """Keys that nobody knows, capitals in a type, a slice of a parameter that is not described: as in MindSpore Transformers."""
    source = copy(tmp, "unique")
    path = f"{source}/iteration_00000020/metadata.json"
    m = json.loads(lib.read(path))
    m["version"] = {"a": [1, None, 2.5]}
    m["state_dict_metadata"][W]["more"] = 1
    m["state_dict_metadata"][W]["properties"]["dtype"] = "float32"
    m["storage_data"]["('gone', (7,))"] = [dict(m["storage_data"][PLACE][0], note="x")]
    lib.write(path, json.dumps(m))
    with lib.Mount(source) as root:
        check_values(lib.tensors_of(root), WANT["unique/20"], "extra keys")


def test_not_json(tmp):
    source = copy(tmp, "unique")
    lib.write(f"{source}/iteration_00000020/metadata.json", "{\"state_dict_metadata\": {")
    lib.refused_mount(source, parts=["metadata.json"])
    shutil.copy(f"{HERE}/unique/iteration_00000020/metadata.json", f"{source}/iteration_00000020/metadata.json")
    lib.write(f"{source}/iteration_00000020/common.json", "{\"epoch_num\": \"two\"}")
    lib.refused_mount(source, parts=["common.json", "epoch_num"])


def test_lone_rank(tmp):
    """Without metadata.json nothing says why a tensor should be in two files."""
    source = copy(tmp, "lone")
    folder = f"{source}/iteration_00000003"
    shutil.copy(f"{folder}/tiny-model-0000000-0000001.safetensors", f"{folder}/again-model-0000000-0000001.safetensors")
    lib.refused_mount(source, parts=["again-model-0000000-0000001.safetensors", "tiny-model-0000000-0000001.safetensors"])


def steps(root):
    return {n for n in os.listdir(root) if n not in (".gatherfs", "latest")}


def await_steps(root, *numbers):
    lib.wait_for(lambda: steps(root) == {f"iteration_{n:08d}" for n in numbers}, f"the iterations {numbers}, where {sorted(steps(root))} are shown")


def test_all_steps(tmp):
    """steps=all shows every complete iteration and follows a training, whose saves are files renamed one after the other."""
    source = copy(tmp, "dp2mp2")
    with lib.Mount(source, "steps=all") as root:
        await_steps(root, 10, 20)
        lib.equal(os.readlink(f"{root}/latest"), "iteration_00000020", "latest")
        for n in (10, 20):
            check_values(lib.tensors_of(f"{root}/iteration_{n:08d}"), WANT[f"dp2mp2/{n}"], f"iteration {n}")
            lib.equal(json.loads(lib.read(f"{root}/iteration_{n:08d}/common.json"))["step_num"], n, "common.json")
        new = f"{source}/iteration_00000030"
        os.makedirs(new)
        names = sorted(os.listdir(f"{HERE}/unique/iteration_00000020"), key=lambda n: (n == "metadata.json", n))
        for name in names:
            shutil.copy(f"{HERE}/unique/iteration_00000020/{name}", f"{new}/tmp.part")
            lib.equal(steps(root), {"iteration_00000010", "iteration_00000020"}, f"before {name}")
            os.rename(f"{new}/tmp.part", f"{new}/{name}")
        await_steps(root, 10, 20, 30)
        lib.equal(os.readlink(f"{root}/latest"), "iteration_00000030", "latest")
        check_values(lib.tensors_of(f"{root}/latest"), WANT["unique/20"], "the new one")
        shutil.rmtree(f"{source}/iteration_00000010")
        await_steps(root, 20, 30)


def test_all_steps_of_an_only_rank(tmp):
    """Only the tracker tells that all files of an only rank are there."""
    source = copy(tmp, "lone")
    with lib.Mount(source, "steps=all") as root:
        await_steps(root, 3)
        shutil.copytree(f"{source}/iteration_00000003", f"{source}/iteration_00000006")
        lib.wait_for(lambda: "iteration_00000006" in lib.read(f"{root}/.gatherfs/status").decode(), "the new one to be seen")
        await_steps(root, 3)
        lib.write(f"{source}/latest_checkpointed_iteration.txt", "6")
        await_steps(root, 3, 6)
        lib.equal(lib.tensors_of(f"{root}/latest"), lib.tensors_of(f"{root}/iteration_00000003"), "tensors")


if __name__ == "__main__":
    lib.main()
