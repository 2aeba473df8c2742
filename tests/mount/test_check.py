# SPDX-License-Identifier: Apache-2.0
"""gatherfs check: every fault that is planted is found, named, and makes the exit code 1; what is no fault is none."""
import json
import os
import shutil
import struct
import zlib

import numpy as np

from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout

CKPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "ckpt")


def finite(seed=1):
    """dp2 tp2, as sharded.small(), of numbers that are all finite."""
    rng, m = np.random.default_rng(seed), sharded.Model(seed)
    for name, shape, layout in [("embed.weight", [16, 8], Layout([2, 2], [0, -1])), ("l.0.wo.weight", [8, 8], Layout([2, 2], [-1, 0])),
                                ("l.0.norm.weight", [8], Layout([2, 2], [-1])), ("l.0.wq.weight", [8, 8], Layout([2, 2], [0, -1], 2, -1))]:
        m.layouts[0, name] = layout
        m.full[name] = ("F32", rng.standard_normal(shape).astype("<f4").view(np.uint8).reshape(*shape, 4))
    m.outside["step_num"] = ("I64", np.array([10], "<i8").view(np.uint8).reshape(8))
    return m


def make(tmp, model=None, **how):
    model = model or finite()
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/ckpt", **how)


def path(source, rank, step="1_10"):
    return f"{source}/rank_{rank}/net_rank_{rank}-{step}.safetensors"


def check(source, *args, code=0):
    """The report as JSON, which must agree with the text and with the exit code."""
    got, out, err = lib.gatherfs("check", source, "--json", *args)
    lib.equal((got, err), (code, ""), f"check of {source}, which said {out}")
    report = json.loads(out)
    got, text, err = lib.gatherfs("check", source, *args)
    lib.equal((got, err), (code, ""), "the same as text")
    lines = text.splitlines()
    lib.need("\033" not in text and "\r" not in text, f"no plain text: {text!r}")
    for f in report["findings"]:
        lib.need(any(line.startswith(f["severity"]) and f["kind"] in line and f["message"] in line for line in lines), f"{f} is not in {text}")
    lib.equal([f["severity"] for f in report["findings"]].count("fault"), report["faults"], "faults")
    lib.equal(len(report["findings"]), report["faults"] + report["warnings"], "findings")
    lib.need(lines[-1].startswith("sound" if code == 0 else f"{report['faults']} fault"), lines[-1])
    lib.equal(report["verdict"], "faulty" if code else "sound", "verdict")
    return report


def the_fault(source, *args, kind, parts=()):
    """The one fault that check must find."""
    faults = [f for f in check(source, *args, code=1)["findings"] if f["severity"] == "fault"]
    lib.equal([f["kind"] for f in faults], [kind], f"faults {faults}")
    for part in parts:
        lib.need(part in faults[0]["message"], f"{faults[0]['message']} does not say {part}")
    return faults[0]


def no_fault(source, *args, warnings=()):
    report = check(source, *args)
    lib.equal(sorted(f["kind"] for f in report["findings"]), sorted(warnings), f"warnings of {report}")
    return report


def change(file, name, byte, value=None):
    """Changes one byte of a tensor in a safetensors file."""
    blob = bytearray(lib.read(file))
    length, = struct.unpack_from("<Q", blob)
    at = 8 + length + json.loads(blob[8:8 + length])[name]["data_offsets"][0] + byte
    blob[at] = blob[at] ^ 0x10 if value is None else value
    os.chmod(file, 0o600)
    lib.write(file, bytes(blob))


def test_sound(tmp):
    """Nothing is wrong: shards, a merged model, a mount of either kind, .ckpt files."""
    source = make(tmp)
    report = no_fault(source, "--values")
    lib.equal((report["tensors"], report["files"]), (5, 4), "counts")
    lib.equal(report["bytes_read"], sum(len(t[2]) for r in finite().ranks().values() for t in r.values()), "bytes")
    lib.equal(report["blocks_compared"], 2 + 2 + 1 + 1, "blocks with copies, and step_num")  # wq has none: the optimizer cuts it again
    for options in ((), ("to=same",)):
        with lib.Mount(source, *options) as point:
            report = no_fault(point, "--values")
            lib.equal((report["tensors"], report["files"]), (5, 4 if options else 2), f"counts of a mount {options}")
    no_fault(f"{source}/rank_0/../../ckpt")
    lib.write(f"{tmp}/one.safetensors", safefile.write(finite().whole(), {"format": "ms"}))
    no_fault(f"{tmp}/one.safetensors", "--values")


