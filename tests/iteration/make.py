# SPDX-License-Identifier: Apache-2.0
"""Makes the checkpoints of this folder with MindSpore Transformers' own code, and expected.json: what its loader gives back.

usage (the clients' environment): make.py OUT

  dp2mp2/   4 ranks through save_checkpoint() in 4 processes, with redundancy; iterations 10 and 20
  unique/   the same without redundancy: each slice is in one file; iteration 20
  mp2pp2/   two stages of two ranks, no prefix, a parameter that both stages have; iteration 7
  lone/     1 rank through CheckpointMonitor; iteration 3

On a CPU nothing compiles in parallel, so layouts are made here; saving, metadata.json and loading are MindSpore Transformers'. Without
redundancy its save needs a device; there the plan, metadata.json and names are its own, and each rank's file is written by save_checkpoint().
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys

os.environ.setdefault("GLOG_v", "3")
import numpy as np
import mindspore as ms
from mindspore import Parameter, Tensor, nn
from mindspore.parallel import Layout

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "clients"))
from mfcommon import graph_mode

# name: (shape, dtype, tensor map in names, stages); the second dimension of "embed" is cut over both axes, as the optimizer does
MODEL = {
    "model.embed.weight": ((8, 12), "float32", ("None", ("dp", "mp")), [0]),
    "model.layers.0.wq.weight": ((8, 6), "float32", ("mp", "None"), [0]),
    "model.layers.0.wo.weight": ((6, 8), "bfloat16", ("None", "mp"), [0]),
    "model.layers.1.w1.weight": ((4, 6, 2), "float16", (("mp", "dp"), "None", "None"), [1]),
    "model.layers.1.it's.bias": ((5,), "float32", None, [1]),
    "model.norm.weight": ((6,), "float32", ("None",), [0, 1]),
    "model.scale": ((), "float32", None, [0]),
}
OPTIMIZER = {f"adam_{k}.{n}": (s, "float32", m, st) for n, (s, _, m, st) in MODEL.items() if m for k in "mv"}
OPTIMIZER["adam_m.model.layers.0.wq.weight"] = ((8, 6), "float32", (("mp", "dp"), "None"), [0])
ALL = {**MODEL, **OPTIMIZER}
DTYPES = {"float32": ms.float32, "float16": ms.float16, "bfloat16": ms.bfloat16}
FREE = {"global_step": ms.int32, "learning_rate": ms.float32}  # of the optimizer, and in no layout


def value(name, iteration):
    seed = int.from_bytes(hashlib.sha256(f"{name} {iteration}".encode()).digest()[:4], "little")
    return np.random.RandomState(seed).standard_normal(ALL[name][0]).astype(np.float32)


def layout(name, stage, per_stage, matrix):
    cuts = ALL[name][2]
    if cuts is None:
        return None
    return Layout(matrix, ("dp", "mp"), list(range(stage * per_stage, (stage + 1) * per_stage)))(*cuts)


def metas(names, stages, per_stage, matrix, rank):
    """ShardedTensors of one rank, as MindSpore Transformers makes them of a compiled network's layouts."""
    from mindformers.checkpoint.sharded_tensor import get_sharded_tensor_from_strategy_metadata
    stage = rank // per_stage
    infos = {n: [layout(n, stage, per_stage, matrix), DTYPES[ALL[n][1]], ALL[n][0]] for n in names if stages == 1 or stage in ALL[n][3]}
    return get_sharded_tensor_from_strategy_metadata(infos, rank)


def local(name, iteration, stage, per_stage, matrix, rank):
    """The rank's slice, cut by the reader's own rule."""
    from mindformers.checkpoint.reshard import infer_slice_area_by_rank
    whole, lay = value(name, iteration), layout(name, stage, per_stage, matrix)
    if lay is None:
        return whole
    d = lay.to_dict()
    area = infer_slice_area_by_rank(d["device_matrix"], d["tensor_map"], rank % per_stage, whole.shape)
    return np.ascontiguousarray(whole[tuple(slice(a, b) for a, b in area)])


