# SPDX-License-Identifier: Apache-2.0
"""A source on a storage that answers nothing: the mount says what it waits for, ends by any signal, and goes on when the storage does."""
import os
import signal
import subprocess

from mount import lib
from mount.faulty import Storage
from ref import safefile, sharded

FILE = {"w": ("F32", [2, 4], bytes(range(32)))}


def start(storage, point):
    return subprocess.Popen([lib.PROGRAM, "mount", storage.point, point], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def folder(tmp, name):
    lib.write(f"{tmp}/{name}/src/model.safetensors", safefile.write(FILE))
    os.mkdir(f"{tmp}/{name}/mnt")
    return f"{tmp}/{name}/src", f"{tmp}/{name}/mnt"


def test_ends_by_signals(tmp):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        source, point = folder(tmp, number.name)
        with Storage(source) as storage:
            storage.tell(hang=1)
            process = start(storage, point)
            lib.need("model.safetensors: still waiting" in process.stderr.readline(), "it does not say what it waits for")
            process.send_signal(number)
            lib.equal(process.wait(20 * lib.SLOW), -number, "how the mount ended")
            process.stderr.close()
            lib.need(not lib.mounted(point), "something is mounted")


def test_names_every_kind_of_file(tmp):
    """Not only weights: strategies, which several threads read, what is read whole, and folders that are listed."""
    model = sharded.large(rows=8)
    model.save_strategy(f"{tmp}/ranks/strategy")
    model.save(f"{tmp}/ranks/checkpoint")
    source, point = folder(tmp, "whole")
    lib.write(f"{source}/model.safetensors.index.json", b'{"metadata": {}, "weight_map": {"w": "model.safetensors"}}')
    for where, path, name, how in ((f"{tmp}/ranks", "/checkpoint", "_rank_0.ckpt", 1), (source, "", "model.safetensors.index.json", 1),
                                   (f"{tmp}/ranks", "/checkpoint", "/checkpoint", 2), (f"{tmp}/ranks", "/checkpoint", "/rank_2", 2)):
        with Storage(where) as storage:
            storage.tell(only=name, hang=how)
            process = subprocess.Popen([lib.PROGRAM, "mount", storage.point + path, point], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            lib.need(f"{name}: still waiting" in process.stderr.readline(), f"{name}: it does not say what it waits for")
            process.terminate()
            if how == 2:  # nothing ends a process that waits for a folder of a FUSE filesystem, not even SIGKILL
                storage.tell(hang=0)
            lib.equal(process.wait(20 * lib.SLOW), -signal.SIGTERM, "how the mount ended")
            process.stderr.close()


def test_ends_while_it_reads(tmp):
    """A source that hangs while the mount is read: asked to end, the daemon waits a little and leaves; no dead mount is left and no reader hangs."""
    source, point = folder(tmp, "a")
    with Storage(source) as storage:
        storage.tell(direct=1)  # nothing of it is in the page cache
        mount = lib.Mount(storage.point, point=point)
        lib.equal(mount.stay()[0], 0, "exit code of the mount")
        storage.tell(hang=1)
        with subprocess.Popen(["cat", f"{point}/model.safetensors"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
            lib.wait_for(lambda: storage.said()["now"] > 0, "a read that hangs")
            mount.process.terminate()
            lib.wait_for(lambda: not lib.mounted(point), "the mount to be given up", 30)
            lib.equal(reader.wait(10 * lib.SLOW), 1, "exit code of the reader")
        storage.tell(hang=0)  # not even SIGKILL ends a thread that waits for such a storage
        lib.equal(mount.process.wait(10 * lib.SLOW), 1, "exit code")
        lib.need("still being read after" in mount.said(), f"the log does not tell why it left: {mount.said()}")


def test_goes_on(tmp):
    source, point = folder(tmp, "a")
    with Storage(source) as storage:
        storage.tell(hang=1)
        process = start(storage, point)
        lib.need("model.safetensors: still waiting" in process.stderr.readline(), "it does not say what it waits for")
        storage.tell(hang=0)
        process.stderr.close()
        lib.equal(process.wait(30 * lib.SLOW), 0, "exit code")
        lib.same_tensors(lib.tensors_of(point), FILE)
        lib.unmount(point)


if __name__ == "__main__":
    lib.main()
