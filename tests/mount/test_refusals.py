# SPDX-License-Identifier: Apache-2.0
"""Refusals that no other test meets: folders, steps, indexes and iterations that cannot be what they say, each with the names in the message."""
import json
import os

from malformed.strategies import Any
from mount import lib
from ref import safefile, strategy_pb
from ref.algebra import Layout

W = ("F32", [2, 4], bytes(32))


def ranks(where, files, layout=Layout([2], [0, -1])):
    """A SOURCE of these files (folder/name -> tensors), and a strategy beside it for "w"."""
    for path, tensors in files.items():
        lib.write(f"{where}/src/{path}", safefile.write(tensors, {"format": "ms"}))
    lib.write(f"{where}/strategy/s.ckpt", strategy_pb.encode(0, {"w": layout}))
    return f"{where}/src"


def whole(where, index, name="model.safetensors.index.json"):
    """A directory of one file with "w", and this index."""
    lib.write(f"{where}/model.safetensors", safefile.write({"w": W}))
    lib.write(f"{where}/{name}", json.dumps(index))
    return where


def iteration(where, metadata=None):
    os.makedirs(f"{where}/iteration_00000007")
    if metadata is not None:
        lib.write(f"{where}/iteration_00000007/metadata.json", json.dumps(metadata))
    return where


def test_rank_folders(tmp):
    one, two = "rank_0/net_rank_0-1_1.safetensors", "rank_1/net_rank_1-1_1.safetensors"
    source = ranks(f"{tmp}/kinds", {one: {"w": W}, two: {"w": W}})
    lib.write(f"{source}/rank_1/net_rank_1-1_1.ckpt", "x")
    lib.refused_mount(source, parts=[f"{source}/rank_1", "both .ckpt and .safetensors"])
    source = ranks(f"{tmp}/folders", {one: {"w": W}, two: {"w": W}, "rank_01/net_rank_1-1_1.safetensors": {"w": W}})
    lib.refused_mount(source, parts=["rank 1 has two folders", f"{source}/rank_1", f"{source}/rank_01"])


def test_steps(tmp):
    one, two = "rank_0/net_rank_0-1_1.safetensors", "rank_1/net_rank_1-1_1.safetensors"
    source = ranks(f"{tmp}/prefix", {one: {"w": W}, two: {"w": W}, "rank_1/old_rank_1-1_1.safetensors": {"w": W}})
    lib.refused_mount(source, parts=[f"{source}/rank_1", "net_rank_1-1_1.safetensors", "old_rank_1-1_1.safetensors", "of one step", "step="])
    lib.refused_mount(source, "step=-1_1", parts=[f"{source}/rank_1", "several files", '"-1_1"', "step="])
    source = ranks(f"{tmp}/epochs", {one: {"w": W}, "rank_1/net_rank_1-2_1.safetensors": {"w": W}})
    lib.refused_mount(source, "step=_1", parts=["step=_1 is not one step", "net_rank_0-1_1.safetensors", "net_rank_1-2_1.safetensors"])


def test_index_of_a_unified_source(tmp):
    for i, (index, parts) in enumerate((({}, ["weight_map", "object"]), ({"weight_map": ["w"]}, ["weight_map", "object"]),
                                        ({"weight_map": {"w": 7}}, ["weight_map", '"w"', "name of a file"]),
                                        ({"weight_map": {"w": "no.safetensors"}}, ['"w"', "no.safetensors", "not there"]),
                                        ({"weight_map": {"v": "model.safetensors"}}, ['"v"', "model.safetensors", "does not hold it"]))):
        source = whole(f"{tmp}/{i}", index)
        lib.refused_mount(source, parts=[f"{source}/model.safetensors.index.json", *parts])
    for i, (index, parts) in enumerate((([], ["object"]), ({"w": []}, ['"w"', "name of a file"]))):
        source = whole(f"{tmp}/ms{i}", index, "param_name_map.json")
        lib.refused_mount(source, parts=[f"{source}/param_name_map.json", "weight_map", *parts])


