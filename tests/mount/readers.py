# SPDX-License-Identifier: Apache-2.0
"""Readers of every kind that compare each byte with what it must be, and know which bytes come from a source that is spoilt.

A `Whole` is a file of a mount as it must be: its own header, then the tensors, which the test has at hand. `spoilt` marks the bytes
that one rank holds. A sweep then reads all of it, in pages, every way there is: a page without a spoilt byte must be right, and
one with them must fail with EIO, or, where it may still lie in the page cache from before, be right.
"""
import errno
import json
import mmap
import os
import random

import numpy as np

from mount import lib
from ref.draws import Units

PAGE = 4096


class Served(lib.Mount):
    """A mount with its daemon in the foreground, so that its log can be read. The value of the `with` block is itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.foreground = True

    def __enter__(self):
        self.root = super().__enter__()
        return self

    @property
    def pid(self):
        return self.process.pid

    def status(self):
        return json.loads(lib.read(f"{self.point}/.gatherfs/status.json"))

    def blames(self, path):
        """The log and both forms of the status name this file."""
        told = [p["message"] for p in self.status()["problems"]]
        lib.need(any(path in t for t in told), f"the status does not name {path}: {told}")
        lib.need(path in lib.read(f"{self.point}/.gatherfs/status").decode(), f"the text of the status does not name {path}")
        lib.need(path in self.said(), f"the log does not name {path}: {self.said()}")

    def lives(self):
        lib.need(self.process.poll() is None, f"the daemon has ended with {self.process.poll()}: {self.said()}")
        lib.need(".gatherfs" in os.listdir(self.point), "no listing")


def held_by(model, rank):
    """name -> for each byte of the tensor, whether it is taken from this rank: the first of those that hold its block."""
    out = {}
    for (_, name), layout in model.layouts.items():
        marks = out.setdefault(name, np.zeros(model.full[name][1].shape, np.uint8))
        for block, ranks in layout.groups().items():
            if ranks[0] == rank:
                layout.take(marks, block)[...] = 1
    return out


class Whole:
    """A file of a mount: its `path`, the bytes that it must have, and which of them come from `rank`."""

    def __init__(self, path, tensors, marks):
        self.path = path
        with open(path, "rb") as f:
            head = f.read(8)
            head += f.read(int.from_bytes(head, "little"))
        self.names = [n for n in json.loads(head[8:]) if n != "__metadata__"]
        lib.equal(set(self.names), set(tensors), f"names in the header of {path}")
        self.want = head + b"".join(tensors[n][2] for n in self.names)
        self.spoilt = np.concatenate([np.zeros(len(head), np.uint8)] + [np.ravel(marks[n]) for n in self.names])
        lib.equal((os.path.getsize(path), len(self.spoilt)), (len(self.want), len(self.want)), f"size of {path}")

    def is_spoilt(self, at, length):
        return bool(self.spoilt[at:at + length].any())


def wholes(root, model, rank):
    """The files of a unified view of one part, or of a rank view as `model.layouts` cut it, with the marks of a source rank."""
    marks = held_by(model, rank)
    return [Whole(f"{root}/model-00001-of-00001.safetensors", model.whole(), marks)]


def rank_wholes(root, model, target, rank):
    """The files of a rank view: `target` name -> Layout."""
    marks, out = held_by(model, rank), []
    for to in range(next(iter(target.values())).world):
        cut = {n: la.take(model.full[n][1], la.block(to)) for n, la in target.items()}
        tensors = {n: (model.full[n][0], None, Units(model.full[n][0]).pack(units)) for n, units in cut.items()}
        folder = f"{root}/rank_{to}"
        path, = [f"{folder}/{n}" for n in os.listdir(folder) if n.endswith(".safetensors")]
        out.append(Whole(path, tensors, {n: la.take(marks[n], la.block(to)) for n, la in target.items()}))
    return out


class Reader:
    """An open file and what is needed to read it in all ways. Each way takes an offset on a page and a length, and returns bytes."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        self.raw = os.open(path, os.O_RDONLY | os.O_DIRECT)
        self.map = mmap.mmap(self.fd, 0, prot=mmap.PROT_READ)
        self.view = memoryview(self.map)
        self.page = mmap.mmap(-1, 1 << 20)
        self.sink = os.memfd_create("sink")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.view.release()
        self.map.close()
        self.page.close()
        for fd in (self.fd, self.raw, self.sink):
            os.close(fd)

    def sunk(self, count):
        got = os.pread(self.sink, count, 0)
        os.ftruncate(self.sink, 0)
        return got

    def buffered(self, at, length):
        return os.pread(self.fd, length, at)

    def mapped(self, at, length):
        """The kernel touches the mapping, as a program would; where that gets SIGBUS, write() gives EFAULT."""
        try:
            return self.sunk(os.pwrite(self.sink, self.view[at:at + length], 0))
        except OSError as e:
            raise OSError(errno.EIO if e.errno == errno.EFAULT else e.errno, "through a mapping") from e

    def direct(self, at, length):
        with memoryview(self.page) as whole, whole[:length] as part:
            return bytes(part[:os.preadv(self.raw, [part], at)])

    def sendfile(self, at, length):
        os.lseek(self.sink, 0, os.SEEK_SET)
        return self.sunk(os.sendfile(self.sink, self.fd, at, length))

    def copy_file_range(self, at, length):
        """Between filesystems most kernels refuse it; whoever asks then reads."""
        try:
            return self.sunk(os.copy_file_range(self.fd, self.sink, length, at, 0))
        except OSError as e:
            if e.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            lib.equal(os.fstat(self.sink).st_size, 0, "bytes that a refused copy_file_range has copied")
            return self.buffered(at, length)

    def forget(self):
        """Drops the pages of the file that nobody has mapped."""
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)