class Cell(nn.Cell):
    """Parameters; those of other stages are known by name only, as a compiled network drops what its rank does not hold."""

    def __init__(self, params, others=()):
        super().__init__(auto_prefix=False)
        self.others = others
        for p in params:
            self.insert_param_to_cell(p.name.replace(".", "_").replace("'", "_"), p)

    def parameters_dict(self, recurse=True):
        return {**dict.fromkeys(self.others), **super().parameters_dict(recurse)}


def cell(names, iteration, stages, per_stage, matrix, rank, free=()):
    stage = rank // per_stage
    params = [Parameter(Tensor(local(n, iteration, stage, per_stage, matrix, rank), DTYPES[ALL[n][1]]), name=n) for n in names
              if stages == 1 or stage in ALL[n][3]]
    params += [Parameter(Tensor([iteration] if n == "global_step" else 0.5, FREE[n]), name=n) for n in free]
    return Cell(params, names)


def info(iteration):
    from mindformers.checkpoint.checkpoint import CommonInfo
    return CommonInfo(epoch_num=2, step_num=iteration, global_step=iteration, loss_scale=None, global_batch_size=16,
                      consumed_samples=16 * iteration, ckpt_status=0)


def worker(out, prefix, stages, matrix, iterations):
    """One of the processes of a real save."""
    from mindspore.communication import init, get_rank, get_group_size
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    graph_mode()
    init()
    from mindformers.checkpoint.checkpoint import save_checkpoint
    rank, world = get_rank(), get_group_size()
    per_stage = world // stages
    all_metas = {r: metas(ALL, stages, per_stage, matrix, r) for r in range(world)} if rank == 0 else None
    for iteration in iterations:
        save_checkpoint(iteration, cell(MODEL, iteration, stages, per_stage, matrix, rank),
                        cell(OPTIMIZER, iteration, stages, per_stage, matrix, rank, FREE), common_info=info(iteration), user_prefix=prefix or None,
                        save_checkpoint_path=out, sharded_tensor_metas=all_metas)


def save(out, prefix, stages, matrix, iterations):
    os.makedirs(out)
    run = out + ".run"
    os.makedirs(run)
    subprocess.run([os.path.join(os.path.dirname(sys.executable), "msrun"), "--worker_num=4", "--local_worker_num=4", "--join=True",
                    f"--master_port={20000 + os.getpid() % 20000}", os.path.abspath(__file__), "worker", out, prefix, str(stages),
                    json.dumps(matrix), json.dumps(iterations)], check=True, cwd=run, stdout=subprocess.DEVNULL,
                   env={**os.environ, "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"], "LOCAL_DEFAULT_PATH": run})
    shutil.rmtree(run)


def save_unique(out, prefix, matrix, iteration):
    """What save_checkpoint(remove_redundancy=True) does, with its own functions, one rank after the other."""
    import mindformers.checkpoint.fully_parallel as fp
    from mindformers.checkpoint.utils import FileType, get_checkpoint_iter_dir, get_checkpoint_name, get_checkpoint_tracker_filename, get_common_filename
    world = 4
    folder = get_checkpoint_iter_dir(out, iteration)
    os.makedirs(folder)
    plans, everything = [], {r: metas(ALL, 1, world, matrix, r) for r in range(world)}
    for names, kind, free in ((MODEL, FileType.MODEL, ()), (OPTIMIZER, FileType.OPTIMIZER, ())):
        side = {r: {n: t for n, t in m.items() if n in names} for r, m in everything.items()}
        payloads, assignment = fp._compute_balanced_assignment_on_rank0(side, world)
        for rank, (shards, _, index, total, _) in enumerate(payloads):
            if index is None:
                continue
            mine = {fp._reverse_sharded_tensor_shard_id(s)[0] for s in shards}
            ms.save_checkpoint(cell(names, iteration, 1, world, matrix, rank, free), get_checkpoint_name(folder, prefix, index, total, kind),
                               format="safetensors", choice_func=lambda n, mine=mine: n in mine, integrated_save=False)
        plans.append((fp.BalancedShardPlan(total_files_num=total, full_assignment=assignment), kind, None))
    fp.save_balanced_metadata(out, iteration, prefix, plans, everything)
    info(iteration).save_common(get_common_filename(out, iteration))
    with open(get_checkpoint_tracker_filename(out), "w") as f:
        f.write(str(iteration))


