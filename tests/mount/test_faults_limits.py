# SPDX-License-Identifier: Apache-2.0
"""A daemon that gets no more memory and no more descriptors: right bytes or errors, no hang, and all is well again afterwards."""
import errno
import os
import random
import resource
import subprocess
import tempfile
import threading
import time

from mount import lib, readers, training
from mount.readers import Served
from ref import sharded


def saved(tmp, rows=4096):
    model = sharded.large(rows=rows)
    model.save_strategy(f"{tmp}/strategy")
    return model, model.save(f"{tmp}/checkpoint")


def size_of(pid, field):
    """Bytes: VmSize, or VmData, what it could write into."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field))


def read_at_random(whole, seed, allowed, wrong):
    """Reads in ways at random: right bytes, or EIO if errors are `allowed`, which only an open may tell otherwise; how many failed."""
    rng, failed = random.Random(seed), 0
    try:
        with readers.Reader(whole.path) as reader:
            for _ in range(60):
                at = rng.randrange(len(whole.want) // 4096) * 4096
                length = min(rng.choice((4096, 1 << 17, 1 << 20)), len(whole.want) - at)
                if rng.random() < 0.1:
                    reader.forget()
                way = rng.choice(readers.WAYS)
                try:
                    got = way(reader, at, length)
                    lib.need(got and got == whole.want[at:at + len(got)], f"{way.__name__} of {length} at {at}: wrong bytes")
                except OSError as e:
                    lib.need(e.errno == errno.EIO and allowed, f"{way.__name__}: {e}")
                    failed += 1
    except OSError as e:
        if e.errno not in allowed:
            wrong.append(e)
    except Exception as e:
        wrong.append(e)
    return failed


def crowd(whole, allowed):
    wrong = []
    threads = [threading.Thread(target=read_at_random, args=(whole, seed, allowed, wrong)) for seed in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    lib.equal(wrong, [], "what readers found")


def threads_of(mount):
    return len(os.listdir(f"/proc/{mount.pid}/task"))


def starve(tmp, field, kind, more):
    """The daemon may get `more` bytes than it has before it has read anything but a header."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    model, source = saved(tmp)
    with Served(source) as mount:
        whole, = readers.wholes(mount.root, model, 0)
        lib.wait_for(lambda: mount.status()["readahead"], "all its threads to begin")
        threads = threads_of(mount)
        resource.prlimit(mount.pid, kind, (size_of(mount.pid, field) + more, resource.RLIM_INFINITY))
        try:
            with readers.Reader(whole.path) as reader:  # one that is mapped would be made to try for ever by ENOMEM
                reader.forget()
                for at in range(0, len(whole.want), readers.PAGE):
                    try:
                        readers.Reader.mapped(reader, at, 4096)
                    except OSError as e:
                        lib.equal(e.errno, errno.EIO, "a mapped read without memory")
            crowd(whole, (errno.EIO, errno.ENOMEM))
            lib.need(mount.process.poll() is None, f"with {more} bytes more the daemon has ended: {mount.said()}")
        finally:
            resource.prlimit(mount.pid, kind, unlimited)
        readers.sweep(whole, False)
        mount.lives()
        lib.need(threads_of(mount) <= threads, "threads that answer are made while it serves, when there may be no memory for them")
        return mount.said()


def test_no_memory(tmp):
    """Memory that ends a little above what the daemon has, at many places: buffers cannot be had."""
    if os.environ.get("SANITIZED"):
        return "not tried, for a sanitizer's own memory has no such limit"
    said = ""
    for field, kind in (("VmSize", resource.RLIMIT_AS), ("VmData", resource.RLIMIT_DATA)):
        for more in (0, 1 << 16, 1 << 20, 3 << 20, 8 << 20, 9 << 20, 12 << 20, 17 << 20):
            said += starve(tmp, field, kind, more)
    lib.need("out of memory" in said, "a weak test: there was memory all the time")


def test_little_memory_in_a_cgroup(tmp):
    """The page cache of the sources counts too, and is given back: reading far more than there is works."""
    group = "/sys/fs/cgroup/memory/gatherfs-test"
    try:
        os.makedirs(group)
        lib.write(f"{group}/memory.limit_in_bytes", str(24 << 20))
    except OSError as e:
        return f"not tried: {e}"
    try:
        model, source = saved(tmp, rows=65536)
        with Served(source) as mount:
            lib.write(f"{group}/cgroup.procs", str(mount.pid))
            whole, = readers.wholes(mount.root, model, 0)
            for _ in range(3):
                readers.pounce(whole, False, 100, 1)
            lib.need(lib.read(whole.path) == whole.want, "all of it")
            mount.lives()
    finally:
        os.rmdir(group)
    return None


def test_no_descriptors(tmp):
    """At mount: a message that names the file. Later: what is open goes on, all is listed, and nothing is lost."""
    model, source = saved(tmp, rows=512)
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    for most in range(5, 14):
        done = subprocess.run(["prlimit", f"--nofile={most}", lib.PROGRAM, "mount", source, point], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60 * lib.SLOW, check=False)
        said = done.stdout.decode()
        lib.need(done.returncode in (0, 1) and (done.returncode == 0) == lib.mounted(point), f"{most} descriptors: exit code {done.returncode}, {said}")
        lib.need(done.returncode == 0 or len(said.strip().splitlines()[-1]) > 30, f"{most} descriptors: {said}")
        if lib.mounted(point):
            whole, = readers.wholes(point, model, 0)
            lib.need(lib.read(whole.path) == whole.want, f"read with {most} descriptors")
            lib.unmount(point)
    with Served(source) as mount:
        whole, = readers.wholes(mount.root, model, 0)
        used = len(os.listdir(f"/proc/{mount.pid}/fd"))
        resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, (used, resource.prlimit(mount.pid, resource.RLIMIT_NOFILE)[1]))
        readers.sweep(whole, False)
        lib.need(mount.status()["problems"] == [], "problems")
        lib.equal(sum(len(f) for _, _, f in os.walk(mount.root)) > 5, True, "names")
        mount.lives()


def test_no_descriptors_for_a_new_step(tmp):
    """It is left out with the reason, and shown as soon as there are some."""
    source = f"{tmp}/checkpoint"
    training.model(0).save_strategy(f"{tmp}/strategy")
    for rank in range(4):
        training.save(source, rank, 1)
    with Served(source, "steps=all") as mount:
        lib.wait_for(lambda: os.path.exists(f"{mount.root}/1_1"), "the first step")
        limit = resource.prlimit(mount.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, (8, limit[1]))
        for rank in range(4):
            training.save(source, rank, 2)
        for _ in range(100):
            lib.same_tensors(lib.tensors_of(f"{mount.root}/1_1"), training.model(1).whole(), "the step that was there")
            time.sleep(0.02)
        resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, limit)
        lib.wait_for(lambda: os.path.exists(f"{mount.root}/1_2"), "the second step")
        lib.same_tensors(lib.tensors_of(f"{mount.root}/1_2"), training.model(2).whole(), "the second step")
        lib.same_tensors(lib.tensors_of(f"{mount.root}/1_1"), training.model(1).whole(), "the first step")
        mount.lives()


if __name__ == "__main__":
    lib.main()
