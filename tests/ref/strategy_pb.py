# SPDX-License-Identifier: Apache-2.0
"""Strategy files as MindSpore writes them (ParallelStrategyMap, node_strategy.proto), encoded by hand."""
import json


def varint(n):
    n &= (1 << 64) - 1  # a negative int32 takes ten bytes
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, payload):
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def dims(field, values, packed=False):
    """A message whose field 1 is a list of int32: not packed by proto2, but a reader must take both."""
    if packed and values:
        return block(field, block(1, b"".join(varint(v) for v in values)))
    return block(field, b"".join(number(1, v) for v in values))


def layout_item(name, layout, packed=False):
    out = dims(1, layout.dev, packed)
    if layout.nested:
        for entry in layout.tensor_map:
            out += dims(2, entry if isinstance(entry, list) else [entry], packed)
        if len(layout.tensor_map) == 1:
            out += dims(2, [])  # the only mark of a nested map of one axis
    else:
        out += dims(2, layout.tensor_map, packed)
    out += block(3, b"") + block(4, b"") + number(5, 0) + number(6, layout.opt_step) + number(7, layout.opt_size)
    return block(3, block(1, name) + block(2, out))


def encode(stage, layouts, packed=False):
    """One stage's file. `layouts`: {name: Layout}, written in its order. current_stage is not the stage, as in real files."""
    return merged({(stage, name): layout for name, layout in layouts.items()}, packed, prefix=False)


def merged(layouts, packed=False, prefix=True):
    """`layouts`: {(stage, name): Layout}; with `prefix` the merged form, whose names start with "STAGE-"."""
    stage = min((s for s, _ in layouts), default=0)
    out = number(1, 1 if prefix else 2)
    out += block(2, block(1, "MatMul_op0") + block(2, number(1, stage) + dims(2, [1, 1], packed)))
    for (s, name), layout in layouts.items():
        out += layout_item(f"{s}-{name}" if prefix else name, layout, packed)
    return out


def encode_json(stage, layouts):
    """MindSpore's JSON form, which cannot say a nested map."""
    assert not any(layout.nested for layout in layouts.values())
    items = {name: {"dev_matrix": la.dev, "field": 0, "opt_weight_shard_size": la.opt_size, "opt_weight_shard_step": la.opt_step,
                    "tensor_map": la.tensor_map} for name, la in layouts.items()}
    op = {"MatMul_op0": {"parallel_strategy": [[1, 1]], "stage": stage}}
    return json.dumps({"current_stage": 2, "parallel_layout_item": items, "parallel_strategy_item": op}).encode()