WAYS = (Reader.buffered, Reader.mapped, Reader.direct, Reader.sendfile, Reader.copy_file_range)


def check(whole, reader, way, at, length, cached=False, whole_spoilt=True):
    """One read: 'right' or 'eio', whichever is allowed there."""
    where = f"{way.__name__} of {length} at {at} of {whole.path}"
    touched = length if way is Reader.direct else (length + PAGE - 1) // PAGE * PAGE  # whole pages are read, whoever asks for a byte
    spoilt = whole_spoilt and whole.is_spoilt(at, touched)
    try:
        got = way(reader, at, length)
    except OSError as e:
        lib.equal(e.errno, errno.EIO, where)
        lib.need(spoilt, f"{where}: EIO, where nothing has happened to the source")
        return "eio"
    want = whole.want[at:at + length]
    lib.need(got == want[:len(got)] and (got or not want), f"{where}: wrong bytes")
    lib.need(cached or not spoilt or not whole.is_spoilt(at, len(got)), f"{where}: right bytes of a source that is spoilt, from nowhere")
    return "right"


def sweep(whole, spoilt, cached=False, ways=WAYS, rng=None):
    """Reads all pages all ways, cold (or as they are: `cached`), in order or as `rng` shuffles them: how many were right and how many not.
    `spoilt`: whether the rank's bytes must fail."""
    count = {"right": 0, "eio": 0}
    for way in ways:
        with Reader(whole.path) as reader:
            pages = list(range(0, len(whole.want), PAGE))
            if rng:
                rng.shuffle(pages)
            if not cached:
                reader.forget()
            for at in pages:
                length = min(PAGE, len(whole.want) - at)
                count[check(whole, reader, way, at, length, cached, spoilt)] += 1
    return count


def pounce(whole, spoilt, rounds, seed, cached=False):
    """Reads at random, of many lengths, in ways at random."""
    rng, count = random.Random(seed), {"right": 0, "eio": 0}
    with Reader(whole.path) as reader:
        for _ in range(rounds):
            at = rng.randrange((len(whole.want) + PAGE - 1) // PAGE) * PAGE
            length = min(rng.choice((1, 512, PAGE, 8 * PAGE, 32 * PAGE, 1 << 20)), len(whole.want) - at)
            if not cached:
                reader.forget()
            count[check(whole, reader, rng.choice(WAYS), at, length, cached, spoilt)] += 1
    return count
