#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""diff: what differs between two checkpoints, against numpy; sides of any layout, each with options of its own."""
import json
import math

import numpy as np

import lib
from ref import numbers, safefile, sharded


def diff(*args, code=0):
    got, out, err = lib.gatherfs("diff", *args)
    lib.equal((got, err), (code, ""), "diff")
    return out


def unified(folder, tensors):
    lib.write(f"{folder}/model.safetensors", safefile.write(tensors))
    return folder


def differences(a, b, *args):
    """name -> what --json says of it."""
    code, out, err = lib.gatherfs("diff", a, b, "--json", *args)
    got = json.loads(out)
    lib.equal((code, err, got["equal"]), (1 if got["differences"] else 0, "", not got["differences"]), "diff --json")
    return {d["name"]: d for d in got["differences"]}


def test_shards_and_the_merged_model(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    merged = unified(f"{tmp}/merged", {**model.whole(), **model.hyper()})
    lib.equal(diff(source, merged), "all 16 tensors are equal\n", "text")
    lib.equal(diff(merged, source, "-q"), "", "text with -q")
    whole = {**model.whole(), **model.hyper()}
    dtype, shape, data = whole["model.layers.2.wo.weight"]
    a = np.frombuffer(data, "<f4").copy()
    a[[5, 60]] = [1.5, 2.5]
    whole["model.layers.2.wo.weight"] = (dtype, shape, a.tobytes())
    unified(merged, whole)
    got = differences(source, merged)
    lib.equal(list(got), ["model.layers.2.wo.weight"], "names")
    lib.equal(got["model.layers.2.wo.weight"]["first"], [0, 5], "first")
    text = diff(source, merged, code=1)
    lib.need("2 of 64" in text and text.endswith("1 of 16 tensors differ\n"), text)
    lib.equal(diff(source, merged, "layers.10"), "all 3 tensors are equal\n", "with a pattern")


def expected(a, b):
    x, y = numbers.parts(a), numbers.parts(b)
    with np.errstate(all="ignore"):
        both = np.isnan(x) & np.isnan(y)
        differ = ~(x == y) & ~both
        nan = differ & (np.isnan(x) | np.isnan(y))
        absolute = np.where(differ & ~nan, np.abs(x - y), 0)
        relative = np.where(differ & ~nan, np.where(np.isinf(absolute), np.inf, absolute / np.maximum(np.abs(x), np.abs(y))), 0)
    return differ, nan, absolute, relative


def test_every_type(tmp):
    """A few elements of a tensor of each type are other bits."""
    rng = np.random.default_rng(20)
    a, b = {}, {}
    for dtype in (*numbers.NUMPY, "BF16", *numbers.SMALL):
        data = bytearray(rng.bytes(4096 * safefile.BITS[dtype] // 8))
        data = bytearray(x & 1 for x in data) if dtype == "BOOL" else data
        a[dtype] = (dtype, [64, 64], bytes(data))
        for at in rng.integers(0, len(data), 5):
            data[at] ^= 1 if dtype == "BOOL" else int(rng.integers(1, 256))
        b[dtype] = (dtype, [64, 64], bytes(data))
    got = differences(unified(f"{tmp}/a", a), unified(f"{tmp}/b", b))
    for dtype in a:
        x, y = numbers.decode(a[dtype]), numbers.decode(b[dtype])
        differ, nan, absolute, relative = expected(x, y)
        per = 2 if dtype == "C64" else 1
        if dtype in ("I64", "U64"):
            gaps = [abs(int(p) - int(q)) for p, q in zip(x.reshape(-1), y.reshape(-1))]
            absolute, differ = np.array(gaps, float), np.array(gaps) != 0
        if not differ.any():
            lib.need(dtype not in got, f"{dtype}: {got.get(dtype)}")
            continue
        d = got[dtype]
        lib.equal((d["difference"], d["differing"], d["nan_on_one_side"], d["numbers"]), ("values", int(differ.sum()), int(nan.sum()), 4096 * per), dtype)
        lib.equal(d["first"], [int(i) for i in np.unravel_index(differ.argmax() // per, (64, 64))], f"{dtype}: first")
        lib.equal(float(d["max_abs"]), float(absolute.max()), f"{dtype}: absolute")
        lib.need(math.isclose(float(d["max_rel"]), float(relative.max()), rel_tol=1e-12), f"{dtype}: {d['max_rel']}, want {relative.max()}")
        if absolute.max() > 0:
            lib.equal(d["max_abs_at"], [int(i) for i in np.unravel_index(absolute.argmax() // per, (64, 64))], f"{dtype}: place")


def test_small_steps_of_large_integers(tmp):
    a, b = np.array([2**62, 5], "<i8"), np.array([2**62 + 1, 5], "<i8")
    got = differences(unified(f"{tmp}/a", {"i": ("I64", [2], a.tobytes())}), unified(f"{tmp}/b", {"i": ("I64", [2], b.tobytes())}))
    lib.equal((got["i"]["differing"], got["i"]["max_abs"]), (1, 1.0), "one")


def test_equal_numbers_of_other_bits(tmp):
    a, b = np.array([0.0, np.nan, 1], "<f4"), np.array([-0.0, 0, 1], "<f4")
    b.view("<u4")[1] = 0xffc12345
    lib.equal(differences(unified(f"{tmp}/a", {"x": ("F32", [3], a.tobytes())}), unified(f"{tmp}/b", {"x": ("F32", [3], b.tobytes())})), {}, "differences")


def test_missing_shape_dtype(tmp):
    ones = np.ones(6, "<f4")
    a = {"same": ("I8", [2], b"\1\2"), "gone": ("F32", [6], ones.tobytes()), "shape": ("F32", [2, 3], ones.tobytes()), "dtype": ("F32", [6], ones.tobytes()),
         "c": ("C64", [3], ones.tobytes()), "empty": ("F32", [0], b"")}
    b = {"same": ("I8", [2], b"\1\2"), "new": ("F64", [1], bytes(8)), "shape": ("F32", [3, 2], ones.tobytes()),
         "dtype": ("F16", [6], (ones.astype("<f2") * np.float16(1.5)).tobytes()), "c": ("F32", [3], ones[:3].tobytes()), "empty": ("F32", [0], b"")}
    a, b = unified(f"{tmp}/a", a), unified(f"{tmp}/b", b)
    got = differences(a, b)
    lib.equal({n: d["difference"] for n, d in got.items()}, {"gone": "only in A", "new": "only in B", "shape": "shape", "dtype": "dtype", "c": "dtype"}, "what")
    lib.equal((got["dtype"]["max_abs"], got["dtype"]["differing"]), (0.5, 6), "numbers of two types are compared")
    lib.equal((got["gone"]["b"], got["new"]["a"], got["shape"]["b"]), (None, None, {"dtype": "F32", "shape": [3, 2]}), "sides")
    text = diff(a, b, code=1)
    lib.need(text.endswith("5 of 7 tensors differ\n") and "F32 [2, 3] / F32 [3, 2]" in text, text)
    lib.equal(len(diff(a, b, "-q", code=1).split("\n")), 6, "lines with -q")


def test_options_of_each_side(tmp):
    """Two steps of one training; prefixes that only one side has."""
    model, later = sharded.small(1), sharded.small(1)
    dtype, units = later.full["lm_head.weight"]
    later.full["lm_head.weight"] = (dtype, sharded.small(5).full["lm_head.weight"][1])
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint", step="1_10")
    later.save(source, step="1_20")
    got = json.loads(diff(source, "-o", "step=1_10", source, "--step=1_20", "--json", code=1))
    lib.equal([d["name"] for d in got["differences"]], ["lm_head.weight"], "names")
    diff(source, "-o", "step=1_10", source, "-o", "step=1_10")
    diff("-o", "step=1_10", source, source)
    diff("--filter", "lm_head", source, "--step", "1_10", source)
    got = json.loads(diff(source, source, "--json", "-o", "filter=lm_head", code=1))
    lib.equal([(d["name"], d["difference"]) for d in got["differences"]], [("lm_head.weight", "only in A")], "a filter of B alone")


def test_trouble(tmp):
    a = unified(f"{tmp}/a", {"x": ("F32", [1], bytes(4))})
    for args in (("a",), (), (a,), (a, a, "x", "y"), (a, a, "--nonsense")):
        lib.refused("diff", *args, code=2)
    for args in ((a, f"{tmp}/none"), (f"{tmp}/none", a), (a, a, "nothing")):
        code, out, err = lib.gatherfs("diff", *args)
        lib.need(code == 2 and not out and err.startswith("gatherfs diff: ") and err.count("\n") == 1, f"{args}: {code}, {err!r}")
    code, out, _ = lib.gatherfs("diff", "--help")
    lib.need(code == 0 and "Exit codes" in out, out)


def test_many_chunks(tmp):
    rng = np.random.default_rng(21)
    a = rng.standard_normal(1_300_000).astype("<f4")
    b = a.copy()
    at = np.sort(rng.choice(a.size, 40, replace=False))
    b[at] += rng.standard_normal(40).astype("<f4")
    sides = [unified(f"{tmp}/{n}", {"x": ("F32", [1300, 1000], v.tobytes())}) for n, v in (("a", a), ("b", b))]
    said = {threads: json.dumps(differences(*sides, "--max_threads", threads)) for threads in ("1", "2", "5")}
    lib.equal(len(set(said.values())), 1, "answers with 1, 2 and 5 threads")
    got, gap = json.loads(said["1"])["x"], np.abs(a.astype(float) - b)
    lib.equal((got["differing"], got["max_abs"], got["first"]), (40, float(gap.max()), [int(at[0]) // 1000, int(at[0]) % 1000]), "found")
    lib.equal(got["max_abs_at"], [int(gap.argmax()) // 1000, int(gap.argmax()) % 1000], "place")


if __name__ == "__main__":
    lib.main()
