# SPDX-License-Identifier: Apache-2.0
"""Mounts with direct_io and with trust_sources: the same bytes, what can be mapped, and what happens when a source is cut off."""
import errno
import json
import mmap
import os
import random
import subprocess
import sys

from mount import lib
from mount.test_reads import direct, saved, whole_file
from ref import safefile, sharded

MIB = 1 << 20
WAYS = (["direct_io"], ["trust_sources"], ["direct_io", "trust_sources"])
PART = "model-00001-of-00001.safetensors"


def status(root):
    return json.loads(lib.read(f"{root}/.gatherfs/status.json"))


def blocks(tp=2):
    """Long blocks, long rows, short rows, and a tensor that no piece is long enough for."""
    cut, rows = sharded.Layout([tp], [0, -1]), sharded.Layout([tp], [-1, 0])
    return (sharded.Model().add("a", "F32", [512, 512], cut).add("b", "F32", [64, 16384], rows).add("c", "F32", [700, 128], rows)
            .add("d", "F32", [8], sharded.Layout([tp], [-1])).add("e", "BF16", [1024, 1024], cut))


def test_bytes(tmp):
    """Whole files, ranges at random, with O_DIRECT and without, unified and as ranks."""
    model, rng = blocks(), random.Random(3)
    source = saved(model, tmp)
    for options in WAYS:
        with lib.Mount(source, *options) as root:
            path, want = f"{root}/{PART}", whole_file(f"{root}/{PART}", model)
            lib.need(lib.read(path) == want, f"{options}: read from end to end")
            for at in range(0, len(want), MIB):
                lib.need(direct(path, at, MIB) == want[at:at + MIB], f"{options}: O_DIRECT at {at}")
            for _ in range(300):
                at, n = rng.randrange(len(want) + 9), rng.choice([0, 1, 7, 256, 4096, 70000, MIB])
                lib.need(lib.read_at(path, at, n) == want[at:at + n], f"{options}: {n} at {at}")
        with lib.Mount(source, *options) as root, lib.Mount(root, "to=" + f"{tmp}/strategy", *options) as ranks:
            for rank in range(2):
                got = lib.tensors_of(f"{ranks}/rank_{rank}")
                lib.same_tensors(got, {n: t for n, t in lib.tensors_of(f"{source}/rank_{rank}").items()}, f"{options}: rank {rank}")


def test_many_pieces(tmp):
    """Requests of far more pieces than a reply can have are gathered, and so are those of few bytes in each."""
    for rows, tp in ((8192, 4), (65536, 2)):
        model = sharded.large(rows=rows, tp=tp)
        with lib.Mount(saved(model, f"{tmp}/{rows}"), "trust_sources") as root:
            want = whole_file(f"{root}/{PART}", model)
            for at in range(0, len(want), MIB):
                lib.need(direct(f"{root}/{PART}", at, MIB) == want[at:at + MIB], f"O_DIRECT at {at} of {rows} rows")


def mapped(path, flags):
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, flags, mmap.PROT_READ) as m:
        return m[:]


def test_mappings(tmp):
    """A private mapping works in every mount; a shared one with direct_io where the status says so, and gives ENODEV elsewhere."""
    model = blocks()
    source, remark = saved(model, tmp), None
    for options in ([], *WAYS):
        with lib.Mount(source, *options) as root:
            lib.wait_for(lambda: b"shared mappings: not known" not in lib.read(f"{root}/.gatherfs/status"), "the mount to try a mapping")
            path, want, said = f"{root}/{PART}", whole_file(f"{root}/{PART}", model), status(root)
            lib.equal([said["direct_io"], said["trust_sources"]], ["direct_io" in options, "trust_sources" in options], "in the status")
            lib.need(mapped(path, mmap.MAP_PRIVATE) == want, f"{options}: mapped privately")
            try:
                lib.need(mapped(path, mmap.MAP_SHARED) == want, f"{options}: mapped")
                works = True
            except OSError as e:
                lib.equal([e.errno, "direct_io" in options], [errno.ENODEV, True], "a shared mapping")
                works, remark = False, "no shared mappings with direct_io here"
            lib.equal(said["shared_mappings"], works, f"{options}: what the status says of shared mappings")
            text = lib.read(f"{root}/.gatherfs/status").decode()
            lib.equal("no shared mappings (ENODEV)" in text, not works, "the same in the text")
            lib.equal(["direct I/O" in text, "\ntrust " in text], ["direct_io" in options, "trust_sources" in options], "lines of the text")
    return remark