def test_flipped_byte_in_a_replica(tmp):
    """Tensor, ranks and first differing element are named; which rank is right, two cannot tell, so the lower one is believed."""
    source = make(tmp)
    change(path(source, 3), "l.0.wo.weight", 4 * (5 * 4 + 2) + 1)  # rank 3 has the columns 4..7
    change(path(source, 3), "l.0.wo.weight", 4 * (7 * 4 + 3))
    fault = the_fault(source, kind="replica", parts=["l.0.wo.weight", "rank 3 differs from rank 1", "block 1 of 2", "[5, 6]"])
    lib.equal((fault["tensor"], fault["ranks"], fault["index"]), ("l.0.wo.weight", [3], [5, 6]), "fields")
    values = [np.frombuffer(lib.read(path(source, r)), np.uint8) for r in (1, 3)]
    lib.equal(len(values[0]), len(values[1]), "sizes")
    good = finite().full["l.0.wo.weight"][1].copy().view("<f4").reshape(8, 8)[5, 6]
    lib.need(str(good) in fault["message"], f"{fault['message']} does not show {good}")


def test_majority(tmp):
    """Of four copies the three that agree are believed, and each party of others is told."""
    source = make(tmp)
    change(path(source, 0), "l.0.norm.weight", 5)
    fault = the_fault(source, kind="replica", parts=["rank 0 differs from ranks 1-3", "[1]"])
    lib.equal(fault["ranks"], [0], "ranks")
    change(path(source, 2), "l.0.norm.weight", 9)
    faults = check(source, code=1)["findings"]
    lib.equal([(f["ranks"], f["index"]) for f in faults], [([0], [1]), ([2], [2])], "two parties")
    change(path(source, 3), "l.0.norm.weight", 5)  # as rank 0, so two against one against one
    lib.equal([f["ranks"] for f in check(source, code=1)["findings"]], [[1], [2]], "two that agree")


def test_differences_deep_in_large_copies(tmp):
    """Beyond the first chunk that is hashed at a time, in the last element too; and on any number of threads."""
    m = sharded.Model(1)
    m.add("w", "BF16", [2, 7_000_000], Layout([2], [-1, -1]))
    source = make(tmp, m)
    for byte, index in ((28_000_000 - 1, [1, 6_999_999]), (6 << 20, [0, 3 << 20]), ((6 << 20) - 1, [0, (3 << 20) - 1])):
        change(path(source, 1), "w", byte)
        for threads in ("1", "3"):
            lib.equal(the_fault(source, "--max_threads", threads, kind="replica")["index"], index, f"byte {byte}")


