# SPDX-License-Identifier: Apache-2.0
"""An export is what a mount of the same view shows, however often it was interrupted, and never a mixture."""
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

from mount import lib
from ref import safefile, sharded
from ref.algebra import Layout

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracle"))
import check as oracle  # noqa: E402

JOURNAL = ".gatherfs-export"
CHUNK = 8 << 20


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def files_of(root):
    """path -> bytes of all files below a folder but .gatherfs/ and tensors/."""
    out = {}
    for folder, dirs, names in os.walk(root):
        if folder == root:
            dirs[:] = [d for d in dirs if d not in (".gatherfs", "tensors")]
        for name in names:
            path = os.path.join(folder, name)
            out[os.path.relpath(path, root)] = lib.read(path)
    return out


def export(source, dest, *options, code=0):
    args = [a for option in options for a in ((option,) if option.startswith("-") else ("-o", option))]
    got, out, err = lib.gatherfs("export", *lib.sources_of(source), dest, *args, timeout=60)
    lib.equal(got, code, f"exit code of export, which said {out}{err}")
    return out, err


def same_as_mount(source, dest, *options):
    want = {}
    with lib.Mount(source, *options) as root:
        want = files_of(root)
    got = files_of(dest)
    lib.equal(sorted(got), sorted(want), "files")
    for path in want:
        lib.need(got[path] == want[path], f"{path} differs")
    return want


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