def cut(source, size):
    victim = f"{source}/rank_1/net_rank_1-1_10.safetensors"
    os.truncate(victim, size)
    return victim


def test_truncated_with_direct_io(tmp):
    """What is gone is an error, for a read and for a private mapping; other ranks' bytes are there; the status names the file."""
    model = blocks()
    source = saved(model, tmp)
    with lib.Mount(source, "direct_io") as root:
        path, want = f"{root}/{PART}", whole_file(f"{root}/{PART}", model)
        victim = cut(source, 4096)
        reader = ("import mmap, sys\nf = open(sys.argv[1], 'rb')\nm = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)\n"
                  "for at in range(0, len(m), 4096):\n    sys.stdout.buffer.write(m[at:at + 4096])\n    sys.stdout.buffer.flush()\n")
        done = subprocess.run([sys.executable, "-c", reader, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        lib.need(done.returncode != 0 and want.startswith(done.stdout), "a reader through a mapping")
        begin = want.index(model.whole()["a"][2])
        lib.expect_eio(lambda: lib.read_at(path, begin, MIB), "a read of both ranks")
        lib.need(lib.read_at(path, begin, 65536) == want[begin:begin + 65536], "rank 0's part")
        lib.need(victim in lib.read(f"{root}/.gatherfs/status").decode(), "the status names the file")


def test_truncated_with_trust(tmp):
    """A reply that the kernel cannot copy is an error, not a hang, and the end of the trust: from then on the file is found out."""
    model = blocks()
    source = saved(model, tmp)
    with lib.Mount(source, "trust_sources") as root:
        path, want = f"{root}/{PART}", whole_file(f"{root}/{PART}", model)
        lib.need(lib.read(path) == want, "before")
        os.posix_fadvise(fd := os.open(path, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        lib.equal(status(root)["trusted"], True, "trusted before")
        victim = cut(source, 8192)
        begin = want.index(model.whole()["a"][2])
        lib.expect_eio(lambda: direct(path, (begin + (3 << 18)) // 4096 * 4096, 65536), "the first read of what is gone")
        lib.wait_for(lambda: not status(root)["trusted"], "the end of the trust")
        lib.expect_eio(lambda: direct(path, (begin + (3 << 18)) // 4096 * 4096, 65536), "the second")
        text = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need(victim in text and "now every read is checked" in text, f"the status: {text}")
        lib.need(direct(path, 0, 65536) == want[:65536], "rank 0's part")


def test_last_page_with_trust(tmp):
    """What trusting costs, as it is documented: behind the end of a file that was cut off, the rest of its last page reads as zeros."""
    model = blocks()
    source = saved(model, tmp)
    with lib.Mount(source, "trust_sources") as root:
        path, want = f"{root}/{PART}", whole_file(f"{root}/{PART}", model)
        offset = want.index(model.whole()["a"][2]) + (1 << 19)  # of rank 1's rows
        size = os.path.getsize(f"{source}/rank_1/net_rank_1-1_10.safetensors")
        end = lib.read(f"{source}/rank_1/net_rank_1-1_10.safetensors").index(want[offset:offset + 4096]) + 100000
        lib.equal(direct(path, offset // 4096 * 4096, 131072), want[offset // 4096 * 4096:][:131072], "before")
        cut(source, end)
        lib.need(size > end, "a weak test: nothing was cut off")
        got = direct(path, offset, 100000 + (-end) % 4096)
        lib.need(got == want[offset:offset + 100000] + bytes((-end) % 4096), "the last page: old bytes, then zeros")
        lib.expect_eio(lambda: direct(path, offset + 100000 + 4096 * 64, 4096), "a page that is gone")


def test_trust_under_writers(tmp):
    """A file that is put in the place of a trusted one is not read: the old one is still held."""
    model, other = blocks(), blocks()
    source = saved(model, tmp)
    with lib.Mount(source, "trust_sources", "direct_io") as root:
        want = whole_file(f"{root}/{PART}", model)
        other.save(f"{tmp}/new")
        for rank in range(2):
            name = f"rank_{rank}/net_rank_{rank}-1_10.safetensors"
            lib.write(f"{tmp}/new/{name}", b"\xee" * os.path.getsize(f"{source}/{name}"))
            os.rename(f"{tmp}/new/{name}", f"{source}/{name}")
        lib.need(lib.read(f"{root}/{PART}") == want, "the old bytes")
        lib.same_tensors(safefile.read_file(f"{root}/{PART}")[0], model.whole())


if __name__ == "__main__":
    lib.main()
