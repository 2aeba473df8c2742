#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything at once, at random, for as long as wanted: 32 processes that read four mounts in all ways and compare each byte, while
things happen to them, to the daemons and to the sources. Limits on what a daemon takes are looked at all the time.

usage: soak.py [SECONDS [SEED]]

The mounts: `unified`, `ranks` and `renamed` of sources that stay, where every read must be right; `spoilt`, whose sources are written over,
cut off and put back, and whose daemon is killed, where a read is right or fails; and `live`, which follows a training. What a mount must hold
comes from the model that its sources were cut from, which knows nothing of gatherfs. A seed says what happens in which order.
"""
import ctypes
import fcntl
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time

from mount import lib, readers, test_faults, training
from mount.readers import Served
from mount.test_faults import VICTIM, overwrite
from ref import strategy_pb
from ref.sharded import Layout

PROCESSES = 32
RSS, FDS, THREADS = 48 << 10, 160, 48  # KiB of its own, and numbers, that no daemon may exceed


class Counts:
    """What each process has done: (operations, bytes compared, errors that were allowed), in memory that all share."""

    def __init__(self):
        self.memory = mmap.mmap(-1, PROCESSES * 24)

    def add(self, slot, *more):
        now = struct.unpack_from("3Q", self.memory, slot * 24)
        struct.pack_into("3Q", self.memory, slot * 24, *(a + b for a, b in zip(now, more)))

    def sums(self):
        return [sum(struct.unpack_from("Q", self.memory, slot * 24 + 8 * i)[0] for slot in range(PROCESSES)) for i in range(3)]


TARGET = {**test_faults.TARGET, "large": Layout([2], [0, -1])}


def model():
    """That of the faults, and a tensor that is long enough for a reader to be known as one who goes down."""
    return test_faults.model().add("large", "F32", [1536, 1024], Layout([4], [0, -1]))


class World:
    """The sources and the mounts."""

    def __init__(self, tmp):
        self.lock = os.memfd_create("lock")
        self.tmp, self.model, self.source = tmp, model(), f"{tmp}/checkpoint"
        self.model.save(self.source)
        self.model.save_strategy(f"{tmp}/strategy")
        self.spoilt = f"{tmp}/spoilt/checkpoint"
        self.model.save(self.spoilt)
        self.victim = f"{self.spoilt}/rank_{VICTIM}/net_rank_{VICTIM}-1_10.safetensors"
        self.live = f"{tmp}/live/checkpoint"
        training.model(0).save_strategy(f"{tmp}/live/strategy")
        for rank in range(4):
            training.save(self.live, rank, 1)
        to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged({(0, n): la for n, la in TARGET.items()}))
        rules = lib.write(f"{tmp}/rules", r"^(.*)$ net.\1" + "\n")
        strategy = f"strategy={tmp}/strategy"
        self.mounts = {"unified": Served(self.source, strategy), "ranks": Served(self.source, strategy, f"to={to}"),
                       "renamed": Served(self.source, strategy, f"rename={rules}"), "spoilt": Served(self.spoilt, strategy),
                       "live": Served(self.live, "steps=all")}

    def __enter__(self):
        for m in self.mounts.values():
            m.__enter__()
        root = {name: m.root for name, m in self.mounts.items()}
        plain = readers.wholes(root["unified"], self.model, VICTIM)
        named = {f"net.{n}": t for n, t in self.model.whole().items()}
        marks = {f"net.{n}": t for n, t in readers.held_by(self.model, VICTIM).items()}
        self.files = plain + readers.rank_wholes(root["ranks"], self.model, TARGET, VICTIM)
        self.files.append(readers.Whole(f"{root['renamed']}/model-00001-of-00001.safetensors", named, marks))
        self.spoilt_file = readers.wholes(root["spoilt"], self.model, VICTIM)[0]
        return self

    def __exit__(self, *_):
        for m in self.mounts.values():
            m.__exit__()


def forget(world, reader):
    """One process at a time: the kernel lets everybody else wait for ever in this call, where not even SIGKILL is heard."""
    try:
        fcntl.lockf(world.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    reader.forget()
    fcntl.lockf(world.lock, fcntl.LOCK_UN)


def read_some(world, file, rng, reader):
    """Bytes compared in one read that must be right."""
    at = rng.randrange((len(file.want) + 4095) // 4096) * 4096
    length = min(rng.choice((1, 4096, 32768, 1 << 17, 1 << 20)), len(file.want) - at)
    if rng.random() < 0.02:
        forget(world, reader)
    readers.check(file, reader, rng.choice(readers.WAYS), at, length, whole_spoilt=False)
    return length


def go_down(world, file, rng, reader):
    """Through a mapping from the end of a file, or from some place, as a program that copies does."""
    forget(world, reader)
    end = rng.choice((len(file.want), rng.randrange(len(file.want)))) // 4096 * 4096
    for at in range(end - 4096, -1, -4096):
        readers.check(file, reader, readers.Reader.mapped, at, 4096, whole_spoilt=False)
    return end


def fork_and_read(world, file, rng):
    """A child with what it inherits, and another program."""
    with readers.Reader(file.path) as reader:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if read_some(world, file, rng, reader) else 1
            finally:
                os._exit(code)
        lib.equal(os.waitpid(pid, 0)[1], 0, "a child that reads what it inherited")
    lib.need(subprocess.run(["cat", file.path], stdout=subprocess.PIPE, check=True).stdout == file.want, f"cat {file.path}")
    return len(file.want)


def look_around(world, rng):
    root = rng.choice([m.root for name, m in world.mounts.items() if name not in ("spoilt", "live")])
    names = [os.path.join(d, n) for d, _, files in os.walk(root) for n in files]
    lib.need(len(names) > 4, f"names in {root}")
    for path in rng.sample(names, 4):
        lib.need(lib.read(path) or not os.path.getsize(path), f"{path} is empty")


def steady(world, rng, count):
    """One round of a reader of the mounts where nothing may fail."""
    what = rng.random()
    if what < 0.05:
        count(1, fork_and_read(world, rng.choice(world.files), rng), 0)
    elif what < 0.1:
        look_around(world, rng)
        count(1, 0, 0)
    elif what < 0.15:
        file = rng.choice(world.files)
        with readers.Reader(file.path) as reader:
            count(1, go_down(world, file, rng, reader), 0)
    else:
        file = rng.choice(world.files)
        with readers.Reader(file.path) as reader:
            for _ in range(rng.randrange(1, 30)):
                count(1, read_some(world, file, rng, reader), 0)


def doubtful(world, rng, count):
    """One of the mount that is spoilt and killed: never a wrong byte."""
    file = world.spoilt_file
    try:
        with readers.Reader(file.path) as reader:
            for _ in range(rng.randrange(1, 30)):
                at = rng.randrange(len(file.want) // 4096) * 4096
                got = rng.choice(readers.WAYS)(reader, at, 4096)
                lib.need(got == file.want[at:at + len(got)], f"wrong bytes at {at} of {file.path}")
                count(1, len(got), 0)
    except (OSError, ValueError):  # gone, spoilt, or being mounted anew
        count(1, 0, 1)
        time.sleep(0.01)


def following(world, rng, count):
    """One of the mount that follows a training: the newest step, whole, or a step that is gone meanwhile."""
    root = world.mounts["live"].root
    try:
        step = int(os.readlink(f"{root}/latest").split("_")[1])
        got = lib.tensors_of(f"{root}/1_{step}")
    except OSError as e:
        lib.need(isinstance(e, FileNotFoundError), f"live: {e}")
        count(1, 0, 1)
        return
    lib.same_tensors(got, training.model(step).whole(), f"step {step}")
    count(1, sum(len(t[2]) for t in got.values()), 0)


def start(world, counts, slot, seed):
    sys.stdout.flush()
    pid = os.fork()
    if pid > 0:
        return pid
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nobody reads on when the soak itself is killed
    rng, role, code = random.Random(seed), (steady, steady, steady, doubtful, steady, steady, following, doubtful)[slot % 8], 9
    try:
        while True:
            role(world, rng, lambda *more: counts.add(slot, *more))
    except Exception as e:
        print(f"process {slot}, {role.__name__}: {type(e).__name__}: {e}", flush=True)
    finally:
        os._exit(code)


def limits(world):
    """What each daemon takes now; more than it may is a failure."""
    worst = [0, 0, 0]
    for name, m in world.mounts.items():
        if m.process.poll() is not None:
            continue
        text = lib.read(f"/proc/{m.pid}/status").decode()
        now = [int(text.split("RssAnon:")[1].split()[0]), len(os.listdir(f"/proc/{m.pid}/fd")), int(text.split("Threads:")[1].split()[0])]
        lib.need((lib.SLOW > 1 or now[0] < RSS) and now[1] < FDS and now[2] < THREADS, f"{name} takes {now} of KiB, descriptors, threads")
        worst = [max(a, b) for a, b in zip(worst, now)]
    return worst


def answers(mount):
    """The new daemon, not the dead one whose place it takes."""
    try:
        return mount.status()["process"] == mount.pid
    except OSError:
        lib.need(mount.process.poll() is None, f"the new daemon has ended: {mount.said()}")
        return False


def put_back(world):
    """The sources as they were, under a new mount of them on the same point; the old one may be dead, alive, or in use."""
    mount = world.mounts["spoilt"]
    if mount.process.poll() is None:
        subprocess.run([lib.PROGRAM, "umount", "-l", mount.root], check=True)
        mount.old = getattr(mount, "old", []) + [(mount.process, mount.log)]
    world.model.save(world.spoilt + ".new")
    subprocess.run(["rm", "-rf", world.spoilt], check=True)
    os.rename(world.spoilt + ".new", world.spoilt)
    code, said = mount.stay()
    lib.equal(code, 0, f"mounting again, which said {said}")
    lib.wait_for(lambda: answers(mount), "the new mount")


def kill_spoilt(world, _):
    world.mounts["spoilt"].process.kill()
    world.mounts["spoilt"].process.wait()
    put_back(world)


def spoil(world, rng):
    what = rng.randrange(4)
    if what == 0:
        os.truncate(world.victim, rng.randrange(os.path.getsize(world.victim)))
    elif what == 1:
        world.source, real = world.spoilt, world.source
        overwrite(world)
        world.source = real
    elif what == 2:
        os.utime(world.victim)
    else:
        os.unlink(world.victim)
    time.sleep(rng.random() * 0.3)
    put_back(world)


def poke(world, rng):
    os.kill(rng.choice(list(world.mounts.values())).pid, rng.choice((signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH)))


def freeze(world, rng):
    pid = rng.choice(list(world.mounts.values())).pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(rng.random() * 0.2)
    os.kill(pid, signal.SIGCONT)


def train(world, _):
    world.step = getattr(world, "step", 1) + 1
    for rank in range(4):
        training.save(world.live, rank, world.step, keep=3)


EVENTS = (kill_spoilt, spoil, spoil, poke, poke, freeze, train, train, train)


def kill_one(world, counts, pids, rng):
    slot = rng.randrange(PROCESSES)
    os.kill(pids[slot], signal.SIGKILL)
    os.waitpid(pids[slot], 0)
    pids[slot] = start(world, counts, slot, rng.random())


def soak(tmp, seconds, seed):
    rng, counts, worst, events = random.Random(seed), Counts(), [0, 0, 0], 0
    with World(tmp) as world:
        pids = [start(world, counts, slot, f"{seed} {slot}") for slot in range(PROCESSES)]
        end = time.time() + seconds
        try:
            while time.time() < end:
                kill_one(world, counts, pids, rng) if rng.random() < 0.2 else rng.choice(EVENTS)(world, rng)
                events += 1
                worst = [max(a, b) for a, b in zip(worst, limits(world))]
                ended = [slot for slot, pid in enumerate(pids) if os.waitpid(pid, os.WNOHANG)[0]]
                lib.need(not ended, f"processes {ended} have ended: what they found is told above")
                time.sleep(rng.random() * 0.2)
        finally:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except OSError:
                    pass  # it had ended
        for name in ("unified", "ranks", "renamed"):
            lib.equal(world.mounts[name].status()["problems"], [], f"problems of {name}")
        for old, log in getattr(world.mounts["spoilt"], "old", []):
            code = old.wait(20 * lib.SLOW)
            log.seek(0)
            lib.equal(code, 0, f"exit code of a daemon whose readers have gone, which said {log.read()}")
    operations, compared, errors = counts.sums()
    lib.need(operations > 100 and compared, "a weak test")
    return (f"{operations} operations, {compared >> 20} MiB compared, {errors} errors that were allowed, {events} events; at most {worst[0]} KiB, "
            f"{worst[1]} descriptors, {worst[2]} threads a daemon")


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"soak: {seconds} s, seed {seed}", flush=True)
    lib.WATCHDOG = seconds + 240 * lib.SLOW  # an event may take long where there is little else to run it on

    def test_soak(tmp):
        try:
            return soak(tmp, seconds, seed)
        except Exception as e:
            raise AssertionError(f"seed {seed}: {type(e).__name__}: {e}") from e
    signal.signal(signal.SIGALRM, lib.on_alarm)
    sys.exit(0 if lib.run_one("soak", test_soak) else 1)


if __name__ == "__main__":
    main()
