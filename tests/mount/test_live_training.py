# SPDX-License-Identifier: Apache-2.0
"""steps=all while a training goes on: readers compare every byte, nothing grows, and the mount may end at any time."""
import os
import random
import signal
import subprocess
import sys
import time

from mount import lib, training
from mount.following import ALL, STEPS, await_steps, daemon, descriptors, same_step, series, shown, status, steps_of, strategy
from ref import safefile


class Reader:
    """A process that compares all it finds until the file `stop` is there. Prints how many steps it has compared."""

    def __init__(self, root, stop, how):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "read", root, stop, how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def join(self):
        text = self.process.communicate()[0].decode()
        lib.equal(self.process.returncode, 0, f"exit code of a reader, which said {text[-2000:]}")
        return int(text)


def read_one(folder, step):
    """One step, whatever happens to it meanwhile. False when it is gone."""
    try:
        same_step(folder, step)
        return True
    except FileNotFoundError:
        return False


def read_latest(root):
    """Through one descriptor of the folder, as one who follows the link at the beginning and then works there."""
    try:
        folder = os.open(f"{root}/latest", os.O_RDONLY)
    except FileNotFoundError:
        return False
    step = int(os.path.basename(os.readlink(f"/proc/self/fd/{folder}")).split("_")[-1].split()[0])
    tensors = {}
    for name in set(os.listdir(folder)) - {"tensors", ".gatherfs"}:  # nothing may go wrong here: the folder is open
        with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as f:
            time.sleep(random.uniform(0, 0.02))
            if name.startswith("model-"):
                tensors.update(safefile.read(f.read())[0])
    os.close(folder)
    lib.same_tensors(tensors, training.model(step).whole(), f"latest, step {step}")
    return True


def reader_main(root, stop, how):
    compared = 0
    while not os.path.exists(stop):
        if how == "latest":
            compared += read_latest(root)
        for name in sorted(steps_of(root)) if how == "all" else ():
            compared += read_one(f"{root}/{name}", int(name.split("_")[1]))
    print(compared)


def train(source, ranks, first, last, keep, pause):
    return [subprocess.Popen([sys.executable, training.__file__, source, *map(str, (rank, first, last, keep, pause))]) for rank in ranks]


def test_training(tmp):
    """Four ranks save 14 steps each and keep three, while readers compare every byte of `latest` and of all steps."""
    source = f"{tmp}/checkpoint"
    os.makedirs(source)
    strategy(tmp)
    with lib.Mount(source, STEPS) as root:
        readers = [Reader(root, f"{tmp}/stop", how) for how in ("latest", "all", "all")]
        seen = set()
        ranks = train(source, ALL, 1, 14, 3, 0.4 * lib.SLOW)
        while any(r.poll() is None for r in ranks):
            seen |= steps_of(root)
            time.sleep(0.02)
        lib.equal([r.wait() for r in ranks], [0, 0, 0, 0], "exit codes of the training")
        await_steps(root, 12, 13, 14)
        lib.equal(os.readlink(f"{root}/latest"), "1_14", "latest")
        lib.write(f"{tmp}/stop", "")
        compared = [r.join() for r in readers]
        lib.need(len(seen) > 7 and min(compared) > 7, f"a weak test: saw {len(seen)} steps, compared {compared}")
        for step in (12, 13, 14):
            same_step(f"{root}/1_{step}", step)
        lib.equal(status(root)["problems"], [], "problems")
        lib.wait_for(lambda: status(root)["retired"] == 0, "deleted steps to be freed")
    return f"saw {len(seen)} of 14 steps, compared {sum(compared)} times"


def memory(pid):
    """KiB of the process's own memory."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def read_and_leave(root):
    """Looks everywhere and reads something, so that the kernel knows as much of the steps as it ever will."""
    subprocess.run(["ls", "-lR", root], stdout=subprocess.DEVNULL, check=True)
    for folder, _, files in os.walk(root):
        for name in files:
            lib.read(f"{folder}/{name}")


def test_nothing_grows(tmp):
    """Fifty steps come and go; each is looked at while it is there."""
    source = series(tmp, {1: ALL, 2: ALL, 3: ALL})
    data = {rank: training.blob(3, rank) for rank in ALL}
    with lib.Mount(source, STEPS) as root:
        pid, size = daemon(root), {}
        for step in range(4, 54):
            for rank in ALL:
                training.save(source, rank, step, data[rank], keep=3)
            lib.wait_for(lambda: shown(root, step), f"step {step}")
            read_and_leave(root)
            if step in (13, 53):
                lib.wait_for(lambda: status(root)["retired"] == 0 and len(steps_of(root)) == 3, "deleted steps to be freed")
                size[step] = descriptors(pid), memory(pid)
        lib.equal(size[53][0], size[13][0], "descriptors")
        links = lib.links(pid)
        lib.equal([p for p in links if p.startswith(source) and p.endswith("(deleted)")], [], "deleted files that are still open")
        lib.need(lib.SLOW > 1 or size[53][1] < size[13][1] + 1024, f"memory grew from {size[13][1]} to {size[53][1]} KiB")
    return f"memory {size[13][1]} KiB after 10 steps, {size[53][1]} KiB after 50"


def test_end_while_saving(tmp):
    """Unmounted, and told to end, in the middle of saves, with readers: the daemon ends, and a new mount works."""
    source = series(tmp, {1: ALL})
    ranks = train(source, ALL, 2, 200, 2, 0.02)
    try:
        for i in range(6):
            with lib.Mount(source, STEPS) as root:
                pid = daemon(root)
                readers = [subprocess.Popen(["sh", "-c", f"while ls -lR {root}; do :; done"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
                time.sleep(random.uniform(0.2, 0.8))
                if i % 2:
                    os.kill(pid, signal.SIGTERM)
                    lib.wait_for(lambda: not lib.runs(pid), "the daemon to end")
                    lib.wait_for(lambda: not lib.mounted(root), "the mount to be gone")
                for r in readers:
                    r.kill()
                    r.wait()
    finally:
        for r in ranks:
            r.kill()
            r.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        reader_main(*sys.argv[2:])
    else:
        lib.main()
