# SPDX-License-Identifier: Apache-2.0
"""An export that was interrupted goes on: nothing is written twice, a full disk and any journal are borne, and it is never a mixture."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

from mount import lib
from mount.exporting import (CHUNK, JOURNAL, export, files_of, finals, flip, interrupted, known_chunks, large, partial,
                             same_as_mount, start, stopped_at_the_names, surely_interrupted, temps)


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


def test_stopped_between_names(tmp):
    whole, source, dest = stopped_at_the_names(tmp)
    lib.equal(len(temps(dest)), 1, f"of {os.listdir(dest)}; temporary files")
    lib.need("model-00001-of-00001.safetensors" in os.listdir(dest), "the first name")
    os.unlink(f"{dest}/param_name_map.json")
    lib.equal(json.loads(export(source, dest, "--json")[0])["written"], 0, "written")
    lib.same_tensors(lib.tensors_of(dest), whole)
    same_as_mount(source, dest)


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
    first.communicate(timeout=60 * lib.SLOW)
    lib.equal(first.returncode, 0, "exit code")
    lib.same_tensors(lib.tensors_of(dest), whole)


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


def stopped(source, dest, *args):
    """An export that has written a part of its chunks, and is stopped."""
    for _ in range(20):
        process = start(source, dest, *args)
        while process.poll() is None and known_chunks(dest) < 2:
            pass
        process.send_signal(signal.SIGSTOP)
        if process.poll() is None and known_chunks(dest) <= 4:
            return process
        process.kill()
        process.communicate()
        shutil.rmtree(dest)
    raise AssertionError("twenty exports were too fast to be stopped")


def test_disk_fills_up(tmp):
    """Somebody else takes the room meanwhile: one message, and it goes on when there is room again."""
    whole, source = large(tmp, 64)
    with Disk(f"{tmp}/disk", "size=100M") as disk:
        if not disk:
            return "no right to mount a tmpfs"
        dest = f"{disk}/out"
        process = stopped(source, dest, "-o", "part_size=20M,max_threads=1")
        with open(f"{disk}/other", "wb") as f:
            try:
                while True:
                    f.write(bytes(1 << 16))
                    f.flush()
            except OSError:
                pass
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60 * lib.SLOW)
        lib.equal(process.returncode, 1, f"exit code, it said {out}{err}")
        lib.need(err.count("\n") == 1 and "No space left" in err and "the same command" in err, f"said {err!r}")
        lib.need(finals(dest) == [] and known_chunks(dest) >= 2, f"{os.listdir(dest)}")
        lib.refused("export", source, dest, "-o", "part_size=20M", parts=["no room"])
        os.unlink(f"{disk}/other")
        said = json.loads(export(source, dest, "part_size=20M", "--json")[0])
        lib.need(said["written"] < said["bytes"], f"{said}: nothing was kept")
        lib.same_tensors(lib.tensors_of(dest), whole)


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


if __name__ == "__main__":
    lib.main()
