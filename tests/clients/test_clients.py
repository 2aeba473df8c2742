# SPDX-License-Identifier: Apache-2.0
"""The real programs that people point at the mount: Python's safetensors, MindSpore, MindSpore Transformers."""
import os
import subprocess
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from mount import lib
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout

HERE = os.path.dirname(os.path.abspath(__file__))
MS_DTYPES = ["F32", "F16", "BF16", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL", "F64"]
NUMPY = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8, "I16": np.int16, "U16": np.uint16, "I32": np.int32,
         "U32": np.uint32, "I64": np.int64, "U64": np.uint64, "BOOL": np.bool_, "F64": np.float64}


def script(tmp, name, *args, workers=0):
    """Runs a client script in an empty folder of its own; what it must do is end with 0."""
    where = f"{tmp}/run-{name}-{len(os.listdir(tmp))}"
    os.makedirs(f"{where}/local")
    command = [sys.executable, f"{HERE}/{name}.py", *args]
    if workers:
        port = 20000 + os.getpid() % 12000
        msrun = [os.path.join(os.path.dirname(sys.executable), "msrun"), f"--worker_num={workers}", f"--local_worker_num={workers}", f"--master_port={port}", "--join=True"]
        command = msrun + command[1:]
    env = {**os.environ, "GLOG_v": "3", "LOCAL_DEFAULT_PATH": f"{where}/local",
           "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]}
    with open(f"{where}/log", "wb") as log:
        code = subprocess.run(command, cwd=where, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=240).returncode
    logs = [f"{where}/log"] if code or not workers else [f"{where}/worker_{w}.log" for w in range(workers)]
    text = "".join(lib.read(path).decode(errors="replace") for path in logs)
    lib.equal(code, 0, f"exit code of {name}.py {args}: {text[-1500:]}\n")
    return text


def all_dtypes():
    """Every dtype that MindSpore reads, cut by rows and by columns, over dp2 tp2."""
    model = sharded.Model(4)
    for d in MS_DTYPES:
        model.add(f"rows.{d.lower()}", d, [8, 5], Layout([2, 2], [0, -1])).add(f"columns.{d.lower()}", d, [4, 8], Layout([2, 2], [-1, 0], 1, -1))
        for name in (f"rows.{d.lower()}", f"columns.{d.lower()}"):
            if d == "BOOL":
                model.full[name] = (d, model.full[name][1] & 1)
    return model


def mount_of(model, tmp, *options):
    model.save_strategy(f"{tmp}/strategy")
    return lib.Mount(model.save(f"{tmp}/checkpoint"), *options)


def as_numpy(tensor):
    dtype, shape, data = tensor
    return np.frombuffer(data, NUMPY[dtype]).reshape(shape)


def same(got, want, what):
    lib.need(got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes(), what)


def test_safetensors(tmp):
    model = all_dtypes()
    want = {n: as_numpy(t) for n, t in model.whole().items() if t[0] != "BF16"}
    with mount_of(model, tmp, "part_size=1000") as root:
        parts = sorted(n for n in os.listdir(root) if n.endswith(".safetensors"))
        lib.need(len(parts) > 3, "a weak test")
        seen = set()
        for part in parts:
            with safe_open(f"{root}/{part}", framework="numpy") as f:
                lib.equal(f.metadata()["format"], "ms", "format")
                seen.update(f.keys())
                for name in set(f.keys()) & set(want):
                    same(f.get_tensor(name), want[name], f"safe_open: {name}")
                    view = f.get_slice(name)
                    lib.equal(view.get_shape(), list(want[name].shape), "get_shape")
                    for cut in (np.s_[1:3], np.s_[:, 2:5], np.s_[3:4, 1:2], np.s_[0:0]):
                        same(view[cut], want[name][cut], f"get_slice: {name}{cut}")
                    del view  # it keeps the file mapped
        lib.equal(seen, set(model.full), "names")
    with mount_of(model, tmp, "filter=rows.bf16", "filter=columns.bf16") as root:
        loaded = load_file(f"{root}/model-00001-of-00001.safetensors")
        lib.equal(set(loaded), set(want), "load_file: names")
        for name in want:
            same(loaded[name], want[name], f"load_file: {name}")


def test_load_checkpoint(tmp):
    model = all_dtypes()
    lib.write(f"{tmp}/want.safetensors", safefile.write(model.whole()))
    with mount_of(model, tmp, "part_size=1000") as root:
        lib.need("checked 26 parameters" in script(tmp, "ms_load", root, f"{tmp}/want.safetensors"), "not all were checked")


def test_load_distributed_checkpoint(tmp):
    """MindSpore splits the mount for tp4 with optimizer shards off, and each rank has what numpy cuts for it."""
    model = all_dtypes()
    model.add_outside("step_num", "I64", [])
    target = {(0, n): Layout([4], [0, -1] if n.startswith("rows") else [-1, 0]) for n in model.full}
    merged = lib.write(f"{tmp}/target/merged.ckpt", strategy_pb.merged(target))
    with mount_of(model, tmp, "part_size=1000") as root:
        script(tmp, "ms_distribute", root, merged, f"{tmp}/out")
    model.layouts = target
    for rank, want in model.ranks().items():
        name, = os.listdir(f"{tmp}/out/rank_{rank}")
        lib.same_tensors(safefile.read_file(f"{tmp}/out/rank_{rank}/{name}")[0], want, f"rank {rank}")


def resume(tmp, *shape):
    script(tmp, "make_ranks", f"{tmp}/made", *shape)
    with lib.Mount(f"{tmp}/made/checkpoint", "part_size=4K") as root:
        lib.need("checked 15 parameters" in script(tmp, "mf_resume_single", root), "not all were checked")


def test_resume_dp2_mp2(tmp):
    resume(tmp, "2", "2", "1")


def test_resume_dp2_mp2_with_optimizer_shards(tmp):
    resume(tmp, "2", "2", "1", "opt")


def test_resume_dp2_mp2_without_redundancy(tmp):
    resume(tmp, "2", "2", "1", "rr")


def test_resume_mp2_pp2(tmp):
    resume(tmp, "1", "2", "2")


def test_two_workers_load_a_mount(tmp):
    """msrun: each worker reshards the unified directory for itself."""
    script(tmp, "make_ranks", f"{tmp}/made", "2", "2", "1")
    with lib.Mount(f"{tmp}/made/checkpoint", "part_size=4K") as root:
        text = script(tmp, "mf_dist_load", root, "unified", workers=2)
        lib.equal(text.count("checked 15 parameters, 0 wrong"), 2, "workers that checked")


def test_llama(tmp):
    """The real LlamaForCausalLM loads a mount of shards that numpy cut from a tiny Llama, tp2 x pp2."""
    script(tmp, "make_unified", f"{tmp}/made", "ms", "2")
    model = sharded.Model()
    for name, (dtype, shape, data) in lib.tensors_of(f"{tmp}/made").items():
        model.full[name] = (dtype, np.frombuffer(data, np.uint8).reshape(*shape, 4))
        stage = 1 if "layers.1." in name or "norm_out" in name or "lm_head" in name else 0
        model.layouts[stage, name] = Layout([1, 2], [-1] if len(shape) == 1 else [-1, 0] if ".wo." in name or ".w2." in name else [0, -1])
    with mount_of(model, tmp, "part_size=20K") as root:
        lib.need(len(os.listdir(root)) > 4, "a weak test")
        lib.need("checked 21 parameters, 0 wrong" in script(tmp, "mf_legacy_single", root), "not all were checked")


if __name__ == "__main__":
    lib.main()
