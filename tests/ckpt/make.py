#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes .ckpt files with MindSpore into this folder, and expected.json: what MindSpore's load_checkpoint and numpy say they hold.

usage: .venv/clients/bin/python tests/ckpt/make.py

Each function below is one file. Where save_checkpoint cannot be brought to write something, its own writers are called, or the
message is built with MindSpore's schema. Contents come from seeded generators: the files are the same on every run, but for encrypted.ckpt.
"""
import json
import os
import stat

os.environ.setdefault("GLOG_v", "3")
import mindspore as ms
import numpy as np
import xxhash
from mindspore import Tensor, nn
from mindspore.common import dtype as mstype
from mindspore.common import np_dtype
from mindspore.train import serialization
from mindspore.train.checkpoint_pb2 import Checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))
SAFETENSORS = {"Float32": "F32", "Float16": "F16", "BFloat16": "BF16", "Float64": "F64", "Int8": "I8", "Int16": "I16", "Int32": "I32",
               "Int64": "I64", "UInt8": "U8", "UInt16": "U16", "UInt32": "U32", "UInt64": "U64", "Bool": "BOOL", "Int4": "I8",
               "Complex64": "C64"}
random = np.random.default_rng(20)


def numbers(shape, dtype=np.float32):
    count = int(np.prod(shape))
    if dtype == np.bool_:
        return (random.integers(0, 2, count) == 1).reshape(shape)
    if dtype == np_dtype.bfloat16:
        return np.frombuffer(random.bytes(2 * count), np_dtype.bfloat16).reshape(shape).copy()
    return np.frombuffer(random.bytes(np.dtype(dtype).itemsize * count), dtype).reshape(shape).copy()


def param(name, shape, dtype=np.float32):
    return {"name": name, "data": Tensor.from_numpy(np.asarray(numbers(shape, dtype)))}


def value(tag, dims, tensor_type, content):
    checkpoint = Checkpoint()
    v = checkpoint.value.add()
    v.tag = tag
    v.tensor.dims.extend(dims)
    v.tensor.tensor_type = tensor_type
    v.tensor.tensor_content = content
    return checkpoint.SerializeToString()


def types(path):
    kinds = [np.float32, np.float16, np_dtype.bfloat16, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32,
             np.uint64, np.bool_]
    params = [param(f"net.{np.dtype(k).name}", (3, 5), k) for k in kinds]
    params += [param(f"scalar.{np.dtype(k).name}", (), k) for k in kinds]
    params.append({"name": "net.int4", "data": Tensor(numbers((4, 3), np.int8), mstype.qint4x2)})
    params.append(param("层.权重 \"q\" \\ \x01", (2, 2)))
    params.append(param("eight", (1, 2, 1, 2, 1, 2, 1, 2)))
    ms.save_checkpoint(params, path)


def slices(path):
    ms.save_checkpoint([param("first", (40, 33)), param("one", (16, 16)), param("small", (3,)), param("scalar", ()),
                        param("half", (50, 41), np.float16), param("brain", (2, 1025), np_dtype.bfloat16), param("last", (1025,))], path)


def slices_crc(path):
    ms.save_checkpoint([param("a", (300,)), param("b", (256,)), param("c", (257,))], path, crc_check=True)


def crc(path):
    ms.save_checkpoint([param("w", (8, 8)), param("b", (8,))], path, crc_check=True, append_dict={"epoch_num": 7})


def append(path):
    ms.save_checkpoint([param("w", (2, 3))], path, append_dict={"epoch_num": 3, "step_num": -1, "lr": 0.5, "done": True, "note": "héllo ☃"})


def arrays(path):
    """As integrated saving does it: along axis 0, so that there can be fewer rows than slices, and the last slices are empty."""
    serialization._exec_save(path, {"rows": [[9, 301], "Float32", numbers((9, 301))], "two": [[2, 1000], "Float32", numbers((2, 1000))],
                                    "after": [[4], "Int32", numbers((4,), np.int32)]})


def cell(path):
    net = nn.SequentialCell(nn.Dense(6, 4), nn.BatchNorm1d(4), nn.Dense(4, 2))
    optimizer = nn.Adam(net.trainable_params(), 0.1)
    for p in optimizer.get_parameters():
        if p.dtype == mstype.float32:
            p.set_data(Tensor(numbers(p.shape)))
    ms.save_checkpoint(optimizer, path, append_dict={"epoch_num": 1, "step_num": 10, "loss_scale": 1024.0})


def by_hand(path):
    """What save_checkpoint of this version does not write, and its loader reads."""
    with open(path, "wb") as f:
        f.write(value("old.scalar", [0], "Float32", numbers(()).tobytes()))
        f.write(value("empty", [2, 0], "Float16", b""))
        f.write(value("twice", [2], "Float32", numbers((2,)).tobytes()))
        f.write(value("between", [1], "Int64", numbers((1,), np.int64).tobytes()))
        f.write(value("twice", [3], "Int16", numbers((3,), np.int16).tobytes()))
        f.write(value("text, then tensor", [0], "str", np.array(["abc"]).tobytes()))
        f.write(value("sliced twice", [3], "UInt8", b"ab") + value("sliced twice", [3], "UInt8", b"c"))
        f.write(value("text, then tensor", [1], "Bool", b"\1"))
        f.write(value("tensor, then text", [1], "Bool", b"\1"))
        f.write(value("sliced twice", [4], "UInt8", b"d") + value("sliced twice", [4], "UInt8", b"") + value("sliced twice", [4], "UInt8", b"efg"))
        f.write(value("tensor, then text", [0], "str", np.array(["xyz"]).tobytes()))


class Table:
    """What the writer asks of a MapParameter, of which this device has none: keys, values and states, in two parts."""

    def __init__(self):
        self.left = 2

    def export_slice_data(self, _incremental):
        self.left -= 1
        return numbers((3,), np.int32), numbers((3, 2)), np.zeros(3, np.int32), self.left == 0


def map_parameter(path):
    serialization._exec_save(path, {"before": [[2], "Float32", numbers((2,))], "table": ["mapparameter", Table()],
                                    "after": [[2], "Float32", numbers((2,))]})


def complex64(path):
    """MindSpore saves these and cannot load them: what is expected is what was saved."""
    both = {"c64": numbers((3, 2), np.complex64), "w": numbers((2,))}
    ms.save_checkpoint([{"name": n, "data": Tensor(a)} for n, a in both.items()] + [param("c128", (2,), np.complex128)], path)
    return {"tensors": {n: describe({np.dtype(np.complex64): "Complex64"}.get(a.dtype, "Float32"), a) for n, a in both.items()},
            "left_out": ["c128"], "int4": []}


def encrypted(path):
    ms.save_checkpoint([param("w", (2, 3))], path, enc_key=b"0123456789ABCDEF", enc_mode="AES-GCM")
    return {"error": "encrypted"}


def describe(tensor_type, array):
    return {"dtype": SAFETENSORS[tensor_type], "shape": list(array.shape), "nbytes": array.nbytes, "xxh3_64": xxhash.xxh3_64_hexdigest(array.tobytes())}


def expected(path):
    loaded = ms.load_checkpoint(path)
    tensors = {n: p for n, p in loaded.items() if not isinstance(p, (str, list))}
    return {"tensors": {n: describe(str(p.dtype), p.asnumpy()) for n, p in tensors.items()},
            "left_out": [n for n in loaded if n not in tensors], "int4": [n for n, p in tensors.items() if p.dtype == mstype.qint4x2]}


FILES = {"types": types, "slices": slices, "slices_crc": slices_crc, "crc": crc, "append": append, "arrays": arrays, "cell": cell,
         "by_hand": by_hand, "map": map_parameter, "complex": complex64, "encrypted": encrypted}


def main():
    result = {}
    whole = serialization.SLICE_SIZE
    for name, make in FILES.items():
        path = os.path.join(HERE, f"{name}.ckpt")
        if os.path.exists(path):
            os.remove(path)
        serialization.SLICE_SIZE = 1 if name in ("slices", "slices_crc", "arrays") else whole  # KiB
        result[f"{name}.ckpt"] = make(path) or expected(path)
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
    with open(os.path.join(HERE, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1, ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    main()
