# SPDX-License-Identifier: Apache-2.0
"""An export is what a mount of the same view shows, whole or refused."""
import json
import os
import re
import shutil
import signal
import stat
import sys

from mount import lib
from mount.exporting import (JOURNAL, export, files_of, flip, large, partial, same_as_mount, saved, start,
                             stopped_at_the_names, surely_interrupted, temps)
from ref import safefile, sharded
from ref.algebra import Layout

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracle"))
import check as oracle  # noqa: E402


def test_every_view_is_as_mounted(tmp):
    model = sharded.small()
    source = saved(model, tmp)
    lib.write(f"{tmp}/with/config.json", '{"a": 1}')
    lib.write(f"{tmp}/with/empty.txt", "")
    lib.write(f"{tmp}/with/" + "n" * 240 + ".txt", "a long name")
    lib.write(f"{tmp}/rules", "^model\\.(.*) net.\\1\n")
    two = sharded.Model()
    for name, (dtype, units) in model.full.items():
        two.full[name] = (dtype, units)
        two.layouts[0, name] = Layout([2], [0] + [-1] * (len(units.shape) - 2) if units.shape[0] % 2 == 0 and len(units.shape) > 1 else [-1] * (len(units.shape) - 1))
    two.save_strategy(f"{tmp}/two")
    cases = [(), ("part_size=400",), ("index=hf",), ("index=hf,part_size=700", "filter=lm_"), (f"rename={tmp}/rules",), (f"with={tmp}/with",),
             ("to=same",), (f"to={tmp}/two",), (f"to={tmp}/two,ranks=1,prefix=x",)]
    for n, options in enumerate(cases):
        out, err = export(source, f"{tmp}/out{n}", *options)
        lib.need(re.fullmatch(r"exported \d+ files, [\d.]+ \w+ in [\d.]+ s\n", out), f"{options}: said {out!r}, {err!r}")
        lib.need(not err or "warning" in err and "index=hf" in options[0], f"{options}: said {err!r}")
        want = same_as_mount(source, f"{tmp}/out{n}", *options)
        lib.need(len(want) > 1, "a weak test")
    lib.same_tensors(lib.tensors_of(f"{tmp}/out0"), model.whole())
    lib.same_tensors(safefile.read_file(f"{tmp}/out0/hyper_param.safetensors")[0], model.hyper())


def test_unified_source_and_back(tmp):
    """rank folders, exported from an exported model, hold what was scattered first."""
    model = sharded.small()
    source = saved(model, tmp)
    export(source, f"{tmp}/whole", "--verify")
    export(f"{tmp}/whole", f"{tmp}/copy")
    lib.equal(files_of(f"{tmp}/copy"), files_of(f"{tmp}/whole"), "files")
    export(f"{tmp}/whole", f"{tmp}/ranks", f"to={tmp}/strategy", "--verify")
    same_as_mount(f"{tmp}/whole", f"{tmp}/ranks", f"to={tmp}/strategy")
    for rank, tensors in model.ranks().items():
        name, = [n for n in os.listdir(f"{tmp}/ranks/rank_{rank}") if n.endswith(".safetensors")]
        lib.same_tensors(safefile.read_file(f"{tmp}/ranks/rank_{rank}/{name}")[0], tensors, f"rank {rank}")


def test_oracle(tmp):
    """MindSpore's own answers, asked of exports."""
    cases, tried = os.path.join(os.path.dirname(oracle.__file__), "cases"), 0

    class Exported(oracle.Mount):
        def __enter__(self):
            done = lib.gatherfs("export", self.source, f"{self.point}/x", *(["-o", self.options] if self.options else []))
            if done[0]:
                raise oracle.Wrong(f"mount refused ({done[0]}): {done[2]}")
            return f"{self.point}/x"

        def __exit__(self, *exc):
            shutil.rmtree(self.point)

    kept, oracle.Mount = oracle.Mount, Exported
    try:
        for name in ("dtypes", "dp4tp2_opt_part", "pp2", "tp2_to_tp4", "gap_ranks", "ckpt_conv", "real_moe", "suffix", "missing_rank"):
            with open(f"{cases}/{name}/expected.json") as f:
                case = json.load(f)
            for op in case["ops"]:
                if op["op"] in ("unified", "reshard", "ckpt2st") and not op["args"].get("choice") and not op["args"].get("nodst"):
                    problem = oracle.run_op(lib.PROGRAM, case, f"{cases}/{name}", op)
                    lib.need(not problem, f"{name} {op['op']}: {problem}")
                    tried += 1
    finally:
        oracle.Mount = kept
    lib.need(tried > 8, f"only {tried} operations")