def large(tmp, megabytes=96):
    """A checkpoint whose export takes many chunks: (model, SOURCE)."""
    model = sharded.Model(5)
    rng = random.Random(5)
    rows = megabytes * 1024 // 8 // 2
    for name, tensor_map in (("columns", [-1, 0]), ("rows", [0, -1]), ("more", [-1, 0]), ("last", [0, -1])):
        model.layouts[0, name] = Layout([4], tensor_map)
    files = {r: {} for r in range(4)}
    whole = {}
    for name in ("columns", "rows", "more", "last"):
        data = rng.randbytes(rows * 4 * 1024)
        whole[name] = ("F32", [rows, 1024], data)
        for r in range(4):
            if name in ("rows", "last"):
                piece, shape = data[len(data) // 4 * r:len(data) // 4 * (r + 1)], [rows // 4, 1024]
            else:
                piece, shape = b"".join(data[at + 1024 * r:at + 1024 * (r + 1)] for at in range(0, len(data), 4096)), [rows, 256]
            files[r][name] = ("F32", shape, piece)
    model.save_strategy(f"{tmp}/strategy")
    return whole, model.save(f"{tmp}/checkpoint", files=files)


def start(source, dest, *args):
    return subprocess.Popen([lib.PROGRAM, "export", source, dest, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def known_chunks(dest):
    try:
        with open(f"{dest}/{JOURNAL}") as f:
            return len(set(re.findall(r"^chunk (\d+) ", f.read(), re.M)))
    except OSError:
        return 0


def interrupted(source, dest, chunks, number, *args):
    """Starts an export and sends it a signal as soon as so many chunks are in its journal: (exit code, standard error)."""
    process = start(source, dest, *args)
    while process.poll() is None and known_chunks(dest) < chunks:
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, err


def surely_interrupted(source, dest, chunks, number, *args):
    """Likewise, but an export that was faster than the signal does not count: it is begun anew."""
    for _ in range(20):
        code, err = interrupted(source, dest, chunks, number, *args)
        if code != 0:
            return code, err
        shutil.rmtree(dest)
    raise AssertionError("twenty exports ended before the signal")


def finals(dest):
    return [n for n in os.listdir(dest) if not n.startswith(".")]


def test_killed_and_resumed(tmp):
    """Killed again and again at random moments, an export is whole in the end, and nothing that was written is written again."""
    whole, source = large(tmp)
    rng, stopped = random.Random(time.time_ns()), 0
    for round_ in range(3):
        dest, at = f"{tmp}/out{round_}", 0
        for _ in range(4):
            at += rng.randrange(1, 4)
            code, _ = interrupted(source, dest, at, signal.SIGKILL, "-o", "part_size=40M")
            if code == 0:
                break
            stopped += 1
            lib.equal(finals(dest), [], "names before all is written")
        else:
            known = known_chunks(dest)
            out, _ = export(source, dest, "part_size=40M", "--json")
            said = json.loads(out)
            lib.need(said["bytes"] - said["written"] >= (known - 2) * CHUNK // 2, f"{known} chunks were known, and yet {said}")
        lib.same_tensors(lib.tensors_of(dest), whole)
        lib.need(not [n for n in os.listdir(dest) if n.startswith(".")], f"left behind: {os.listdir(dest)}")
        same_as_mount(source, dest, "part_size=40M")
    lib.need(stopped >= 3, f"only {stopped} were interrupted")


def test_sigint(tmp):
    whole, source = large(tmp)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        dest = f"{tmp}/{number}"
        code, err = surely_interrupted(source, dest, 2, number)
        lib.equal(code, 1, f"exit code after signal {number}, it said {err!r}")
        lib.need(err.count("\n") == 1 and "interrupted" in err and "the same command" in err, f"said {err!r}")
        lib.need(finals(dest) == [] and known_chunks(dest) >= 2, f"{os.listdir(dest)}")
        export(source, dest, "--verify")
        lib.same_tensors(lib.tensors_of(dest), whole)


def partial(tmp, chunks=4):
    whole, source = large(tmp, 64)
    code, _ = surely_interrupted(source, f"{tmp}/out", chunks, signal.SIGKILL)
    lib.equal(code, -signal.SIGKILL, "exit code")
    return whole, source, f"{tmp}/out"


def test_changed_source(tmp):
    """After a source has changed an export is refused, or begun anew; never mixed."""
    whole, source, dest = partial(tmp)
    path = f"{source}/rank_2/net_rank_2-1_10.safetensors"
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) - 4)
        f.write(b"\1\2\3\4")
    before = sorted(os.listdir(dest))
    said = lib.refused("export", source, dest, parts=["changed", "--restart"])
    lib.need(dest in said and sorted(os.listdir(dest)) == before, f"said {said}")
    lib.equal(json.loads(export(source, dest, "--restart", "--json")[0])["written"], sum(map(len, files_of(dest).values())), "written")
    same_as_mount(source, dest)
    dtype, shape, data = whole["last"]
    at = len(data) // 4 * 3
    lib.same_tensors(lib.tensors_of(dest), {**whole, "last": (dtype, shape, data[:at - 4] + b"\1\2\3\4" + data[at:])})


def test_other_options(tmp):
    whole, source, dest = partial(tmp)
    lib.refused("export", source, dest, "-o", "index=hf", parts=["options", "--restart"])
    lib.refused("export", source, dest, "-o", "part_size=1M", parts=["options", "--restart"])
    lib.write(f"{dest}/notes.txt", "mine")
    lib.refused("export", source, dest, "-o", "index=hf", "-o", "restart", parts=["notes.txt", "empty the folder"])
    lib.equal(lib.read(f"{dest}/notes.txt"), b"mine", "a file of the user's")
    os.unlink(f"{dest}/notes.txt")
    export(source, dest, "index=hf", "restart")
    lib.same_tensors(lib.tensors_of(dest), whole)
    same_as_mount(source, dest, "index=hf")


def temps(dest):
    return sorted(n for n in os.listdir(dest) if ".gatherfs-" in n and n != JOURNAL)


def stopped_at_the_names(tmp):
    """An export that wrote everything and could not give the last file its name: a file of ours stands there."""
    dest = f"{tmp}/out"
    whole, source = large(f"{tmp}/large", 64)
    surely_interrupted(source, dest, 1, signal.SIGKILL)
    lib.write(f"{dest}/param_name_map.json", "mine")
    lib.refused("export", source, dest, parts=["param_name_map.json", "File exists"])
    lib.equal(lib.read(f"{dest}/param_name_map.json"), b"mine", "a file of the user's")
    return whole, source, dest


def test_stopped_between_names(tmp):
    whole, source, dest = stopped_at_the_names(tmp)
    lib.equal(len(temps(dest)), 1, f"of {os.listdir(dest)}; temporary files")
    lib.need("model-00001-of-00001.safetensors" in os.listdir(dest), "the first name")
    os.unlink(f"{dest}/param_name_map.json")
    lib.equal(json.loads(export(source, dest, "--json")[0])["written"], 0, "written")
    lib.same_tensors(lib.tensors_of(dest), whole)
    same_as_mount(source, dest)


def flip(path, at):
    """Another byte, at the same time."""
    st = os.stat(path)
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(1)
        f.seek(at)
        f.write(bytes([old[0] ^ 0x40]))
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


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


def test_damaged_chunk_is_written_again(tmp):
    """What the journal says of a chunk is compared with the bytes, so a crash of the machine that loses some is found."""
    whole, source, dest = partial(tmp)
    path = f"{dest}/{[n for n in temps(dest) if 'model' in n][0]}"
    chunk = int(re.search(r"^chunk (\d+)", lib.read(f"{dest}/{JOURNAL}").decode(), re.M)[1])
    flip(path, chunk * CHUNK + 12345)
    export(source, dest)
    lib.same_tensors(lib.tensors_of(dest), whole)


def test_finished_files(tmp):
    """A file that the journal calls finished is kept only when all its chunks are known and it is still the same; else it is looked at."""
    whole, source = large(tmp, 64)
    dest, options = f"{tmp}/out", ("-o", "part_size=20M,max_threads=1")
    surely_interrupted(source, dest, 5, signal.SIGKILL, *options)
    journal = lib.read(f"{dest}/{JOURNAL}").decode()
    lib.need("\nfile 0 " in journal and "\nchunk 0 " in journal, journal)
    path, = [f"{dest}/{n}" for n in temps(dest) if n.endswith("-0")]
    flip(path, 5000)
    lib.write(f"{dest}/{JOURNAL}", re.sub(r"(?m)^chunk 0 .*\n", "", journal))
    export(source, dest, options[1])
    lib.same_tensors(lib.tensors_of(dest), whole, "a chunk that the journal does not know")
    for _ in range(20):
        shutil.rmtree(dest)
        surely_interrupted(source, dest, 4, signal.SIGKILL, *options)
        path, = [f"{dest}/{n}" for n in temps(dest) if n.endswith("-0")]
        flip(path, 5000)
        os.utime(path)
        with open(f"{dest}/{JOURNAL}", "a") as f:
            f.write("garbage\n")
        if interrupted(source, dest, known_chunks(dest) + 1, signal.SIGKILL, *options)[0]:
            break
    lib.need(b"garbage" not in lib.read(f"{dest}/{JOURNAL}"), "a line that is none of ours stayed")
    export(source, dest, options[1])
    lib.same_tensors(lib.tensors_of(dest), whole, "a file that was touched")


def test_hostile_journal(tmp):
    """A journal may say anything: nothing outside is touched, and the result is right or there is none."""
    whole, source, dest = partial(tmp)
    shutil.copytree(dest, f"{tmp}/kept")
    journal = lib.read(f"{dest}/{JOURNAL}")
    head = b"".join(journal.splitlines(True)[:3])
    rng = random.Random(7)

    def again(text):
        shutil.rmtree(dest)
        shutil.copytree(f"{tmp}/kept", dest)
        lib.write(f"{dest}/{JOURNAL}", text)

    good = [journal[:-7], head, journal + b"chunk 99999999999 " + b"0" * 32 + b"\n", journal + b"\0" * 5000, journal * 2, b"",
            journal + b"file 0 1 1 1\n", journal.replace(b"chunk 0", b"chunk 1"), head + b"".join(b"chunk %d %s\n" % (n, b"ab" * 16) for n in range(8))]
    for text in good:
        again(text)
        export(source, dest)
        lib.same_tensors(lib.tensors_of(dest), whole, "after a journal of " + repr(text[-60:]))
        lib.equal(temps(dest) if text else [], [], "temporary files")
    for text in (b"hello\n", b"\0" * 4096, journal[4:], head[:40], journal.replace(b"export 1", b"export 9"), rng.randbytes(4096)):
        again(text)
        lib.refused("export", source, dest, parts=[JOURNAL, "--restart"])
        export(source, dest, "--restart")
        lib.same_tensors(lib.tensors_of(dest), whole)


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


def test_two_at_once(tmp):
    whole, source = large(tmp)
    dest = f"{tmp}/out"
    first = start(source, dest)
    lib.wait_for(lambda: known_chunks(dest) >= 1 or first.poll() is not None, "the first chunk")
    first.send_signal(signal.SIGSTOP)
    try:
        if first.poll() is None and os.path.exists(f"{dest}/{JOURNAL}"):
            lib.refused("export", source, dest, parts=["another export"])
    finally:
        first.send_signal(signal.SIGCONT)
    first.communicate(timeout=60)
    lib.equal(first.returncode, 0, "exit code")
    lib.same_tensors(lib.tensors_of(dest), whole)


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


class Disk:
    """A small tmpfs for the time of a `with` block, or None where that needs more rights."""

    def __init__(self, point, options):
        self.point = point
        os.makedirs(point, exist_ok=True)
        self.ok = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", point], stderr=subprocess.DEVNULL).returncode == 0

    def __enter__(self):
        return self.point if self.ok else None

    def __exit__(self, *exc):
        if self.ok:
            subprocess.run(["umount", self.point], check=True)


def test_full_disk_is_refused_early(tmp):
    whole, source = large(tmp, 64)
    with Disk(f"{tmp}/disk", "size=40M") as disk:
        if not disk:
            return "no right to mount a tmpfs"
        lib.refused("export", source, f"{disk}/out", parts=["no room", "MiB"])
        lib.equal(os.listdir(disk), [], "what a refused export left")


def test_disk_fills_up(tmp):
    """Somebody else takes the room meanwhile: one message, and it goes on when there is room again."""
    whole, source = large(tmp, 64)
    with Disk(f"{tmp}/disk", "size=100M") as disk:
        if not disk:
            return "no right to mount a tmpfs"
        dest = f"{disk}/out"
        process = start(source, dest, "-o", "part_size=20M,max_threads=1")
        while process.poll() is None and known_chunks(dest) < 2:
            pass
        process.send_signal(signal.SIGSTOP)
        with open(f"{disk}/other", "wb") as f:
            try:
                while True:
                    f.write(bytes(1 << 16))
                    f.flush()
            except OSError:
                pass
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        lib.equal(process.returncode, 1, f"exit code, it said {out}{err}")
        lib.need(err.count("\n") == 1 and "No space left" in err and "the same command" in err, f"said {err!r}")
        lib.need(finals(dest) == [] and known_chunks(dest) >= 2, f"{os.listdir(dest)}")
        lib.refused("export", source, dest, "-o", "part_size=20M", parts=["no room"])
        os.unlink(f"{disk}/other")
        said = json.loads(export(source, dest, "part_size=20M", "--json")[0])
        lib.need(said["written"] < said["bytes"], f"{said}: nothing was kept")
        lib.same_tensors(lib.tensors_of(dest), whole)


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
