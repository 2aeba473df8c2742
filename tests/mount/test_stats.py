#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stats: every type against numpy, whatever the layout and the number of threads."""
import json

import numpy as np

import lib
from ref import numbers, safefile, sharded
from ref.algebra import Layout

TYPES = (*numbers.NUMPY, "BF16", *numbers.SMALL)


def stats(*args):
    code, out, err = lib.gatherfs("stats", *args)
    lib.equal((code, err), (0, ""), "stats")
    return out


def close(got, want, what, spread):
    lib.need(abs(got - want) <= 1e-12 * max(abs(want), spread), f"{what}: got {got!r}, want {want!r}")


def check(got, values, what, whole=False):
    """One object of the JSON against numpy's view of the numbers. `whole`: integers, whose ends are exact."""
    v = numbers.parts(values)
    finite = v[np.isfinite(v)]
    counts = {"finite": finite.size, "zeros": int((v == 0).sum()), "nan": int(np.isnan(v).sum()), "inf": int((v == np.inf).sum()),
              "minus_inf": int((v == -np.inf).sum())}
    lib.equal({k: got[k] for k in counts}, counts, what)
    if finite.size == 0:
        lib.equal([got[k] for k in ("min", "max", "mean", "std")], [None] * 4, what)
        return
    ends = [int(values.min()), int(values.max())] if whole else [finite.min(), finite.max()]
    lib.equal([got["min"], got["max"]], ends, f"{what}: ends")
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = finite.astype(np.longdouble).mean(), finite.astype(np.longdouble).std()
    close(got["mean"], float(mean), f"{what}: mean", float(std))
    close(got["std"], float(std), f"{what}: std", 0)


def all_types(rng):
    """A tensor of each type: any bits for integers and small floats, numbers of a moderate size with some that are not finite for the others."""
    tensors = {}
    for dtype in TYPES:
        shape = [3, 5, 8]
        data = rng.bytes(120 * safefile.BITS[dtype] // 8)
        if dtype in ("F16", "F32", "F64", "C64"):
            a = rng.standard_normal(240 if dtype == "C64" else 120).astype("f4" if dtype == "C64" else numbers.NUMPY[dtype])
            a[[3, 50, 51, 70, 90]] = [np.nan, np.inf, -np.inf, 0, -0.0]
            data = a.tobytes()
        if dtype == "BF16":
            data = (rng.standard_normal(120).astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
        if dtype == "BOOL":
            data = bytes(b & 1 for b in data)
        tensors[f"t.{dtype}"] = (dtype, shape, data)
    tensors["empty"] = ("F32", [0, 4], b"")
    tensors["scalar"] = ("F64", [], np.float64(2.5).tobytes())
    tensors["no.numbers"] = ("F16", [2], np.array([np.nan, np.inf], "f2").tobytes())
    return tensors


def test_every_type(tmp):
    tensors = all_types(np.random.default_rng(7))
    lib.write(f"{tmp}/src/model.safetensors", safefile.write(tensors))
    got = json.loads(stats(f"{tmp}/src", "--json"))
    lib.equal(sorted(t["name"] for t in got["tensors"]), sorted(tensors), "names")
    for t in got["tensors"]:
        dtype, shape, _ = tensors[t["name"]]
        lib.equal((t["dtype"], t["shape"]), (dtype, shape), t["name"])
        check(t, numbers.decode(tensors[t["name"]]), t["name"], whole=dtype[0] in "IU")


def test_histogram_is_numpys(tmp):
    rng = np.random.default_rng(8)
    a = (rng.standard_normal((700, 1000)) * 0.02).astype(np.float32)
    a[0, :21] = np.linspace(-0.1, 0.1, 21)
    lib.write(f"{tmp}/src/model.safetensors", safefile.write({"a": ("F32", list(a.shape), a.tobytes()), "b": ("F64", [3], np.array([0.01, np.nan, 0.02]).tobytes())}))
    got = json.loads(stats(f"{tmp}/src", "--json"))
    v = np.concatenate([a.astype(np.float64).reshape(-1), [0.01, 0.02]])
    counts, edges = np.histogram(v, bins=20)
    lib.equal(got["histogram"]["counts"], counts.tolist(), "counts")
    lib.need(np.allclose(got["histogram"]["edges"], edges, rtol=1e-15), "edges differ")
    check(got["all"], np.concatenate([v, [np.nan]]), "all")
    text = stats(f"{tmp}/src", "a")
    lib.equal(text.count("\n"), 1 + 1 + 2 + 1 + 20, f"lines of\n{text}")
    lib.equal(len(stats(f"{tmp}/src", "-q").split("\n")), 3, "lines with -q")
    lib.equal(json.loads(stats(f"{tmp}/src", "-q", "--json"))["histogram"], None, "histogram with -q")


def test_layouts_and_threads_make_no_difference(tmp):
    """Shards, the merged view of them, and any number of threads: the same to the last digit. The tensors are of several chunks."""
    model = sharded.Model(9)
    model.add("columns", "F16", [1200, 1024], Layout([4], [-1, 0])).add("rows", "F32", [1040, 1024], Layout([4], [0, -1]))
    model.add_outside("step_num", "I64", [])
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    lib.write(f"{tmp}/merged/model.safetensors", safefile.write(model.whole()))
    want = json.loads(stats(f"{tmp}/merged", "--json"))
    for threads in ("1", "2", "7"):
        got = json.loads(stats(source, "--json", "--max-threads", threads))
        lib.equal(got["all"], want["all"], "all: the counter is not part of it")
        lib.equal(got["histogram"], want["histogram"], "histogram")
        lib.equal({t["name"]: t for t in got["tensors"] if t["name"] != "step_num"}, {t["name"]: t for t in want["tensors"]}, "tensors")
    check(next(t for t in want["tensors"] if t["name"] == "rows"), numbers.decode(model.whole()["rows"]), "rows")


def test_far_from_zero(tmp):
    """A mean that is a billion times the deviation."""
    v = 1e9 + np.random.default_rng(10).random(1_500_000)
    lib.write(f"{tmp}/src/model.safetensors", safefile.write({"v": ("F64", [v.size], v.tobytes())}))
    got = json.loads(stats(f"{tmp}/src", "--json", "-q"))["tensors"][0]
    wide = v.astype(np.longdouble)
    lib.need(abs(got["std"] - float(wide.std())) < 1e-11, f"std {got['std']!r}, want {float(wide.std())!r}")


def test_errors(tmp):
    lib.write(f"{tmp}/src/model.safetensors", safefile.write({"v": ("F64", [1], bytes(8))}))
    lib.refused("stats", f"{tmp}/src", "nothing", parts=["no tensor matches", "nothing"])
    lib.refused("stats", f"{tmp}/none", parts=["none"])
    lib.refused("stats", code=2, parts=["SOURCE"])
    lib.refused("stats", f"{tmp}/src", "v", "w", code=2)


if __name__ == "__main__":
    lib.main()
