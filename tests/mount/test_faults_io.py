# SPDX-License-Identifier: Apache-2.0
"""Storage that fails, answers in parts, takes its time, or goes away under a mount."""
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

from mount import faulty, lib, readers
from mount.readers import Served
from mount.test_faults import TARGET, VICTIM, model
from ref import strategy_pb


def saved(tmp):
    """A checkpoint beside the place where its storage is shown, and the options of a unified and of a rank view."""
    m = model()
    m.save(f"{tmp}/disk/checkpoint")
    m.save_strategy(f"{tmp}/disk/strategy")
    to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged({(0, n): la for n, la in TARGET.items()}))
    return m, ((), (f"to={to}",))


def wholes(m, mount, options):
    return readers.rank_wholes(mount.root, m, TARGET, VICTIM) if options else readers.wholes(mount.root, m, VICTIM)


def read_all(m, mount, options, spoilt=False, rounds=60):
    for i, whole in enumerate(wholes(m, mount, options)):
        count = readers.sweep(whole, spoilt, ways=readers.WAYS[:4])
        lib.need((count["eio"] > 0) == spoilt, f"{count}")
        readers.pounce(whole, spoilt, rounds, i)


def each(tmp, what):
    """Calls `what` with the storage, for a unified and a rank view, on cached and on uncached storage."""
    m, views = saved(tmp)
    for direct in (0, 1):
        with faulty.Storage(f"{tmp}/disk", "attr_timeout=0") as storage:
            storage.tell(direct=direct)
            for options in views:
                with Served(f"{storage.point}/checkpoint", f"strategy={storage.point}/strategy", *options) as mount:
                    what(m, storage, mount, options)
                    mount.lives()
                storage.tell(only="", eio=0, short=0, delay_us=0, hang=0)


