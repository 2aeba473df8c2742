# SPDX-License-Identifier: Apache-2.0
"""safetensors files, written and read as strictly as MindSpore reads them. A tensor here is (dtype, shape, bytes)."""
import json
import math
import struct

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
        "C64": 64, "F64": 64, "I64": 64, "U64": 64}
HEADER_MAX = 100_000_000


class Malformed(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Malformed(message)


def frame(header, data=b""):
    """A file with this header, given as text, bytes or something for json.dumps."""
    if not isinstance(header, (str, bytes)):
        header = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header)) + header + data


def write(tensors, meta=None, listed=None):
    """The file of `tensors` (name -> tensor), laid out in the dict's order. `listed`: the order of names in the JSON."""
    entries, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    header = {"__metadata__": meta} if meta is not None else {}
    header.update((name, entries[name]) for name in (listed or tensors))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return frame(text + b" " * (-len(text) % 8), b"".join(t[2] for t in tensors.values()))


def no_duplicates(pairs):
    need(len(pairs) == len({k for k, _ in pairs}), "duplicate keys")
    return dict(pairs)


def read(blob):
    """(tensors in file order, metadata, start of the data). Refuses what MindSpore's reader refuses."""
    need(len(blob) >= 8, "shorter than a length")
    length, = struct.unpack_from("<Q", blob)
    need(length <= HEADER_MAX and length + 8 <= len(blob), f"header length {length} in {len(blob)} bytes")
    text = blob[8:8 + length]
    need(text[:1] == b"{", "the header does not begin with a brace")
    header = json.loads(text.decode(), object_pairs_hook=no_duplicates)
    meta = header.pop("__metadata__", {})
    need(all(isinstance(v, str) for v in meta.values()), "metadata that is not text")
    start, at, out = 8 + length, 0, {}
    for name, t in header.items():
        lo, hi = t["data_offsets"]
        bits = math.prod(t["shape"]) * BITS[t["dtype"]]
        need(lo == at and (hi - lo) * 8 == bits, f"{name}: offsets {lo}..{hi} after {at} for {t['dtype']}{t['shape']}")
        out[name] = (t["dtype"], t["shape"], blob[start + lo:start + hi])
        at = hi
    need(start + at == len(blob), f"data ends at {start + at}, the file at {len(blob)}")
    return out, meta, start


def read_file(path):
    with open(path, "rb") as f:
        return read(f.read())
