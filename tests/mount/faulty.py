# SPDX-License-Identifier: Apache-2.0
"""Slow and faulty storage: a folder shown by tests/faultfs.c, whose head says what it can be told."""
import json
import os
import subprocess
import tempfile

from mount import lib

PROGRAM = os.path.join(os.path.dirname(lib.PROGRAM), "tests", "faultfs")


class Storage:
    """A folder, shown by faultfs for the time of a `with` block. `point` is where."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options

    def __enter__(self):
        self.point = tempfile.mkdtemp(prefix="faulty-")
        args = [arg for option in self.options for arg in ("-o", option)]
        self.server = subprocess.Popen([PROGRAM, self.folder, self.point, *args], stdin=subprocess.DEVNULL)
        lib.wait_for(lambda: lib.mounted(self.point) or self.server.poll() is not None, "faultfs")
        lib.equal(self.server.poll(), None, "exit code of faultfs")
        return self

    def tell(self, **what):
        """delay_us=5000, eio=1 ...; `only` has to come first."""
        with open(f"{self.point}/.faults", "w") as f:
            f.write(" ".join(f"{key}={value}" for key, value in what.items()))

    def said(self):
        """reads, now, most, and log: [path, offset, length] of each read."""
        return json.loads(lib.read(f"{self.point}/.faults"))

    def __exit__(self, *exc):
        if self.server.poll() is None:
            self.tell(hang=0)
            lib.unmount(self.point)
        else:
            subprocess.run(["fusermount3", "-u", "-z", self.point], stderr=subprocess.DEVNULL)
        os.rmdir(self.point)
        self.server.wait(10 * lib.SLOW)
