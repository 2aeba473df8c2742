# SPDX-License-Identifier: Apache-2.0
"""Iterations as MindSpore Transformers 2.x saves them: a sharded.Model written as model and optimizer files of each rank, with the
metadata.json that says what is where. Slices are numbered in the order of their parts, the last axis fastest."""
import json
import os

import numpy as np

from ref import safefile

TYPES = {"F32": "Float32", "F16": "Float16", "BF16": "BFloat16", "I32": "Int32"}
COUNTERS = {"epoch_num": 2, "step_num": None, "global_step": None, "loss_scale": 1.0, "global_batch_size": 16, "consumed_samples": None, "ckpt_status": 0}


def slice_of(layout, block):
    return int(np.ravel_multi_index(block[0], layout.parts())) if layout.tensor_map else 0


def described(name, dtype, units, layout):
    """Its entry of state_dict_metadata."""
    shape, groups = list(units.shape[:-1]), layout.groups()
    replicas = [groups[layout.block(r)].index(r) for r in range(layout.world)]
    return {"properties": {"dtype": TYPES[dtype], "replica_id": replicas, "allow_shape_mismatch": False, "allow_to_save": True},
            "global_shape": shape, "axis_fragmentations": layout.parts(),
            "layout": {"device_matrix": layout.dev, "tensor_map": layout.tensor_map, "interleaved_parallel": False,
                       "alias_name": [f"d{i}" for i in range(len(layout.dev))], "rank_list": list(range(layout.world))},
            "chunk": [{"global_offset": [slice_of(layout, block)], "local_shape": [n // p for n, p in zip(shape, layout.parts())]} for block in groups]}


def save(model, folder, number, unique=False, prefix="net-"):
    """Writes folder/iteration_NUMBER and the tracker; with `unique` only the first rank of a group saves a slice. The folder."""
    world, described_by, storage, files = model.world(), {}, {}, {}
    for (_, name), layout in model.layouts.items():
        dtype, units = model.full[name]
        described_by[name] = described(name, dtype, units, layout)
        kind = "opt" if name.startswith("adam_") else "model"
        for block, ranks in layout.groups().items():
            for rank in ranks[:1] if unique else ranks:
                file = f"{prefix}{kind}-{rank:07d}-{world:07d}.safetensors"
                files.setdefault(file, {})[name] = model.tensor(dtype, layout.take(units, block))
                storage.setdefault(f"('{name}', ({slice_of(layout, block)},))", []).append({"file_name": file, "storage_rank": rank, "rank_group": ranks})
    at = f"{folder}/iteration_{number:08d}"
    os.makedirs(at)
    texts = {"metadata.json": json.dumps({"state_dict_metadata": described_by, "storage_data": storage}),
             "common.json": json.dumps({**COUNTERS, "step_num": number, "global_step": number}, indent=4), "../latest_checkpointed_iteration.txt": str(number)}
    for name, data in {**{n: safefile.write(t, {"format": "ms"}) for n, t in files.items()}, **{n: t.encode() for n, t in texts.items()}}.items():
        with open(f"{at}/{name}", "wb") as f:
            f.write(data)
    return folder
