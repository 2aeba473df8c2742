# SPDX-License-Identifier: Apache-2.0
"""ls, info, explain, status and digest, against numpy, xxHash and the files themselves; in a pipe and in a terminal."""
import json
import os
import pty
import re
import subprocess

import numpy as np
import xxhash

from mount import faulty, lib
from ref import safefile, sharded
from ref.algebra import Layout


def make(tmp, model):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/ckpt")


def run(*args):
    code, out, err = lib.gatherfs(*args)
    lib.equal((code, err), (0, ""), f"{args}, which said {out}")
    lib.need("\033" not in out, f"{args}: colours in a pipe")
    return out


def run_json(*args):
    return json.loads(run(*args, "--json"))


def terminal(*args, columns=80, env=None):
    """What the program shows on a terminal of so many columns, as it is."""
    master, slave = pty.openpty()
    import fcntl, struct, termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([lib.PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                               env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
    os.close(slave)
    out = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        out += part
    os.close(master)
    return process.wait(), out.decode().replace("\r\n", "\n")


def plain(shown):
    return re.sub(r"\033\[[0-9;]*[mK]", "", shown)


def xxh3(data):
    return xxhash.xxh3_128_hexdigest(data)


def wanted_rows(model):
    """name -> (dtype, shape, bytes, outside) by the model itself."""
    return {**{n: (d, s, len(b), False) for n, (d, s, b) in model.whole().items()}, **{n: (d, s, len(b), True) for n, (d, s, b) in model.hyper().items()}}


def holdings(model, name):
    """[(stage, ranks)] of a parameter."""
    return [(stage, list(range(stage * la.world, (stage + 1) * la.world))) for (stage, n), la in sorted(model.layouts.items()) if n == name]


def test_ls(tmp):
    for make_model in (sharded.small, sharded.pipeline):
        model = make_model()
        source = make(f"{tmp}/{make_model.__name__}", model)
        report, want = run_json("ls", source), wanted_rows(model)
        lib.equal({t["name"]: (t["dtype"], t["shape"], t["bytes"], t["outside"]) for t in report["tensors"]}, want, "tensors")
        for t in report["tensors"]:
            if not t["outside"]:
                lib.equal([(h["stage"], h["ranks"]) for h in t["holdings"]], holdings(model, t["name"]), t["name"])
                lib.equal(t["cuts"], model.layouts[min(s for s, n in model.layouts if n == t["name"]), t["name"]].cuts(), t["name"])
        held = sum(len(t[2]) for rank in model.ranks().values() for t in rank.values())
        total = report["totals"]
        lib.equal((total["tensors"], total["bytes"], total["bytes_with_copies"]), (len(want), sum(w[2] for w in want.values()), held), "totals")
        lines = run("ls", source).splitlines()
        lib.equal(len(lines), len(want) + 2, "a line each, a title and totals")
        for line, t in zip(lines[1:], report["tensors"]):
            lib.equal((line.split()[0], line.split()[-1]), (t["dtype"], t["name"]), "a line")
            lib.need(str(t["shape"]) in line, f"{line} has not the shape {t['shape']}")
        lib.equal(run("ls", "-q", source).splitlines(), lines[1:-1], "quiet")


def test_patterns(tmp):
    source = make(tmp, sharded.small())
    names = [t["name"] for t in run_json("ls", source)["tensors"]]
    for pattern, want in (("layers.1.", [n for n in names if "layers.1." in n]), ("*.wq.*", [n for n in names if ".wq." in n]), ("wq.*", []),
                          ("model.layers.[01].wq.weight", ["model.layers.0.wq.weight", "model.layers.1.wq.weight"]), ("step_num", ["step_num"])):
        if want:
            lib.equal([t["name"] for t in run_json("ls", source, pattern)["tensors"]], want, pattern)
        else:
            lib.refused("ls", source, pattern, parts=["no tensor matches", pattern, str(len(names))])


def test_mounts_and_unified_sources(tmp):
    """A mount point is a SOURCE; so are merged models."""
    model = sharded.small()
    source = make(tmp, model)
    with lib.Mount(source) as point:
        got = {t["name"]: (t["dtype"], t["shape"], t["bytes"], t["outside"]) for t in run_json("ls", point)["tensors"]}
        lib.equal(got, wanted_rows(model), "a unified mount")
        lib.equal(run_json("info", point)["ranks"], [], "ranks of it")
    with lib.Mount(source, "to=same") as point:
        lib.equal(run("ls", point), run("ls", source), "a mount of rank folders")
    model.save_strategy(f"{tmp}/target")
    whole = sharded.Model(1)
    whole.full = model.full
    whole.layouts = {k: Layout([8], [0] + [-1] * (len(model.full[k[1]][1].shape) - 2)) for k in model.layouts}
    whole.save_strategy(f"{tmp}/other")
    with lib.Mount(source, f"to={tmp}/other") as point:
        rows = run_json("ls", point)["tensors"]
        lib.equal({tuple(t["cuts"]) for t in rows if not t["outside"] and len(t["shape"]) == 2}, {(8, 1)}, "cut as the target")
        lib.equal(run("digest", point), run("digest", source), "digests of another layout")


def test_info(tmp):
    model = sharded.small()
    source = make(tmp, model)
    sharded.small(2).save(source, step="1_20")
    report, want = run_json("info", source), wanted_rows(model)
    lib.equal((report["step"], report["steps"]), ("1_20", ["1_20", "1_10"]), "steps")
    lib.equal((report["stages"], report["ranks_per_stage"], report["ranks"]), (1, 4, [0, 1, 2, 3]), "ranks")
    lib.equal(report["device_matrices"], [{"matrix": [2, 2], "tensors": len(model.full)}], "device matrices")
    lib.equal((report["tensors"], report["outside"], report["bytes"]), (len(model.full), 2, sum(w[2] for w in want.values())), "counts")
    lib.equal(report["elements"], sum(int(np.prod(w[1])) for w in want.values()), "elements")
    lib.equal({d: v["bytes"] for d, v in report["dtypes"].items()},
              {d: sum(w[2] for w in want.values() if w[0] == d) for d in {w[0] for w in want.values()}}, "dtypes")
    text = run("info", source)
    for part in (source, "4 rank folders: 0-3", "1_20, of 2: 1_20 1_10", "1 stage of 4 ranks", "[2, 2] for 14 tensors", "770", "BF16"):
        lib.need(part in text, f"{part!r} is not in {text}")
    report = run_json("info", source, "--step", "1_10", "-o", "filter=lm_head")
    lib.equal((report["step"], [n["name"] for n in report["left_out"]]), ("1_10", ["lm_head.weight"]), "what is left out")


def test_dry_run(tmp):
    """The files that a mount with the same options has, with their sizes."""
    source = make(tmp, sharded.small())
    for options in ((), ("to=same",), ("index=hf", "part_size=1K")):
        args = [a for o in options for a in ("-o", o)]
        told = {f["path"]: f["bytes"] for f in run_json("info", source, "--dry-run", *args)["view"]}
        with lib.Mount(source, *options) as point:
            there = {os.path.relpath(os.path.join(d, f), point): os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(point) for f in files}
        there = {p: n for p, n in there.items() if not p.startswith((".gatherfs/", "tensors/"))}
        lib.equal(told, there, f"files with {options}")
        lines = run("info", source, "--dry-run", *args).splitlines()
        for p, n in there.items():
            lib.need(any(line.split()[-2:] == [str(n), p] for line in lines), f"{p} is not in the text")
    lib.need("view" not in run_json("info", source), "a view that nobody asked for")


def test_explain(tmp):
    """Every element of every tensor is where explain says, in every copy."""
    model = sharded.small()
    source = make(tmp, model)
    for name in ("model.layers.1.wq.weight", "lm_head.weight", "model.layers.0.norm.weight"):
        dtype, units = model.full[name]
        size = units.shape[-1]
        report = run_json("explain", source, name)
        for copy in report["copies"]:
            box = tuple(slice(s, s + n) for s, n in zip(copy["start"], copy["count"]))
            lib.equal(lib.read_at(copy["file"], copy["offset"], copy["bytes"]), units[box].tobytes(), f"{name} of rank {copy['rank']}")
            lib.need(f"/rank_{copy['rank']}/" in copy["file"], copy)
        lib.equal(sorted(c["rank"] for c in report["copies"]), [0, 1, 2, 3], "ranks")
        lib.equal(sum(c["served"] for c in report["copies"]), len({tuple(c["start"]) for c in report["copies"]}), "served blocks")
        for index in ([0] * (units.ndim - 1), [n - 1 for n in units.shape[:-1]], [n // 2 for n in units.shape[:-1]]):
            copies = run_json("explain", source, name, ",".join(map(str, index)))["copies"]
            layout = model.layouts[0, name]
            lib.equal(len(copies), 4 // int(np.prod(layout.cuts())), "copies of an element")
            for copy in copies:
                lib.equal(lib.read_at(copy["file"], copy["offset"], size), units[tuple(index)].tobytes(), f"{name}{index}")


def test_explain_values(tmp):
    m = sharded.Model(1)
    numbers = np.arange(24, dtype="<f4").reshape(4, 6) / 7
    m.layouts[0, "w"], m.full["w"] = Layout([2], [-1, 0]), ("F32", numbers.view(np.uint8).reshape(4, 6, 4))
    source = make(tmp, m)
    for spelling in ("3,5", "[3, 5]", "3 5"):
        copies = run_json("explain", source, "w", spelling)["copies"]
        lib.equal([(c["rank"], c["value"]) for c in copies], [(1, str(numbers[3, 5]))], spelling)
    text = run("explain", source, "w", "3,5")
    lib.need(str(numbers[3, 5]) in text and "w[3, 5]" in text, text)
    for index, part in (("4,0", "axis 0 has 4"), ("0,6", "axis 1 has 6"), ("0", "expected 2 numbers"), ("0,0,0", "expected 2"), ("a,b", "expected 2"),
                        ("-1,0", None), ("99999999999999999999,0", "axis 0")):
        if part:
            lib.refused("explain", source, "w", index, parts=[part])
        else:
            lib.refused("explain", source, "w", index, parts=["unknown option"], code=2)
    for dtype in ("F4", "F6_E2M3"):  # the byte that the element begins in
        m = sharded.Model(1).add("w", dtype, [4, 8], Layout([2], [0, -1]))
        source = make(f"{tmp}/{dtype}", m)
        copy, = run_json("explain", source, "w", "3,5")["copies"]
        block, = [c for c in run_json("explain", source, "w")["copies"] if c["rank"] == 1]
        lib.equal(copy["offset"] - block["offset"], (8 + 5) * safefile.BITS[dtype] // 8, dtype)


def test_explain_names(tmp):
    source = make(tmp, sharded.small())
    lib.equal(run_json("explain", source, "tok_emb")["name"], "model.tok_embeddings.weight", "a part of a name")
    lib.equal(run_json("explain", source, "step_num", "[]")["copies"][0]["rank"], 0, "a scalar outside the strategy")
    lib.refused("explain", source, "layers.1.", parts=["tensors match"])
    lib.refused("explain", source, "lm_haed.weight", parts=["did you mean \"lm_head.weight\""])
    lib.refused("explain", source, parts=["expected more"], code=2)
    with open(f"{tmp}/rules", "w") as f:
        f.write("^model\\.(.*) \\1\n")
    lib.equal(run_json("explain", source, "layers.0.wo.weight", "--rename", f"{tmp}/rules")["name"], "layers.0.wo.weight", "a new name")
    lib.equal(run_json("explain", source, "model.layers.0.wo.weight", "--rename", f"{tmp}/rules")["name"], "layers.0.wo.weight", "an old one")


def test_explain_ckpt(tmp):
    """A tensor that a .ckpt file holds in slices: the byte is in the file."""
    ckpt = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "ckpt")
    lib.write(f"{tmp}/ckpt/rank_0/net_rank_0-1_1.ckpt", lib.read(f"{ckpt}/slices.ckpt"))
    rows = [t for t in run_json("ls", f"{tmp}/ckpt")["tensors"] if t["bytes"] >= 64]
    lib.need(rows, "no large tensors")
    whole = lib.read(f"{tmp}/ckpt/rank_0/net_rank_0-1_1.ckpt")
    with lib.Mount(f"{tmp}/ckpt") as point:
        tensors = lib.tensors_of(point)
    for t in rows:
        width = t["bytes"] // t["elements"]
        for element in (0, t["elements"] // 2, t["elements"] - 1):
            index = ",".join(map(str, np.unravel_index(element, t["shape"])))
            copy = run_json("explain", f"{tmp}/ckpt", t["name"], index)["copies"][0]
            lib.equal(whole[copy["offset"]:copy["offset"] + width], tensors[t["name"]][2][element * width:(element + 1) * width], f"{t['name']}[{index}]")


def test_digest(tmp):
    """XXH3-128 of each whole tensor, sorted by the bytes of names, whatever the layout."""
    for make_model in (sharded.small, sharded.pipeline, sharded.large):
        model = make_model()
        source = make(f"{tmp}/{make_model.__name__}", model)
        want = sorted((name, xxh3(t[2])) for name, t in {**model.whole(), **model.hyper()}.items())
        lib.equal(run("digest", source), "".join(f"{h}  {n}\n" for n, h in want), "shards")
        lib.equal([(t["name"], t["xxh3_128"]) for t in run_json("digest", source)["tensors"]], want, "as JSON")
        lib.write(f"{tmp}/{make_model.__name__}/merged/part0.safetensors", safefile.write(model.whole(), {"format": "ms"}))
        if model.outside:
            lib.write(f"{tmp}/{make_model.__name__}/merged/hyper_param.safetensors", safefile.write(model.hyper(), {"format": "ms"}))
        lib.equal(run("digest", f"{tmp}/{make_model.__name__}/merged"), run("digest", source), "the merged model")
        with lib.Mount(source) as point:
            lib.equal(run("digest", point, "--max_threads", "1"), run("digest", source), "a mount")
    lib.equal(run("digest", source, "rows").split(), [xxh3(model.whole()["rows"][2]), "rows"], "a pattern")
    lib.write(f"{tmp}/e/a.safetensors", safefile.write({"empty": ("F32", [0, 4], b""), "n\n": ("U8", [1], b"x")}))
    lib.equal(run("digest", f"{tmp}/e"), f"{xxh3(b'')}  empty\n{xxh3(b'x')}  n\\x0A\n", "an empty tensor, a name with a newline")


def test_digest_is_what_xxhsum_says(tmp):
    model = sharded.small()
    source = make(tmp, model)
    for name, tensor in model.whole().items():
        lib.write(f"{tmp}/raw/{name}", tensor[2])
    said = subprocess.run(["xxhsum", "-H2", *sorted(model.whole())], cwd=f"{tmp}/raw", capture_output=True, check=True).stdout.decode()
    lib.equal([line for line in run("digest", source).splitlines() if "." in line], said.splitlines(), "lines of xxhsum")


def test_status(tmp):
    source = make(tmp, sharded.small())
    os.mkdir(f"{tmp}/none")
    lib.refused("status", f"{tmp}/none", parts=["nothing is mounted"])
    lib.refused("status", "/proc", parts=["no gatherfs mount"])
    lib.refused("status", parts=["expected one MOUNTPOINT"], code=2)
    with lib.Mount(source) as point:
        lib.equal(run("status", point), lib.read(f"{point}/.gatherfs/status").decode(), "the text")
        lib.equal(run_json("status", point)["sources"], [source], "the JSON")
        os.symlink(point, f"{tmp}/link")
        lib.equal(run("status", f"{tmp}/link"), run("status", point), "through a link")


def test_ls_of_many_tensors(tmp):
    tensors = {f"model.layers.{i // 10}.mod{i % 10}.weight": ("F32", [2, 2], bytes(16)) for i in range(50_000)}
    lib.write(f"{tmp}/m/model.safetensors", safefile.write(tensors, {"format": "ms"}))
    lib.equal(run("ls", f"{tmp}/m").count("\n"), 50_002, "lines")


def test_terminal(tmp):
    """Nothing passes 80 columns, what is cut is cut in the middle, colours only where they are wanted."""
    m = sharded.small()
    m.add("model." + "very.long." * 12 + "weight", "F32", [8], Layout([2, 2], [-1]))
    m.add("bad\033[2Jname", "F32", [8], Layout([2, 2], [-1]))
    m.add("\u5c42.\u6ce8\u610f\u529b." * 8, "F32", [8], Layout([2, 2], [-1]))
    source = make(tmp, m)
    for args in (("ls", source), ("explain", source, "lm_head.weight"), ("check", source)):
        for columns in (80, 50):
            code, shown = terminal(*args, columns=columns)
            lib.equal(code, 0, args)
            for line in plain(shown).splitlines():
                width = sum(2 if ord(c) >= 0x2e80 else 1 for c in line)
                lib.need(width <= columns, f"{width} columns: {line!r}")
            lib.need("\033[1m" in shown and "\033[2J" not in shown, f"no colours, or an escape of a name: {shown!r}")
    shown = plain(terminal("ls", source)[1])
    lib.need(re.search(r" model\.very.*\.\.\..*long\.weight", shown) and "bad\\x1B[2Jname" in shown, shown)
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        lib.need("\033" not in terminal("ls", source, env=env)[1], f"colours with {env}")


def test_progress(tmp):
    """A bar while it takes long, which is gone at the end; none in a pipe, none with -q."""
    size = 512 << 20  # a hole: it takes no disk, and the wrong checksum takes longest to find out
    lib.write(f"{tmp}/m/model.safetensors", safefile.frame({"__metadata__": {"format": "ms", "crc_num": "1"},
                                                            "w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}))
    os.truncate(f"{tmp}/m/model.safetensors", os.path.getsize(f"{tmp}/m/model.safetensors") + size)
    code, shown = terminal("check", f"{tmp}/m", "--max_threads", "1")
    lib.equal(code, 1, "a wrong checksum")
    lines = [plain(part) for part in shown.split("\r") if "checking" in part]
    for line in lines:
        lib.need(len(line) <= 80 and re.search(r"%  .* of 1\.00 GiB", line), f"{line!r}")
    if lines:
        lib.need("\r\033[K" in shown, "the bar is not removed")
    lib.need("checking" not in terminal("check", "-q", f"{tmp}/m")[1], "a bar with -q")
    lib.need("checking" not in "".join(lib.gatherfs("check", f"{tmp}/m")[1:]), "a bar in a pipe")
    return None if lines else "it was over before a bar could be seen"


def test_progress_of_headers(tmp):
    """Likewise while those of many files are read from slow storage, whatever they are read for."""
    os.mkdir(f"{tmp}/m")
    os.mkdir(f"{tmp}/mnt")
    for i in range(40):
        lib.write(f"{tmp}/m/model-{i:05}.safetensors", safefile.write({f"w{i}": ("F32", [1], b"1234")}))
    for args in (("mount", "--dry-run", "SOURCE", f"{tmp}/mnt"), ("ls", "SOURCE"), ("index", "SOURCE", f"{tmp}/i")):
        shown = {}
        for quiet in ([], ["-q"]):
            with faulty.Storage(f"{tmp}/m") as storage:
                storage.tell(delay_us=200000)
                command = [storage.point if arg == "SOURCE" else arg for arg in args]
                code, shown[len(quiet)] = terminal(*command, *quiet)
                lib.equal(code, 0, f"exit code of {args} {quiet}, which showed {shown[len(quiet)]}")
        lines = [plain(part) for part in shown[0].split("\r") if "reading headers" in part]
        lib.need(lines and "\r\033[K" in shown[0], f"{args}: no bar, or one that is not removed: {shown[0]!r}")
        for line in lines:
            lib.need(len(line) <= 80 and re.search(r"%  [0-9]+ of 40 files", line), f"{args}: {line!r}")
        lib.need("reading headers" not in shown[1], f"{args}: a bar with -q")


if __name__ == "__main__":
    lib.main()
