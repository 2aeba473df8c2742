# SPDX-License-Identifier: Apache-2.0
"""A source on a storage that answers nothing: the mount says what it waits for, ends by any signal, and goes on when the storage does."""
import os
import signal
import subprocess

from mount import lib
from mount.faulty import Storage
from ref import safefile

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
