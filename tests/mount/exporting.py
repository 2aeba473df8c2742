# SPDX-License-Identifier: Apache-2.0
"""Exports that are run, interrupted and compared with a mount: shared by the tests of them."""
import os
import random
import re
import shutil
import signal
import subprocess

from mount import lib
from ref import sharded
from ref.algebra import Layout

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
    out, err = process.communicate(timeout=60 * lib.SLOW)
    return process.returncode, err


def surely_interrupted(source, dest, chunks, number, *args):
    """Likewise, but an export that had written all before the signal does not count: it is begun anew."""
    for _ in range(20):
        code, err = interrupted(source, dest, chunks, number, *args)
        if code != 0 and not any(os.path.isfile(f"{dest}/{name}") for name in finals(dest)):
            return code, err
        shutil.rmtree(dest)
    raise AssertionError("twenty exports were faster than the signal")


def finals(dest):
    return [n for n in os.listdir(dest) if not n.startswith(".")]


def partial(tmp, chunks=4):
    whole, source = large(tmp, 64)
    code, _ = surely_interrupted(source, f"{tmp}/out", chunks, signal.SIGKILL)
    lib.equal(code, -signal.SIGKILL, "exit code")
    return whole, source, f"{tmp}/out"


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


def flip(path, at):
    """Another byte, at the same time."""
    st = os.stat(path)
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(1)
        f.seek(at)
        f.write(bytes([old[0] ^ 0x40]))
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
