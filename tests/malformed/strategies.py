# SPDX-License-Identifier: Apache-2.0
"""Strategies with one flaw each, for a checkpoint of two ranks whose only parameter "w" is F32 [2, 4] on each:
name -> ({file name: bytes}, what the refusal must say)."""
from ref import strategy_pb as pb
from ref.algebra import Layout


class Any(Layout):
    """A layout that need not make sense."""

    def __init__(self, dev, tensor_map, opt_step=0, opt_size=0, nested=False):
        self.dev, self.tensor_map, self.nested, self.opt_step, self.opt_size = dev, tensor_map, nested, opt_step, opt_size


def one(layout, name="w", stage=0):
    return {"s.ckpt": pb.encode(stage, {name: layout})}


GOOD = Layout([2], [0, -1])
FILE = pb.encode(0, {"w": GOOD})
JSON = pb.encode_json(0, {"w": GOOD}).decode()

STRATEGIES = {
    "an empty file": ({"s.ckpt": b""}, ["s.ckpt", "empty"]),
    "no parameter": ({"s.ckpt": pb.encode(0, {})}, ["s.ckpt"]),
    "cut off": ({"s.ckpt": FILE[:-3]}, ["s.ckpt"]),
    "no protobuf": ({"s.ckpt": b"\xff\xff\xff\xff garbage"}, ["s.ckpt"]),
    "a safetensors file": ({"s.ckpt": b"\x40\0\0\0\0\0\0\0" + b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'}, ["s.ckpt"]),
    "a length that wraps": ({"s.ckpt": FILE[:2] + b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}, ["s.ckpt"]),
    "no tensor in common": (one(GOOD, "v"), ["common"]),
    "a stage missing": (one(GOOD, stage=1), ["stage"]),
    "stage 2 after stage 0": ({"a.ckpt": FILE, "b.ckpt": pb.encode(2, {"v": GOOD})}, ["stage", "1"]),
    "a negative stage": (one(GOOD, stage=-1), ["s.ckpt", "stage", "-1"]),
    "a map entry outside the matrix": (one(Any([2], [1, -1])), ["s.ckpt", '"w"', "tensor_map", "1"]),
    "a map entry below -1": (one(Any([2], [-2, -1])), ["s.ckpt", '"w"', "tensor_map", "-2"]),
    "a device axis twice": (one(Any([2], [0, 0])), ["s.ckpt", '"w"', "tensor_map", "0"]),
    "a device axis twice in a nested entry": (one(Any([2, 2], [[0, 0], [-1]], nested=True)), ["s.ckpt", '"w"', "tensor_map"]),
    "a nested map of another rank": (one(Layout([2], [[0], [-1], [-1]], nested=True)), ["rank_0", '"w"', "2", "3"]),
    "a map of another rank": (one(Layout([2], [0])), ["rank_0", '"w"', "2", "1"]),
    "no device matrix": (one(Any([], [-1, -1])), ["s.ckpt", '"w"', "dev_matrix"]),
    "a zero in the matrix": (one(Any([0, 2], [0, -1])), ["s.ckpt", '"w"', "dev_matrix", "0"]),
    "a negative matrix": (one(Any([-2], [0, -1])), ["s.ckpt", '"w"', "dev_matrix", "-2"]),
    "a matrix that overflows": (one(Any([1 << 30] * 4, [0, -1])), ["s.ckpt", '"w"', "dev_matrix"]),
    "a world of a billion ranks": (one(Any([1 << 30], [0, -1])), ['"w"']),
    "stages that are too many ranks together": ({f"{n}.ckpt": pb.encode(i, {n: Any([1 << 24], [0, -1])}) for i, n in enumerate("wv")},
                                                ["2 stages of 16777216 devices", "over 16777216"]),
    "matrices of different products": ({"s.ckpt": pb.encode(0, {"w": GOOD, "v": Layout([4], [0, -1])})}, ["devices", "2", "4"]),
    "more optimizer shards than replicas": (one(Any([2], [0, -1], 1, 2)), ["s.ckpt", '"w"', "opt_weight_shard_size", "2"]),
    "optimizer shards that do not divide": (one(Any([6], [-1, -1], 1, 4)), ["s.ckpt", '"w"', "opt_weight_shard_size", "4"]),
    "a negative optimizer shard": (one(Any([2], [-1, -1], 1, -2)), ["s.ckpt", '"w"', "opt_weight_shard_size", "-2"]),
    "a parameter twice": ({"s.ckpt": FILE + pb.layout_item("w", Layout([2], [-1, 0]))}, ['"w"', "twice"]),
    "files of one stage that disagree": ({"a.ckpt": FILE, "b.ckpt": pb.encode(0, {"w": Layout([2], [-1, 0])})}, ["a.ckpt", "b.ckpt", '"w"']),
    "a merged file that disagrees": ({"a.ckpt": FILE, "m.ckpt": pb.merged({(0, "w"): Layout([2], [-1, 0])})}, ["a.ckpt", "m.ckpt", '"w"']),
    "a merged file with a stage missing": ({"m.ckpt": pb.merged({(0, "w"): GOOD, (2, "v"): GOOD})}, ["stage", "1"]),
    "both kinds": ({"a.ckpt": FILE, "b.json": JSON.encode()}, [".ckpt", ".json"]),
    "no strategy in the folder": ({"readme.txt": b"x"}, ["strategy"]),
    "JSON: not JSON": ({"s.json": b"{"}, ["s.json"]),
    "JSON: an array": ({"s.json": b"[]"}, ["s.json", "object"]),
    "JSON: no layouts": ({"s.json": b'{"current_stage": 2}'}, ["s.json"]),
    "JSON: a device axis that is text": ({"s.json": JSON.replace("[2]", '["2"]').encode()}, ["s.json", '"w"', "dev_matrix"]),
    "JSON: no tensor map": ({"s.json": JSON.replace("tensor_map", "map").encode()}, ["s.json", '"w"', "tensor_map"]),
    "JSON: a flattened nested map": ({"s.json": JSON.replace("[0, -1]", "[0, -1, -1]").encode()}, ["rank_0", '"w"', "2", "3"]),
}