def forget(storage):
    """Nothing of the storage stays in the page cache."""
    for folder, _, names in os.walk(storage.point):
        for name in names:
            fd = os.open(f"{folder}/{name}", os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def test_short_reads(tmp):
    """A read may give less than it was asked for; what is missing is asked for again. Not so a page, so nothing here is mapped."""
    m, _ = saved(tmp)
    with faulty.Storage(f"{tmp}/disk", "attr_timeout=0") as storage:
        storage.tell(direct=1)
        with Served(f"{storage.point}/checkpoint", f"strategy={storage.point}/strategy") as mount:
            storage.tell(short=-1)
            read_all(m, mount, ())
            storage.tell(short=0)
            lib.equal(mount.status()["problems"], [], "problems")


def test_slow_reads(tmp):
    """Many readers at once wait, and every one gets its bytes; the mount answers all else meanwhile."""
    def slow(m, storage, mount, options):
        storage.tell(delay_us=20000)
        wrong = []

        def work(seed):
            try:
                for whole in wholes(m, mount, options)[:1]:
                    readers.pounce(whole, False, 6, seed)
            except Exception as e:
                wrong.append(e)
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            lib.need(os.listdir(mount.root) and mount.status()["problems"] == [], "the mount")
            time.sleep(0.05)
        lib.equal(wrong, [], "readers")
    each(tmp, slow)


def test_errors(tmp):
    """EIO from one file is EIO for its ranges alone, and is told; when it has gone all is right again, though its pages were not."""
    def fail(m, storage, mount, options):
        forget(storage)
        storage.tell(only=f"rank_{VICTIM}/", eio=-1)
        for i, whole in enumerate(wholes(m, mount, options)):
            count = readers.sweep(whole, True, ways=readers.WAYS[:4])
            lib.need(count["eio"] > 0, "a weak test")
            readers.pounce(whole, True, 60, i)
        mount.blames(f"rank_{VICTIM}/")
        storage.tell(eio=0)
        read_all(m, mount, options)
    each(tmp, fail)


def test_one_error(tmp):
    """One failed read in between harms one request."""
    def fail_once(m, storage, mount, options):
        for whole in wholes(m, mount, options):
            for _ in range(5):
                forget(storage)
                storage.tell(only=f"rank_{VICTIM}/", eio=1)
                count = readers.sweep(whole, True, cached=True, ways=readers.WAYS[2:3])
                lib.need(count["eio"] <= 3 and count["right"] > 10, f"{count}")
                storage.tell(eio=0)
        read_all(m, mount, options, rounds=10)
    each(tmp, fail_once)


def test_hang(tmp):
    """A source that hangs holds up who reads it, and when it goes on they get their bytes; a reader that is killed is no harm."""
    m, views = saved(tmp)
    with faulty.Storage(f"{tmp}/disk", "attr_timeout=0") as storage:
        storage.tell(direct=1)
        with Served(f"{storage.point}/checkpoint", f"strategy={storage.point}/strategy", *views[0]) as mount:
            whole, = wholes(m, mount, ())
            with readers.Reader(whole.path) as reader:
                reader.forget()
            storage.tell(only=f"rank_{VICTIM}/", hang=1)
            spoilt = next(at for at in reversed(range(0, len(whole.want), 4096)) if whole.is_spoilt(at, 1))
            stuck = [subprocess.Popen([sys.executable, "-c", f"import os; os.pread(os.open({whole.path!r}, 0), 4096, {spoilt})"]) for _ in range(2)]
            lib.wait_for(lambda: storage.said()["now"] > 0, "a read to hang")
            good = next(at for at in range(0, len(whole.want), 4096) if not whole.is_spoilt(at, 4096))
            with readers.Reader(whole.path) as reader:
                lib.need(reader.direct(good, 4096) == whole.want[good:good + 4096], "what hangs not")
            lib.need(os.listdir(mount.root) and mount.status(), "listing and status")
            stuck[0].send_signal(signal.SIGKILL)
            storage.tell(hang=0)
            lib.equal([p.wait(20 * lib.SLOW) for p in stuck], [-signal.SIGKILL, 0], "the readers")
            read_all(m, mount, ())
            mount.lives()


def test_more_hang_than_threads(tmp):
    """Readers of a source that hangs, more than there are threads that answer: the rest of the mount goes on, and they get their bytes in the end."""
    m, views = saved(tmp)
    with faulty.Storage(f"{tmp}/disk", "attr_timeout=0") as storage:
        storage.tell(direct=1)
        with Served(f"{storage.point}/checkpoint", f"strategy={storage.point}/strategy", "max_threads=2", "cache_budget=off", *views[0]) as mount:
            whole, = wholes(m, mount, ())
            storage.tell(only=f"rank_{VICTIM}/", hang=1)
            spoilt = [at for at in range(0, len(whole.want) - 4096, 4096) if whole.is_spoilt(at, 1)][:5]
            stuck = [subprocess.Popen(["dd", f"if={whole.path}", "iflag=direct", "bs=4096", f"skip={at // 4096}", "count=1", "status=none"],
                                      stdout=subprocess.PIPE) for at in spoilt]
            lib.wait_for(lambda: storage.said()["now"] == len(stuck), "all reads to hang", 30)
            good = next(at for at in range(0, len(whole.want), 4096) if not whole.is_spoilt(at, 4096))
            with readers.Reader(whole.path) as reader:
                lib.need(reader.direct(good, 4096) == whole.want[good:good + 4096], "what hangs not")
            lib.need(os.listdir(mount.root) and mount.status(), "listing and status")
            storage.tell(hang=0)
            for at, process in zip(spoilt, stuck):
                lib.need(process.communicate()[0] == whole.want[at:at + 4096], f"the reader at {at}")
            read_all(m, mount, ())
            mount.lives()


def test_storage_dies(tmp):
    """Nothing can be read any more: EIO for what is not in a cache, and a status that names a file; the mount itself lives."""
    m, views = saved(tmp)
    for options in views:
        with faulty.Storage(f"{tmp}/disk") as storage:
            with Served(f"{storage.point}/checkpoint", f"strategy={storage.point}/strategy", *options) as mount:
                files = wholes(m, mount, options)
                forget(storage)
                storage.server.kill()
                storage.server.wait()
                for whole in files:
                    whole.spoilt[:] = 1
                    count = readers.sweep(whole, True, cached=True, ways=readers.WAYS[2:3], rng=random.Random(1))
                    lib.need(count["eio"] > count["right"], f"a weak test: {count}")
                    readers.sweep(whole, True, cached=True, ways=readers.WAYS[:2])
                mount.blames(storage.point)
                mount.lives()


def test_source_filesystem_unmounted_lazily(tmp):
    """It lives as long as its files are open, and so do all their bytes."""
    if os.geteuid() != 0:
        return "not tried, for it needs root"
    m, views = saved(tmp)
    for options in views:
        disk = f"{tmp}/tmpfs"
        os.makedirs(disk, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
        try:
            shutil.copytree(f"{tmp}/disk", disk, dirs_exist_ok=True)
            with Served(f"{disk}/checkpoint", f"strategy={disk}/strategy", *options) as mount:
                subprocess.run(["umount", "-l", disk], check=True)
                lib.equal(os.listdir(disk), [], "a weak test")
                read_all(m, mount, options)
                lib.equal(mount.status()["problems"], [], "problems")
                mount.lives()
        finally:
            subprocess.run(["umount", "-l", disk], check=False, stderr=subprocess.DEVNULL)
    return None


if __name__ == "__main__":
    lib.main()