def test_small_types(tmp):
    """Elements that are no whole bytes."""
    for dtype, at, index in (("F4", 2, [1, 1]), ("F6_E2M3", 3, [1, 0]), ("F6_E3M2", 5, [1, 3])):
        m = sharded.Model(1)
        m.add("w", dtype, [4, 4], Layout([2], [-1, -1]))
        source = make(f"{tmp}/{dtype}", m)
        change(path(source, 1), "w", at)  # bit 4 of byte `at`
        bits = safefile.BITS[dtype]
        lib.equal([(at * 8 + 4) // bits // 4, (at * 8 + 4) // bits % 4], index, "the test's own arithmetic")
        lib.equal(the_fault(source, kind="replica")["index"], index, dtype)


def test_stages(tmp):
    """A parameter that two stages share: cut alike, compared block by block; cut differently, as a whole."""
    for other, kind in ((Layout([2], [0, -1]), "replica"), (Layout([2], [-1, 0]), "stage")):
        m = sharded.Model(1)
        m.add("shared", "F32", [8, 4], {0: Layout([2], [0, -1]), 1: other})
        source = make(f"{tmp}/{kind}", m)
        lib.equal(no_fault(source)["blocks_compared"], 2 if kind == "replica" else 1, "compared")
        change(path(source, 3), "shared", 4 * 5)  # element [1, 1] of its block
        lib.equal(the_fault(source, kind=kind, parts=["shared"])["index"], [5, 1] if kind == "replica" else [2, 3], kind)


def test_counters_may_differ(tmp):
    model = finite()
    files = model.ranks()
    files[2]["step_num"] = ("I64", [], struct.pack("<q", 11))
    source = make(tmp, model, files=files)
    report = no_fault(source, warnings=["outside"])
    lib.need("rank 2 differs from ranks 0-1+3" in report["findings"][0]["message"] and "11 instead of 10" in report["findings"][0]["message"], report)


def test_missing_rank(tmp):
    source = make(tmp)
    shutil.rmtree(f"{source}/rank_3")
    no_fault_but = check(source, code=1)  # wq: each rank has a quarter of its own
    lib.equal([f["kind"] for f in no_fault_but["findings"]], ["coverage"], "a needed rank")
    lib.need("rank_3" in no_fault_but["findings"][0]["message"], no_fault_but)
    model = finite()
    del model.layouts[0, "l.0.wq.weight"], model.full["l.0.wq.weight"]
    source = make(f"{tmp}/replicas", model, only={0, 1, 3})
    report = no_fault(source, warnings=["missing"])
    lib.equal(report["findings"][0]["ranks"], [2], "the missing rank")


def test_rank_that_lacks_a_tensor(tmp):
    """No rank may lack a tensor of its stage, unless redundancy was removed."""
    model = finite()
    files = model.ranks()
    del files[2]["embed.weight"], files[2]["l.0.norm.weight"]
    source = make(tmp, model, files=files)
    fault = the_fault(source, kind="missing", parts=["rank 2 lacks 2 of the tensors"])
    lib.equal(fault["ranks"], [2], "rank")
    no_fault(make(f"{tmp}/removed", model, files=files, meta={"format": "ms", "remove_redundancy": "True"}))


def test_bad_files(tmp):
    """A truncated file, a damaged header, a shape that contradicts the others: told by name, and looking goes on."""
    model = finite()
    del model.layouts[0, "l.0.wq.weight"], model.full["l.0.wq.weight"]
    def truncate(p):
        os.truncate(p, os.path.getsize(p) - 1)
    def garble(p):
        lib.write(p, lib.read(p)[:20] + b"\0" + lib.read(p)[21:])
    def empty(p):
        os.truncate(p, 0)
    def reshape(p):
        tensors, meta, _ = safefile.read_file(p)
        tensors["embed.weight"] = ("F32", [4, 8], tensors["embed.weight"][2][:128])
        lib.write(p, safefile.write(tensors, meta))
    for damage in (truncate, garble, empty, reshape):
        source = make(f"{tmp}/{damage.__name__}", model)
        damage(path(source, 2))
        the_fault(source, kind="file", parts=[path(source, 2)])
        change(path(source, 3), "l.0.norm.weight", 0)
        kinds = [f["kind"] for f in check(source, code=1)["findings"] if f["severity"] == "fault"]
        lib.need(kinds[0] == "file" and "replica" in kinds, f"{damage.__name__} hides others: {kinds}")
        if damage is reshape:
            continue  # two that agree would be believed
        damage(path(source, 0))  # a second one: now blocks are missing too
        faults = check(source, code=1)["findings"]
        named = {p for p in (path(source, 0), path(source, 2)) if any(p in f["message"] for f in faults)}
        lib.equal(len(named), 2, f"files named in {faults}")


def test_values(tmp):
    """NaN and infinities, of every float type, are counted with --values only."""
    cases = {"F32": ("<f4", 4), "F64": ("<f8", 8), "F16": ("<f2", 2)}
    for dtype, (code, size) in cases.items():
        m, array = sharded.Model(1), np.arange(32, dtype=code).reshape(8, 4)
        array[5, 1], array[6, 0], array[6, 3] = np.nan, np.inf, -np.inf
        m.layouts[0, "w"] = Layout([2, 2], [0, -1])
        m.full["w"] = (dtype, array.view(np.uint8).reshape(8, 4, size))
        source = make(f"{tmp}/{dtype}", m)
        no_fault(source)
        fault = the_fault(source, "--values", kind="value", parts=["1 NaN and 2 infinite of 32 elements"])
        lib.equal((fault["tensor"], fault["index"]), ("w", [5, 1]), dtype)
    for dtype, bad, good in (("BF16", b"\x80\x7f", b"\x7f\x7f"), ("F8_E5M2", b"\x7c", b"\x7b"), ("F8_E4M3", b"\x7f", b"\x7e"),
                             ("F8_E5M2FNUZ", b"\x80", b"\x7f"), ("C64", b"\0" * 4 + b"\0\0\xc0\x7f", b"\0" * 4 + b"\0\0\x7f\x7f")):
        for element, wrong in ((bad, True), (good, False)):
            lib.write(f"{tmp}/one.safetensors", safefile.write({"v": (dtype, [3, 5], good * 13 + element + good)}))
            if wrong:
                lib.equal(the_fault(f"{tmp}/one.safetensors", "--values", kind="value")["index"], [2, 3], dtype)
            else:
                no_fault(f"{tmp}/one.safetensors", "--values")


def meta_json(source, rank, text):
    lib.write(f"{source}/rank_{rank}/meta.json", text if isinstance(text, str) else json.dumps(text))


def test_meta_json(tmp):
    """meta.json against the files beside it."""
    source = make(tmp)
    def good(rank, epoch=1, step=10):
        return {"last_epoch": epoch, "last_step": step, "last_ckpt_file": f"net_rank_{rank}-1_10.safetensors"}
    for rank in range(4):
        meta_json(source, rank, good(rank))
    no_fault(source)
    for wrong, part in ((good(2, step=9), "last_step 9"), (good(2, epoch=2), "last_epoch 2"), (good(3), "is not there"),
                        ({**good(2), "last_step": "10"}, "last_step"), ({"last_epoch": 1}, "last_step"), ("[]", "object"), ("{", "meta.json"),
                        ({**good(2), "last_ckpt_file": 3}, "last_ckpt_file"), ("", "meta.json")):
        meta_json(source, 2, wrong)
        the_fault(source, kind="meta", parts=[f"{source}/rank_2/meta.json", part])
    os.remove(f"{source}/rank_2/meta.json")
    no_fault(source, warnings=["meta"])
    meta_json(source, 2, good(2))
    finite(2).save(source, step="1_20")
    no_fault(source, warnings=["meta"] * 4)  # a newer file than meta.json knows
    for rank in range(2):
        meta_json(source, rank, {"last_epoch": 1, "last_step": 20, "last_ckpt_file": f"net_rank_{rank}-1_20.safetensors"})
    report = no_fault(source, warnings=["meta"] * 3)
    lib.need(any("lowest" in f["message"] for f in report["findings"]), report)


def test_checksums(tmp):
    """crc_num of safetensors files; the checksum at the end of .ckpt files."""
    tensors = finite().whole()
    crc = 0
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name][2], zlib.crc32(name.encode(), crc))
    for number, right in ((crc, True), (crc ^ 1, False)):
        lib.write(f"{tmp}/s/one.safetensors", safefile.write(tensors, {"format": "ms", "crc_num": str(number)}))
        if right:
            no_fault(f"{tmp}/s")
        else:
            the_fault(f"{tmp}/s", kind="crc", parts=["one.safetensors", str(crc)])
    for name in ("crc", "slices_crc"):
        file = lib.write(f"{tmp}/{name}/ckpt/rank_0/net_rank_0-1_1.ckpt", lib.read(f"{CKPT}/{name}.ckpt"))
        no_fault(f"{tmp}/{name}/ckpt")
        blob = bytearray(lib.read(file))
        blob[len(blob) // 2] ^= 1  # in the contents of a tensor
        lib.write(file, bytes(blob))
        the_fault(f"{tmp}/{name}/ckpt", kind="crc", parts=[file])


def test_index_of_a_unified_source(tmp):
    tensors = finite().whole()
    lib.write(f"{tmp}/m/model.safetensors", safefile.write(tensors, {"format": "pt"}))
    lib.write(f"{tmp}/m/model.safetensors.index.json", json.dumps({"weight_map": {n: "model.safetensors" for n in [*tensors, "ghost"]}}))
    the_fault(f"{tmp}/m", kind="file", parts=["ghost", "index.json"])


def test_incomplete_step(tmp):
    """A step that ranks are still saving is a warning; the newest complete one is checked."""
    source = make(tmp)
    finite(2).save(source, step="1_20", only={0})
    report = no_fault(source, warnings=["load"])
    lib.need("1_20" in report["findings"][0]["message"], report)


def test_nothing_to_check(tmp):
    lib.refused("check", f"{tmp}/none", parts=["No such file"])
    lib.refused("check", parts=["expected SOURCE"], code=2)
    lib.refused("check", tmp, "more", parts=["fewer"], code=2)
    os.makedirs(f"{tmp}/empty")
    the_fault(f"{tmp}/empty", kind="file", parts=["neither rank_N folders nor .safetensors"])


def test_quiet(tmp):
    source = make(tmp)
    lib.equal(lib.gatherfs("check", "-q", source), (0, "", ""), "of a sound one")
    change(path(source, 3), "l.0.norm.weight", 0)
    code, out, err = lib.gatherfs("check", "-q", source)
    lib.need(code == 1 and out.startswith("fault") and out.count("\n") == 1 and not err, f"{code} {out!r} {err!r}")


def test_names_are_harmless(tmp):
    m = sharded.Model(1)
    m.add("a\033[31m\nb", "F32", [4], Layout([2], [-1]))
    source = make(tmp, m)
    change(path(source, 1), "a\033[31m\nb", 1)
    lib.equal(the_fault(source, kind="replica", parts=["a\\x1B[31m\\x0Ab"])["tensor"], "a\033[31m\nb", "in JSON")


if __name__ == "__main__":
    lib.main()