def test_iterations(tmp):
    source = iteration(f"{tmp}/none", {"state_dict_metadata": {}, "storage_data": {}})
    lib.refused_mount(source, parts=[source, "metadata.json", "strategy: is empty"])
    layout = {"device_matrix": [2], "tensor_map": [0], "rank_list": [0, 1]}
    tensor = {"properties": {"dtype": "Float32"}, "global_shape": [2], "axis_fragmentations": [2], "layout": layout,
              "chunk": [{"global_offset": [i], "local_shape": [1]} for i in (0, 1)]}
    source = iteration(f"{tmp}/unstored", {"state_dict_metadata": {"w": tensor}, "storage_data": {}})
    lib.refused_mount(source, parts=[f"{source}/iteration_00000007/metadata.json", "storage_data names no file"])
    source = iteration(f"{tmp}/empty")
    lib.write(f"{source}/latest_checkpointed_iteration.txt", "7")
    lib.refused_mount(source, parts=[f"{source}/iteration_00000007", "neither metadata.json nor .safetensors"])


def test_sizes(tmp):
    """Slices without bytes, whose axes multiply to 2^62, of a whole whose axes multiply to 2^64."""
    slices = {"w": ("F32", [2**31, 2**31, 0], b"")}
    source = ranks(tmp, {f"rank_{r}/net_rank_{r}-1_1.safetensors": slices for r in range(4)}, Any([2, 2], [1, 0, -1]))
    lib.refused_mount(source, parts=['"w"', "shape [4294967296, 4294967296, 0] overflows"])


def test_files_that_are_none(tmp):
    """What is wrong with the only weights file of a folder, and a file where several folders are meant."""
    os.mkdir(f"{tmp}/pipe")
    os.mkfifo(f"{tmp}/pipe/model.safetensors")
    code, out, err = lib.gatherfs("check", f"{tmp}/pipe")
    lib.need(code == 1 and f"{tmp}/pipe: no .safetensors file in it can be opened" in out, f"{code} {out!r} {err!r}")
    source = ranks(tmp, {f"rank_{r}/net_rank_{r}-1_1.safetensors": {"w": W} for r in (0, 1)})
    file = lib.write(f"{tmp}/model.safetensors", safefile.write({"w": W}))
    lib.refused_mount([file, source], parts=[file, "holds whole tensors", "several SOURCEs"])


def test_options_of_ranks(tmp):
    """What says how rank folders are cut or chosen is refused for whole tensors, rather than taken and then ignored."""
    file = lib.write(f"{tmp}/src/model.safetensors", safefile.write({"w": W}))
    for source in (f"{tmp}/src", file):
        for option in ("strategy=none", f"strategy={file}", "outside=rank0", "to=same", "step=1_1"):
            lib.refused_mount(source, option, parts=[f"{tmp}/src", "holds whole tensors", option.split("=")[0] + "="])


def test_journal_of_an_export(tmp):
    source = ranks(tmp, {f"rank_{r}/net_rank_{r}-1_1.safetensors": {"w": W} for r in (0, 1)})
    for i, make in enumerate((os.mkfifo, os.mkdir, lambda path: os.link(lib.write(f"{tmp}/elsewhere", "x"), path))):
        os.mkdir(f"{tmp}/{i}")
        make(f"{tmp}/{i}/.gatherfs-export")
        code, out, err = lib.gatherfs("export", source, f"{tmp}/{i}")
        lib.need(code == 1 and f"{tmp}/{i}/.gatherfs-export: " in err and ("regular file" in err or "directory" in err), f"{i}: {code} {out!r} {err!r}")


def test_meta_json(tmp):
    source = ranks(tmp, {f"rank_{r}/net_rank_{r}-1_1.safetensors": {"w": W} for r in (0, 1)})
    lib.write(f"{source}/rank_1/meta.json", json.dumps({"last_epoch": "1", "last_step": 1, "last_ckpt_file": "net_rank_1-1_1.safetensors"}))
    code, out, err = lib.gatherfs("check", source)
    lib.need(code == 1 and f"{source}/rank_1/meta.json" in out and "last_epoch: expected a whole number" in out, f"{code} {out!r} {err!r}")


if __name__ == "__main__":
    lib.main()
