# SPDX-License-Identifier: Apache-2.0
"""Sources on slow storage: what is read of them, how much at the same time, and what a fault does."""
import errno
import os

from mount import faulty, lib
from ref import sharded


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def test_faults(tmp):
    """Slow, failing and short reads of the storage: whole bytes or EIO, and whole bytes again when the fault is over."""
    model = sharded.large(rows=512)
    saved(model, tmp)
    with faulty.Storage(tmp) as storage, lib.Mount(f"{storage.point}/checkpoint") as root:
        path, = (f"{root}/{name}" for name in os.listdir(root) if name.startswith("model-"))
        storage.tell(direct=0, only="rank_1", eio=-1)
        try:
            lib.read(path)
            raise AssertionError("a read of a source that gives EIO went through")
        except OSError as e:
            lib.equal(e.errno, errno.EIO, "a source that gives EIO")
        storage.tell(eio=0, delay_us=1000, reset=1)
        lib.same_tensors(lib.tensors_of(root), model.whole())
        lib.need(storage.said()["reads"] > 0, "the storage has counted nothing")


if __name__ == "__main__":
    lib.main()
