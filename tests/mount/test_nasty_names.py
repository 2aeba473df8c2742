# SPDX-License-Identifier: Apache-2.0
"""Names of files and tensors that would forge a line of a message or a log, or move a terminal's cursor: every verb shows them harmless."""
import os
import subprocess

from mount import lib
from ref import safefile, strategy_pb
from ref.algebra import Layout

NAMES = {
    "a line feed": b"evil\nFORGED",
    "escape sequences": b"\x1b]0;t\x07\x1b[2J\x7f\r\x08",
    "a C1 character": "c\u009b31m".encode(),
    "no UTF-8": b"bad\xff\xfe\x9b",
    "what turns a line around": "x\u202ey\u2028z".encode(),
    "255 bytes": b"n" * 230,
}


def is_bad(said):
    """What a terminal would obey in these bytes, or a line that a name began; None when all is well."""
    try:
        text = said.decode()
    except UnicodeDecodeError:
        return "bytes that are no UTF-8"
    for line in text.split("\n"):
        if line.startswith("FORGED"):
            return "a forged line"
    bad = [c for c in text if (ord(c) < 32 and c != "\n") or 0x7f <= ord(c) <= 0x9f or c in "\u202e\u2028"]
    return repr(bad[0]) if bad else None


def run(*args, codes=(0, 1, 2)):
    """Runs the program, and demands that all it says is harmless; its exit code."""
    done = subprocess.run([lib.PROGRAM.encode(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30 * lib.SLOW)
    for said in (done.stdout, done.stderr):
        lib.need(not is_bad(said), f"{args}: {is_bad(said)} in {said[:300]!r}")
    lib.need(done.returncode in codes, f"{args}: {done.returncode}, {done.stderr[:300]!r}")
    return done.returncode


def make(where, name):
    """A unified SOURCE, rank folders with their strategy, and an empty folder, all of that name; a tensor of it too, where it is text."""
    try:
        tensor = name.decode()
    except UnicodeDecodeError:
        tensor = "w"
    base = os.path.join(os.fsencode(where), name)
    w = ("F32", [2, 4], bytes(32))
    lib.write(base + b"/u/" + name + b".safetensors", safefile.write({tensor: w}, {"format": "ms", tensor: tensor}))
    for rank in range(2):
        lib.write(base + b"/src/rank_%d/%s_rank_%d-1_1.safetensors" % (rank, name, rank), safefile.write({tensor: w}, {"format": "ms"}))
    lib.write(base + b"/strategy/" + name + b".ckpt", strategy_pb.encode(0, {tensor: Layout([2], [0, -1])}))
    os.mkdir(base + b"/mnt")
    return base, tensor.encode()


def check_mount(mnt):
    """The names in a mount, its text files and status: nothing of the source's names is raw in them."""
    lib.need(not lib.mounted("/nowhere"), "something that is not mounted")  # while this mount is among those that are looked through
    for folder, folders, files in os.walk(mnt):
        for name in folders + files:
            lib.need(b".safetensors" in name or not is_bad(name), f"the mount shows {name!r}")
        for name in files:
            if name.endswith((b".txt", b".json")) or name == b"status":
                said = lib.read(os.path.join(folder, name))
                lib.need(not is_bad(said.replace(b"\t", b" ")) or name.endswith(b"map.json"), f"{folder}/{name}: {is_bad(said)} in {said[:300]!r}")
    with open("/proc/mounts", "rb") as f:
        for line in f:
            if b"fuse.gatherfs" in line and os.path.dirname(mnt)[-5:] in line:
                lib.need(not is_bad(line.split(b" ")[0]), f"/proc/mounts: {line!r}")


def each_verb(base, name, tensor):
    u, src, mnt = base + b"/u", base + b"/src", base + b"/mnt"
    subjects = [[u], [src], [u, tensor], [u, name], [u, b"zz"], [base + b"/none"], [u, b"-o", b"step=" + name], [u, b"-o", b"rename=" + base], [u, b"-o", name]]
    for args in subjects:
        for verb in (b"ls", b"info", b"check", b"stats", b"digest", b"explain"):
            run(verb, *args)
            run(verb, *args, b"--json")
    for args in ([b"diff", u, src], [b"diff", u, u, b"--json"], [b"info", b"--dry-run", src], [b"merge-strategy", base + b"/strategy", base + b"/out"],
                 [b"export", src, base + b"/exp"], [b"export", b"--verify", src, base + b"/exp"], [name], [b"help", name], [b"status", mnt], [b"umount", mnt],
                 [b"mount", base + b"/none", mnt], [b"mount", u, base + b"/nopoint"], [b"mount", src, mnt, b"-o", b"step=" + name]):
        run(*args)


def test_every_verb(tmp):
    for i, (what, name) in enumerate(NAMES.items()):
        base, tensor = make(f"{tmp}/{i}", name)
        each_verb(base, name, tensor)


def test_mounts(tmp):
    """Mounted, with a source that vanishes: the problem is in the status and in the log, each on a line of its own."""
    for i, (what, name) in enumerate(NAMES.items()):
        base, _ = make(f"{tmp}/{i}", name)
        mnt = base + b"/mnt"
        for source, options in ((b"/src", []), (b"/u", []), (b"/src", [b"-o", b"to=same"])):
            process = subprocess.Popen([lib.PROGRAM.encode(), b"mount", b"-f", base + source, mnt, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)
            lib.wait_for(lambda: os.path.ismount(mnt) or process.poll() is not None, f"the mount ({what})")
            check_mount(mnt)
            spoil(base + source, mnt)
            run(b"status", mnt)
            run(b"status", b"--json", mnt)
            lib.wait_for(lambda: subprocess.run([b"fusermount3", b"-u", mnt], stderr=subprocess.DEVNULL).returncode == 0, "the mount to be free")
            said = process.communicate(timeout=20 * lib.SLOW)[0]
            lib.need(process.returncode == 0 and said and not is_bad(said), f"{what}: {process.returncode}, {is_bad(said)} in {said[:500]!r}")


def spoil(source, mnt):
    """Cuts a source file short and reads it: what the log says names the file. It is put back."""
    path = next(os.path.join(d, f) for d, _, files in os.walk(source) for f in files)
    whole = lib.read(path)
    os.truncate(path, len(whole) - 3)
    for folder, _, files in os.walk(mnt):
        for name in (n for n in files if n.endswith(b".safetensors")):
            try:
                lib.read(os.path.join(folder, name))
            except OSError:
                pass
    lib.write(path, whole)


if __name__ == "__main__":
    lib.main()
