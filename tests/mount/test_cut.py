# SPDX-License-Identifier: Apache-2.0
"""Sources that are cut off while they are being read: a reader gets old bytes or an error, whatever way the bytes take, is never left
waiting, and the daemon lives on."""
import errno
import mmap
import os
import random
import subprocess
import sys
import threading
import time

from mount import lib
from mount.test_reads import saved, whole_file
from ref import sharded

MIB = 1 << 20
ROUNDS = 6

# A program that maps a file and says of each page whether it is as it should be; it ends by SIGBUS at one that cannot be read.
MAPPING = """import mmap, sys
want = open(sys.argv[2], 'rb').read()
f = open(sys.argv[1], 'rb')
m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
print('mapped', flush=True)
while True:
    for at in range(0, len(want), 4096):
        if m[at:at + 4096] != want[at:at + 4096]:
            print('wrong at', at, flush=True)
"""


def model_of_all_ways():
    """Blocks, short rows, long rows, and tensors of a few bytes."""
    model, down, across = sharded.Model(), sharded.Layout([2], [0, -1]), sharded.Layout([2], [-1, 0])
    model.add("blocks", "F32", [1024, 512], down).add("rows", "F32", [4096, 128], across).add("long", "F32", [32, 16384], across)
    return model.add("small", "F32", [30], sharded.Layout([2], [-1]))


class Readers:
    """Threads that read a file over and over, each from a place of its own; what they found is in `wrong`."""

    def __init__(self, path, want, count=3):
        self.path, self.want, self.ends, self.wrong, self.failed = path, want, False, [], 0
        self.threads = [threading.Thread(target=self.read, args=(i,)) for i in range(count)]
        for t in self.threads:
            t.start()

    def read(self, seed):
        rng, fd = random.Random(seed), os.open(self.path, os.O_RDONLY | (0 if seed == 0 else os.O_DIRECT))
        with mmap.mmap(-1, MIB) as buffer:
            while not self.ends:
                at, length = rng.randrange(len(self.want)) // 4096 * 4096, rng.choice([4096, 131072, MIB])
                try:
                    n = os.preadv(fd, [memoryview(buffer)[:length]], at)
                except OSError as e:
                    self.failed += 1
                    if e.errno != errno.EIO:
                        self.wrong.append(e)
                    continue
                if n == 0 or buffer[:n] != self.want[at:at + n]:
                    self.wrong.append((at, length, n))
        os.close(fd)

    def end(self):
        self.ends = True
        for t in self.threads:
            t.join(20 * lib.SLOW)
            lib.need(not t.is_alive(), "a reader hangs")


def cut_under_readers(tmp, path_in, options, source, victim, seed):
    rng, whole = random.Random(seed), lib.read(victim)
    for _ in range(ROUNDS):
        with lib.Mount(source, *options) as root:
            path = f"{root}/{path_in}"
            want = lib.read(path)
            lib.write(f"{tmp}/want", want)
            readers = Readers(path, want)
            time.sleep(rng.random() / 50)
            os.truncate(victim, rng.randrange(1, len(whole) // 4096 // 2) * 4096)
            lib.wait_for(lambda: readers.failed > 2 or readers.wrong, "an error of a reader")
            readers.end()
            lib.equal(readers.wrong[:3], [], f"{options}: reads that are neither old bytes nor EIO")
            lib.need(os.listdir(root), "the daemon is gone")
        lib.write(victim, whole)


def test_gathered(tmp):
    source = saved(model_of_all_ways(), tmp)
    cut_under_readers(tmp, "model-00001-of-00001.safetensors", [], source, f"{source}/rank_1/net_rank_1-1_10.safetensors", 1)


def test_direct_io(tmp):
    source = saved(model_of_all_ways(), tmp)
    cut_under_readers(tmp, "model-00001-of-00001.safetensors", ["direct_io"], source, f"{source}/rank_0/net_rank_0-1_10.safetensors", 2)


def test_trusted(tmp):
    """The file is cut at the end of a page, so not even trusting shows zeros."""
    source = saved(model_of_all_ways(), tmp)
    cut_under_readers(tmp, "model-00001-of-00001.safetensors", ["trust_sources", "direct_io"], source,
                      f"{source}/rank_1/net_rank_1-1_10.safetensors", 3)


def test_split_from_a_mapping(tmp):
    """Rows that are copied from a mapped source: the daemon itself meets the SIGBUS."""
    cut = sharded.Layout([8], [-1, 0])
    model = sharded.Model().add("w", "F32", [1024, 2048], sharded.Layout([1], [-1, -1]))
    source = saved(model, tmp)
    sharded.Model().add("w", "F32", [1024, 2048], cut).save_strategy(f"{tmp}/target")
    for options in ([], ["trust_sources"]):
        cut_under_readers(tmp, "rank_3/net_rank_3-1_10.safetensors", [f"to={tmp}/target", *options], source,
                          f"{source}/rank_0/net_rank_0-1_10.safetensors", 4)


def test_mapped_readers(tmp):
    """Other processes that map the file meet their SIGBUS, and nothing that is wrong before."""
    model = model_of_all_ways()
    source = saved(model, tmp)
    victim = f"{source}/rank_1/net_rank_1-1_10.safetensors"
    whole = lib.read(victim)
    for options in ([], ["direct_io"], ["trust_sources"]):
        with lib.Mount(source, *options) as root:
            path = f"{root}/model-00001-of-00001.safetensors"
            lib.write(f"{tmp}/want", whole_file(path, model))
            started = [subprocess.Popen([sys.executable, "-c", MAPPING, path, f"{tmp}/want"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
            for p in started:
                lib.equal(p.stdout.readline(), "mapped\n", "what a reader says")
            os.truncate(victim, 8192)
            with open(path, "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            wrong = []
            for p in started:
                try:
                    wrong.append(p.communicate(timeout=1)[0])  # all pages may be in the page cache already: then it goes on
                except subprocess.TimeoutExpired:
                    p.kill()
                    wrong.append(p.communicate()[0])
            lib.equal(wrong, ["", ""], f"{options}: what readers say of wrong bytes")
            lib.need(os.listdir(root), "the daemon is gone")
        lib.write(victim, whole)


if __name__ == "__main__":
    lib.main()
