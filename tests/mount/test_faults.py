# SPDX-License-Identifier: Apache-2.0
"""What may happen to a source file under a mount: every byte that readers of all kinds get is right, or they get EIO for exactly the
bytes of that source; the log and the status name it, and the daemon lives."""
import mmap
import os
import random
import shutil
import subprocess

from mount import lib, readers
from mount.readers import Served
from ref import sharded, strategy_pb
from ref.algebra import Layout

VICTIM = 1  # the rank whose file it is


def model(seed=1):
    """Whole blocks, rows of 256 bytes, rows of 16 KiB that a target splits into far apart ones, and replicas that rank 0 serves."""
    m = sharded.Model(seed).add("blocks", "F32", [512, 64], Layout([4], [0, -1])).add("columns", "F32", [512, 256], Layout([4], [-1, 0]))
    return m.add("wide", "F32", [32, 4096], Layout([4], [0, -1])).add("norm", "F32", [1000], Layout([4], [-1]))


TARGET = {"blocks": Layout([2], [-1, 0]), "columns": Layout([2], [0, -1]), "wide": Layout([2], [-1, 0]), "norm": Layout([2], [-1])}


class World:
    """A checkpoint on disk, `victim` the file of one of its ranks, and how it is shown."""

    def __init__(self, tmp, ranks):
        self.model, self.ranks, self.source = model(), ranks, f"{tmp}/checkpoint"
        shutil.rmtree(self.source, ignore_errors=True)
        self.model.save(self.source)
        self.model.save_strategy(f"{tmp}/strategy")
        self.victim = f"{self.source}/rank_{VICTIM}/net_rank_{VICTIM}-1_10.safetensors"
        to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged({(0, n): la for n, la in TARGET.items()}))
        self.options = [f"to={to}"] if ranks else []
        self.tmp = tmp

    def wholes(self, root):
        if self.ranks:
            return readers.rank_wholes(root, self.model, TARGET, VICTIM)
        return readers.wholes(root, self.model, VICTIM)


def truncate(w):
    os.truncate(w.victim, 8192)


def empty(w):
    os.truncate(w.victim, 0)


def cut_the_last_byte(w):
    os.truncate(w.victim, os.path.getsize(w.victim) - 1)


def grow(w):
    with open(w.victim, "ab") as f:
        f.write(b"more")


def overwrite(w):
    """The same size, other bytes: what rsync --inplace does, or a save into a file that is there."""
    model(9).save(w.source, only={VICTIM})


def overwrite_a_byte(w):
    with open(w.victim, "r+b") as f:
        f.seek(-9, os.SEEK_END)
        f.write(b"!")


def overwrite_through_a_mapping(w):
    with open(w.victim, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[len(m) // 2:] = bytes(len(m) - len(m) // 2)


def punch_a_hole(w):
    subprocess.run(["fallocate", "-p", "-o", "8192", "-l", "8192", w.victim], check=True)


def touch(w):
    os.utime(w.victim)


def cut_and_grow_again(w):
    size = os.path.getsize(w.victim)
    os.truncate(w.victim, 0)
    os.truncate(w.victim, size)


def replace(w):
    model(9).save(f"{w.tmp}/new", only={VICTIM})
    os.rename(f"{w.tmp}/new/rank_{VICTIM}/{os.path.basename(w.victim)}", w.victim)


def delete(w):
    os.unlink(w.victim)


def move_its_folder(w):
    os.rename(os.path.dirname(w.victim), f"{w.tmp}/moved")


def delete_all(w):
    shutil.rmtree(w.source)


def move_source(w):
    os.rename(w.source, f"{w.tmp}/elsewhere")
    model(9).save(w.source)


def forbid(w):
    os.chmod(w.victim, 0)
    if os.geteuid() == 0:
        os.chown(w.victim, 12345, 12345)
    os.chmod(os.path.dirname(w.victim), 0)


def link(w):
    os.link(w.victim, f"{w.tmp}/link-{w.ranks}")


SPOIL = (truncate, empty, cut_the_last_byte, grow, overwrite, overwrite_a_byte, overwrite_through_a_mapping, punch_a_hole, touch, cut_and_grow_again)
KEEP = (replace, delete, move_its_folder, delete_all, move_source, forbid, link)


def happen(tmp, what, spoilt, ranks):
    """`what` happens while files are open. Everything is read before, so that pages are in the cache; then as it is, then cold."""
    w = World(f"{tmp}/{what.__name__}-{ranks}", ranks)
    with Served(w.source, *w.options) as mount:
        wholes = w.wholes(mount.root)
        lib.need(any(whole.is_spoilt(0, 1 << 30) for whole in wholes), "a weak test")
        for whole in wholes:
            before = readers.sweep(whole, False)
            lib.equal(before["eio"], 0, "errors before anything has happened")
        what(w)
        for i, whole in enumerate(wholes):
            readers.sweep(whole, spoilt, cached=True, ways=readers.WAYS[:2])
            after = readers.sweep(whole, spoilt, rng=random.Random(i) if i % 2 else None)
            lib.need((after["eio"] > 0) == spoilt and after["right"] > 0, f"{what.__name__}: {after} of {whole.path}")
            readers.pounce(whole, spoilt, 100, i)
        mount.lives()
        if spoilt:
            mount.blames(w.victim)
        else:
            lib.equal(mount.status()["problems"], [], f"problems after {what.__name__}")


def happen_all(tmp, faults, spoilt):
    for ranks in (False, True):
        for what in faults:
            try:
                happen(tmp, what, spoilt, ranks)
            except AssertionError as e:
                raise AssertionError(f"{what.__name__}, {'as ranks' if ranks else 'unified'}: {e}") from e


def test_a_source_is_spoilt(tmp):
    happen_all(tmp, SPOIL, True)


def test_a_source_goes_away(tmp):
    """An open file stays what it was, whatever becomes of its name, its folder and its rights."""
    happen_all(tmp, KEEP, False)


if __name__ == "__main__":
    lib.main()