def save_lone(out):
    """A training of one step after the other, saved by CheckpointMonitor."""
    from mindformers.core.callback.callback import CheckpointMonitor
    from mfnet import NetLoss, TrainNet
    import mindspore.dataset as ds
    net = TrainNet()
    opt = nn.AdamWeightDecay(net.trainable_params(), learning_rate=1e-3)
    model = ms.Model(nn.TrainOneStepCell(NetLoss(net), opt))
    data = ds.NumpySlicesDataset({"x": np.ones((3, 16), np.float32), "y": np.ones((3, 16), np.float32)}, shuffle=False).batch(1)
    monitor = CheckpointMonitor(prefix="tiny", directory=out, save_checkpoint_steps=3, use_legacy_format=False, save_optimizer=True, global_batch_size=1)
    model.train(1, data, callbacks=[monitor], dataset_sink_mode=False)


def digest(p):
    raw = p.asnumpy() if p.dtype != ms.bfloat16 else p.astype(ms.float32).asnumpy()
    return {"shape": list(p.shape), "dtype": str(p.dtype), "sha256": hashlib.sha256(np.ascontiguousarray(raw).tobytes()).hexdigest()}


def load(folder, names):
    """The checkpoint on one card, by the real loader: {name: digest}; BFloat16 as Float32."""
    from mindformers.checkpoint.checkpoint import load_checkpoint
    params = [Parameter(Tensor(np.zeros(s, np.float32), DTYPES[d]), name=n) for n, (s, d, _, _) in names.items()]
    net = Cell(params)
    load_checkpoint(folder, net)
    return {p.name: digest(p) for p in net.get_parameters()}


def expected(out):
    want = {}
    for folder, iteration in (("dp2mp2", 10), ("dp2mp2", 20), ("unique", 20), ("mp2pp2", 7)):
        got = load(f"{out}/{folder}/iteration_{iteration:08d}", ALL)
        for name, d in got.items():
            saved = digest(Parameter(Tensor(value(name, iteration), DTYPES[ALL[name][1]]), name="x"))
            assert d == saved, (folder, name, "the loader does not give back what was saved")
        want[f"{folder}/{iteration}"] = got
    from safetensors.numpy import load_file
    lone = {n: (a.shape, str(a.dtype), None, None) for f in sorted(os.listdir(f"{out}/lone/iteration_00000003")) if f.endswith(".safetensors")
            for n, a in load_file(f"{out}/lone/iteration_00000003/{f}").items() if str(a.dtype) == "float32" and n != "learning_rate"}
    want["lone/3"] = load(f"{out}/lone/iteration_00000003", lone)
    with open(f"{out}/expected.json", "w") as f:
        json.dump(want, f, indent=1, sort_keys=True)
        f.write("\n")


def main(out):
    out = os.path.abspath(out)
    save(f"{out}/dp2mp2", "tiny", 1, (2, 2), [10, 20])
    save(f"{out}/mp2pp2", "", 2, (1, 2), [7])
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    graph_mode()
    save_unique(f"{out}/unique", "tiny", (2, 2), 20)
    save_lone(f"{out}/lone")
    expected(out)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), tuple(json.loads(sys.argv[5])), json.loads(sys.argv[6]))
    else:
        main(sys.argv[1])
