# SPDX-License-Identifier: Apache-2.0
"""A test that hangs in a mount ends all the same, fails, and tells what everybody waited for."""
import os
import signal
import subprocess
import sys

from mount import lib
from ref import sharded


def hang(tmp):
    """Reads from a daemon that is stopped."""
    model = sharded.large(rows=4096)
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint")) as root:
        os.kill(lib.daemons(root)[0], signal.SIGSTOP)
        lib.read(f"{root}/model-00001-of-00001.safetensors")


def test_a_hang_is_told_and_ended(tmp):
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "hang"], env={**os.environ, "WATCHDOG": "5", "TMPDIR": tmp},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * lib.SLOW, check=False)
    said = done.stdout.decode()
    lib.equal(done.returncode, 1, "exit code")
    for part in ("FAIL hang: ", f"no end after {5 * lib.SLOW} s", "test_watchdog.py hang", "gatherfs mount"):
        lib.need(part in said, f"{part!r} is not told in {said}")
    lib.need(os.geteuid() != 0 or "fuse" in said and "do_signal_stop" in said, f"no stacks in {said}")
    with open("/proc/self/mounts", errors="surrogateescape") as f:
        points = [line.split()[1] for line in f if line.split()[1].startswith(tmp)]
    for point in points:
        subprocess.run(["fusermount3", "-u", "-z", point], check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["hang"]:
        signal.signal(signal.SIGALRM, lib.on_alarm)
        sys.exit(0 if lib.run_one("hang", hang) else 1)
    lib.main()
