# SPDX-License-Identifier: Apache-2.0
"""Reads of every kind return the bytes of the whole, and say so when a source has changed."""
import json
import mmap
import os
import random
import subprocess
import sys
import threading

from mount import lib
from ref import safefile, sharded

MIB = 1 << 20


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def whole_file(path, model):
    """The bytes that the file must have: its own header (checked), then the tensors in the header's order."""
    with open(path, "rb") as f:
        head = f.read(8)
        head += f.read(int.from_bytes(head, "little"))
    names = [n for n in json.loads(head[8:]) if n != "__metadata__"]
    want = model.whole()
    lib.equal(set(names), set(want), "names in the header")
    return head + b"".join(want[n][2] for n in names)


def direct(path, offset, length):
    """One O_DIRECT read."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, (length + 4095) // 4096 * 4096) as buffer:
            n = os.preadv(fd, [memoryview(buffer)[:length]], offset)
            return buffer[:n]
    finally:
        os.close(fd)


def test_a_mebibyte_of_rows(tmp):
    """1 MiB reads that gather 4,096 rows of 256 bytes, and 1,024 of 1 KiB: more pieces than one reply can have."""
    for rows, tp in ((8192, 4), (65536, 2), (2048, 8)):
        model = sharded.large(rows=rows, tp=tp)
        source = saved(model, f"{tmp}/{rows}")
        with lib.Mount(source) as root:
            path = f"{root}/model-00001-of-00001.safetensors"
            want = whole_file(path, model)
            for at in range(0, len(want), MIB):
                lib.need(direct(path, at, MIB) == want[at:at + MIB], f"O_DIRECT at {at} of {rows} rows")
            lib.need(lib.read(path) == want, f"buffered, {rows} rows")


def test_ranges(tmp):
    """pread at random, through private and shared mappings, with O_DIRECT at any alignment, and past the end."""
    model, rng = sharded.large(rows=999, tp=3), random.Random(5)
    with lib.Mount(saved(model, tmp)) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        want = whole_file(path, model)
        lib.equal(os.path.getsize(path), len(want), "size")
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as private, \
                mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as shared:
            for _ in range(300):
                at, n = rng.randrange(len(want) + 9), rng.choice([0, 1, 7, 256, 4096, 70000, MIB])
                lib.need(os.pread(f.fileno(), n, at) == want[at:at + n], f"pread of {n} at {at}")
                lib.need(private[at:at + n] == want[at:at + n] == shared[at:at + n], f"mapped {n} at {at}")
            for at in (0, 4096, len(want) // 4096 * 4096, len(want) + 4096):
                lib.need(direct(path, at, 65536) == want[at:at + 65536], f"O_DIRECT at {at}")
            for at, n in ((512, 512), (4608, 1024)):
                lib.need(direct(path, at, n) == want[at:at + n], f"O_DIRECT of {n} at {at}")


def test_many_readers(tmp):
    """Eight readers at once, each with its own pattern, on cold and warm pages."""
    model = sharded.large(rows=16384)
    with lib.Mount(saved(model, tmp)) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        want, wrong = whole_file(path, model), []

        def reader(seed):
            rng = random.Random(seed)
            for _ in range(60):
                at, n = rng.randrange(len(want)), rng.choice([1, 4096, 131072, MIB])
                if seed % 2 == 0:
                    at = at // 4096 * 4096
                got = direct(path, at, n // 4096 * 4096 or 4096) if seed % 2 == 0 else lib.read_at(path, at, n)
                if got != want[at:at + len(got)] or not got:
                    wrong.append((seed, at, n))
        threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        lib.equal(wrong, [], "wrong reads")


def test_copies(tmp):
    """cp, cat and sendfile see the same bytes."""
    model = sharded.large(rows=512)
    with lib.Mount(saved(model, tmp)) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        want = whole_file(path, model)
        subprocess.run(["cp", path, f"{tmp}/copy"], check=True)
        lib.need(lib.read(f"{tmp}/copy") == want, "cp")
        lib.need(subprocess.run(["cat", path], stdout=subprocess.PIPE, check=True).stdout == want, "cat")
        with open(path, "rb") as src, open(f"{tmp}/sent", "wb") as dst:
            while os.sendfile(dst.fileno(), src.fileno(), None, MIB):
                pass
        lib.need(lib.read(f"{tmp}/sent") == want, "sendfile")


def test_truncated_source(tmp):
    """A source cut off under an open file: its reads fail with EIO, others go on, the daemon lives, the status names the file."""
    model = sharded.Model().add("a", "F32", [1 << 18], sharded.Layout([2], [0])).add("b", "F32", [4], sharded.Layout([2], [-1]))
    source = saved(model, tmp)
    victim = f"{source}/rank_1/net_rank_1-1_10.safetensors"
    with lib.Mount(source) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        data = safefile.read(lib.read(path))[2]
        half = data + (1 << 19)  # the second half of "a" is rank 1's
        fd = os.open(path, os.O_RDONLY)
        os.truncate(victim, 4096)
        lib.expect_eio(lambda: direct(path, half // 4096 * 4096 + 4096, 4096), "a direct read of the truncated source")
        lib.expect_eio(lambda: direct(path, data, MIB), "a read that begins in a good source and ends in the truncated one")
        want = model.whole()["a"][2]
        lib.need(direct(path, data, 65536) == want[:65536], "rank 0's part can still be read")
        lib.need(os.pread(fd, 100, data) == want[:100], "through the file that was open before")
        status = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need(victim in status, f"the status does not name {victim}: {status}")
        lib.need(victim in lib.read(f"{root}/.gatherfs/status.json").decode(), "nor does its JSON form")
        os.close(fd)


def test_truncated_source_under_a_mapping(tmp):
    """Another process that has the file mapped gets SIGBUS or an error, never other bytes; the daemon lives."""
    model = sharded.large(rows=4096, tp=2)
    source = saved(model, tmp)
    with lib.Mount(source) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        want = whole_file(path, model)
        os.truncate(f"{source}/rank_1/net_rank_1-1_10.safetensors", 5000)
        reader = ("import mmap, sys\nf = open(sys.argv[1], 'rb')\nm = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n"
                  "for at in range(8192, len(m), 4096):\n    sys.stdout.buffer.write(m[at:at + 4096])\n    sys.stdout.buffer.flush()\n")
        done = subprocess.run([sys.executable, "-c", reader, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        lib.need(done.returncode != 0, "a reader of a truncated source ended as if all were well")
        lib.need(done.stdout == want[8192:8192 + len(done.stdout)], "bytes that are neither old nor an error")
        lib.need(os.listdir(root), "the daemon is gone")


def test_one_bad_source_of_many(tmp):
    """One read that gathers from 200 sources, one of which has changed: EIO for that read, and the daemon lives."""
    model = sharded.Model().add("w", "F32", [200, 64], sharded.Layout([200], [0, -1]))
    source = saved(model, tmp)
    for victim in (0, 63, 64, 150, 199):
        with lib.Mount(source) as root:
            path = f"{root}/model-00001-of-00001.safetensors"
            want = model.whole()["w"][2]
            lib.need(direct(path, 4096, MIB) == want, "all of it, before")
            os.utime(f"{source}/rank_{victim}/net_rank_{victim}-1_10.safetensors", (1, 1))
            lib.expect_eio(lambda: direct(path, 4096, MIB), f"a read with rank_{victim} in it")
            at = 0 if victim else 256
            lib.need(direct(path, 4096 + at, 256) == want[at:at + 256], "a rank that has not changed")


def test_rewritten_source(tmp):
    """A source written over in place (same size, later mtime) is never mixed in: EIO, and a new mount shows the new bytes."""
    model, other = sharded.small(1), sharded.small(9)
    source = saved(model, tmp)
    with lib.Mount(source) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        lib.same_tensors(safefile.read_file(path)[0], model.whole())
        other.save(source)
        lib.expect_eio(lambda: [direct(path, at, 4096) for at in range(4096, os.path.getsize(path), 4096)], "a read of a rewritten source")
    with lib.Mount(source) as root:
        lib.same_tensors(lib.tensors_of(root), other.whole())


def test_replaced_source(tmp):
    """A new file under the old name (what a save does), chmod and unlink change nothing: the old bytes are still held."""
    model, other = sharded.large(1, rows=300), sharded.large(9, rows=300)
    source = saved(model, tmp)
    with lib.Mount(source) as root:
        path = f"{root}/model-00001-of-00001.safetensors"
        other.save(f"{tmp}/new")
        for rank in range(4):
            name = f"rank_{rank}/net_rank_{rank}-1_10.safetensors"
            os.chmod(f"{source}/{name}", 0o400)
            if rank == 3:
                os.unlink(f"{source}/{name}")
            else:
                os.rename(f"{tmp}/new/{name}", f"{source}/{name}")
        lib.same_tensors(safefile.read_file(path)[0], model.whole())


if __name__ == "__main__":
    lib.main()