def test_verify_finds_a_flipped_byte(tmp):
    whole, source, dest = stopped_at_the_names(tmp)
    os.unlink(f"{dest}/param_name_map.json")
    path = f"{dest}/model-00001-of-00001.safetensors"
    flip(path, 20_000_000)
    said = lib.refused("export", source, dest, "--verify", parts=["model-00001-of-00001.safetensors", "read back"])
    low, high = map(int, re.search(r"bytes (\d+) to (\d+)", said).groups())
    lib.need(low <= 20_000_000 < high, said)
    lib.need(JOURNAL in os.listdir(dest), "what resuming needs")
    export(source, dest, "--verify")
    same_as_mount(source, dest)
    size = os.path.getsize(path)
    for at in (0, 4096, size // 2, size - 1):
        flip(path, at)
        lib.refused("export", source, dest, "--verify", parts=["model-00001-of-00001.safetensors", f"byte {at} differs"])
        flip(path, at)
    lib.need(re.match(r"verified 2 files, ", export(source, dest, "--verify")[0]), "a finished export")
    os.truncate(path, size - 1)
    lib.refused("export", source, dest, "--verify", parts=["model-00001-of-00001.safetensors", f"{size} bytes", f"found {size - 1}"])
    os.unlink(path)
    lib.refused("export", source, dest, "--verify", parts=["model-00001-of-00001.safetensors", "No such file"])


def test_links_are_not_followed(tmp):
    """Whoever prepares a DEST with links in it leads no byte elsewhere."""
    whole, source, dest = partial(tmp)
    victim = lib.write(f"{tmp}/victim", "precious")
    temp, = [n for n in temps(dest) if "model" in n]
    os.unlink(f"{dest}/{temp}")
    os.symlink(victim, f"{dest}/{temp}")
    export(source, dest)
    lib.equal(lib.read(victim), b"precious", "the file that a symbolic link led to")
    lib.same_tensors(lib.tensors_of(dest), whole)
    shutil.rmtree(dest)
    surely_interrupted(source, dest, 2, signal.SIGKILL)
    temp, = [n for n in temps(dest) if "model" in n]
    os.unlink(f"{dest}/{temp}")
    os.link(victim, f"{dest}/{temp}")
    export(source, dest)
    lib.equal(lib.read(victim), b"precious", "the file of another name")
    lib.same_tensors(lib.tensors_of(dest), whole)
    shutil.rmtree(dest)
    surely_interrupted(source, dest, 2, signal.SIGKILL)
    os.rename(f"{dest}/{JOURNAL}", f"{tmp}/journal")
    os.symlink(f"{tmp}/journal", f"{dest}/{JOURNAL}")
    lib.refused("export", source, dest, parts=[JOURNAL])
    shutil.rmtree(dest)
    surely_interrupted(source, dest, 1, signal.SIGKILL, "-o", "to=same")
    shutil.rmtree(f"{dest}/rank_0", ignore_errors=True)
    os.mkdir(f"{tmp}/elsewhere")
    os.symlink(f"{tmp}/elsewhere", f"{dest}/rank_0")
    lib.refused("export", source, dest, "-o", "to=same", parts=["rank_0"])
    lib.equal(os.listdir(f"{tmp}/elsewhere"), [], "a folder that a link led to")


def test_refusals(tmp):
    model = sharded.small()
    source = saved(model, tmp)
    lib.refused("export", source, code=2, parts=["SOURCE and DEST"])
    lib.refused("export", source, f"{tmp}/x", "--no-such", code=2, parts=["no-such"])
    lib.refused("export", f"{tmp}/nothing", f"{tmp}/x", parts=["nothing"])
    lib.refused("export", source, f"{tmp}/no/x", parts=[f"{tmp}/no"])
    lib.refused("export", source, lib.write(f"{tmp}/file", "x"), parts=["file", "folder"])
    lib.refused("export", source, f"{source}/out", parts=["in the source"])
    lib.refused("export", source, source, parts=["in the source"])
    os.symlink(f"{source}/rank_0", f"{tmp}/link")
    lib.refused("export", source, f"{tmp}/link/out", parts=["in the source"])
    lib.refused("export", source, f"{tmp}/link", parts=["in the source"])
    lib.equal(sorted(os.listdir(source)), [f"rank_{r}" for r in range(4)], "the source")
    lib.equal(os.listdir(f"{source}/rank_0"), ["net_rank_0-1_10.safetensors"], "rank 0")
    lib.write(f"{tmp}/full/a", "x")
    lib.refused("export", source, f"{tmp}/full", parts=["empty"])
    lib.equal(os.listdir(f"{tmp}/full"), ["a"], "a folder in use")
    lib.refused("export", source, f"{tmp}/x", "-o", "steps=all", parts=["steps"], code=2)
    lib.need(not os.path.exists(f"{tmp}/x"), "a refused export made its folder")
    os.mkdir(f"{tmp}/empty")
    export(source, f"{tmp}/empty")
    lib.same_tensors(lib.tensors_of(f"{tmp}/empty"), model.whole())
    lib.refused("export", source, f"{tmp}/empty", parts=["empty", "--verify"])
    code, out, err = lib.gatherfs("export", "-h")
    lib.need(code == 0 and "DEST" in out and "--verify" not in err, out)


def test_modes_and_times(tmp):
    """No more open than the sources are, writable by the owner; times are the view's."""
    model = sharded.small()
    source = saved(model, tmp)
    for mode, umask, file_mode, options in ((0o444, 0o022, 0o644, ()), (0o400, 0o022, 0o600, ()), (0o444, 0o077, 0o600, ()), (0o440, 0o002, 0o640, ())):
        for rank in range(4):
            os.chmod(f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors", mode)
        dest, old = f"{tmp}/out{mode:o}{umask:o}", os.umask(umask)
        try:
            export(source, dest, "to=same", *options)
        finally:
            os.umask(old)
        newest = max(os.stat(f"{source}/rank_{r}/net_rank_{r}-1_10.safetensors").st_mtime_ns for r in range(4))
        for folder, _, names in os.walk(dest):
            for name in names:
                st = os.stat(f"{folder}/{name}")
                lib.equal((oct(stat.S_IMODE(st.st_mode)), st.st_mtime_ns), (oct(file_mode), newest), f"mode and mtime of {name}")
            lib.need(os.stat(folder).st_mode & 0o700 == 0o700, f"{folder} cannot be used")


def test_output(tmp):
    model = sharded.small()
    source = saved(model, tmp)
    lib.equal(export(source, f"{tmp}/a", "-q"), ("", ""), "output of -q")
    said = json.loads(export(source, f"{tmp}/b", "--json", "--verify")[0])
    lib.equal((said["dest"], said["files"], said["verified"]), (f"{tmp}/b", 3, True), "json")
    lib.equal(said["bytes"], sum(map(len, files_of(f"{tmp}/b").values())), "bytes")
    lib.equal(said["written"], said["bytes"], "written")


def test_memory_is_flat(tmp):
    """The most memory that an export takes does not grow with what it exports."""
    peaks = []
    for n, megabytes in enumerate((32, 128)):
        whole, source = large(f"{tmp}/{n}", megabytes)
        process, peak = start(source, f"{tmp}/out{n}", "-q"), 0
        while process.poll() is None:
            with open(f"/proc/{process.pid}/status") as f:
                peak = max([peak, *map(int, re.findall(r"^VmHWM:\s+(\d+)", f.read(), re.M))])
        lib.equal((process.returncode, *process.communicate()), (0, "", ""), "exit code and output")
        peaks.append(peak)
    lib.need(min(peaks) > 2048, f"{peaks} KiB: a weak test")
    lib.need(peaks[1] < peaks[0] * 1.3 + 4096, f"{peaks} KiB")
    if lib.SLOW == 1:
        lib.need(peaks[1] < 32 << 10, f"{peaks} KiB")


if __name__ == "__main__":
    lib.main()
