# SPDX-License-Identifier: Apache-2.0
"""What may happen to a daemon, its mount and its readers: signals, an end by force, unmounting in the middle, mounts over mounts."""
import errno
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile

from mount import lib, readers
from mount.readers import Served
from ref import sharded

NOTHING = ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPIPE", "SIGPWR", "SIGXFSZ", "SIGWINCH", "SIGCHLD", "SIGCONT", "SIGURG")
ENDS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU")


def saved(tmp, rows=1024, seed=2):
    model = sharded.large(seed, rows=rows)
    model.save_strategy(f"{tmp}/strategy")
    return model, model.save(f"{tmp}/checkpoint")


class Crowd:
    """Processes that read at random and compare until they are told to stop, or until their mount ends, which they may say."""

    def __init__(self, path, want, ways=("buffered", "mapped", "direct", "sendfile", "copy_file_range")):
        sys.stdout.flush()
        self.path, self.want, self.stop = path, want, os.memfd_create("stop")
        ready, self.ready = os.pipe()
        self.pids = [self.start(way, seed) for seed, way in enumerate(ways)]
        os.close(self.ready)
        lib.equal(sum(len(os.read(ready, 1)) for _ in ways), len(ways), "readers that have opened their file")
        os.close(ready)

    def start(self, way, seed):
        pid = os.fork()
        if pid == 0:
            code = 9
            try:
                code = self.read(way, random.Random(seed))
            except Exception as e:
                print(f"a reader of {self.path}: {type(e).__name__}: {e}", flush=True)
            finally:
                os._exit(code)
        return pid

    def read(self, way, rng):
        """0 when all was right, 2 when the mount was gone at last; anything else is a wrong byte or an error that should not be."""
        how = getattr(readers.Reader, way)
        with readers.Reader(self.path) as reader:
            os.write(self.ready, b"!")
            while not os.fstat(self.stop).st_size:
                at = rng.randrange(len(self.want) // readers.PAGE) * readers.PAGE
                length = min(rng.choice((1, readers.PAGE, 1 << 17)), len(self.want) - at)
                if rng.random() < 0.3:
                    reader.forget()
                try:
                    got = how(reader, at, length)
                except OSError as e:
                    gone = (errno.ENOTCONN, errno.ECONNABORTED) if way != "mapped" else (errno.EIO,)
                    lib.need(e.errno in gone, f"{way}: {e}")
                    return 2
                lib.need(got and got == self.want[at:at + len(got)], f"{way} of {length} at {at}: wrong bytes")
        return 0

    def wait(self, *allowed):
        os.write(self.stop, b"!")
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self.pids]
        os.close(self.stop)
        lib.need(set(codes) <= set(allowed), f"exit codes of the readers: {codes}, allowed are {allowed}")
        return codes


def image(root, model):
    """The path of the one big file, and its bytes."""
    whole, = readers.wholes(root, model, 0)
    return whole.path, whole.want


def test_signals_that_mean_nothing(tmp):
    model, source = saved(tmp)
    for detached in (False, True):
        with (lib.Mount(source, detached=True) if detached else Served(source)) as mount:
            root = mount if detached else mount.root
            pid, = lib.daemons(root)
            crowd = Crowd(*image(root, model))
            for name in NOTHING + (signal.SIGRTMIN, signal.SIGRTMIN + 7, signal.SIGRTMAX):
                os.kill(pid, name if isinstance(name, int) else getattr(signal, name))
                lib.need(".gatherfs" in os.listdir(root), f"no listing after {name}")
            crowd.wait(0)
            lib.equal(lib.daemons(root), [pid], "the daemon")


def test_signals_that_end_it(tmp):
    """In order, whoever reads: no dead mount, exit code 0, and right bytes to the end."""
    model, source = saved(tmp)
    for name in ENDS:
        point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
        process = subprocess.Popen([lib.PROGRAM, "mount", "-f", source, point], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lib.wait_for(lambda: lib.mounted(point), "the mount")
        crowd = Crowd(*image(point, model))
        process.send_signal(getattr(signal, name))
        lib.equal(process.wait(20 * lib.SLOW), 0, f"exit code after {name}")
        lib.need(not lib.mounted(point) and not os.listdir(point), f"a dead mount after {name}")
        crowd.wait(0, 2)


def test_a_signal_while_it_mounts(tmp):
    """At any moment of a start: either there is no mount, or one that answers."""
    _, source = saved(tmp, rows=16)
    point, answered = tempfile.mkdtemp(prefix="mnt-", dir=tmp), 0
    for i in range(40):
        process = subprocess.Popen([lib.PROGRAM, "mount", "-q", source, point], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(0.0008 * i * lib.SLOW)
        except subprocess.TimeoutExpired:
            process.send_signal(random.choice((signal.SIGINT, signal.SIGTERM)))
        process.wait(20 * lib.SLOW)
        for _ in range(200):  # the daemon may be on its way
            if not lib.daemons(point) or lib.mounted(point):
                break
        if lib.mounted(point):
            os.listdir(point)
            answered += 1
            lib.unmount(point)
        lib.wait_for(lambda: not lib.daemons(point), "the daemon to end")
    return f"{answered} of 40 mounted"


def mount_refused(*args, parts):
    """Where something is mounted and shall stay."""
    code, out, err = lib.gatherfs("mount", *args)
    lib.need(code == 1 and not out and all(p in err for p in parts), f"exit code {code}, it said {out}{err}, want {parts}")


def kill(point):
    pid, = lib.daemons(point)
    os.kill(pid, signal.SIGKILL)
    lib.wait_for(lambda: not lib.runs(pid), "the daemon to die")


def test_killed_and_mounted_again(tmp):
    """Readers get right bytes to its end, and ENOTCONN then; a new mount takes the place of the dead one, be it in use or not."""
    model, source = saved(tmp)
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    lib.equal(lib.gatherfs("mount", "-q", source, point)[0], 0, "mount")
    for in_use in (False, True, True):
        crowd = Crowd(*image(point, model))
        held = os.open(f"{point}/param_name_map.json", os.O_RDONLY | os.O_DIRECT) if in_use else None
        kill(point)
        crowd.wait(0, 2)
        lib.need(lib.mounted(point), "a weak test")
        mount_refused("-o", "dry_run", source, point, parts=["process is gone"])
        code, _, said = lib.gatherfs("mount", "-q", source, point)
        lib.equal(code, 0, f"mounting over a dead mount, which said {said}")
        lib.need("cleared" in said, f"it does not say what it has done: {said}")
        lib.equal(lib.read(f"{point}/param_name_map.json")[:1], b"{", "what is there now")
        if held:
            try:
                os.read(held, 4096)
                raise AssertionError("a file of the dead mount can be read")
            except OSError as e:
                lib.equal(e.errno, errno.ENOTCONN, "reading a file of the dead mount")
            os.close(held)
    path, want = image(point, model)
    lib.need(lib.read(path) == want, "bytes of the last mount")
    lib.equal(lib.gatherfs("umount", point), (0, "", ""), "umount")


def test_killed_and_unmounted(tmp):
    """`umount` clears a dead mount, and several, one over the other."""
    _, source = saved(tmp, rows=16)
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    lib.equal(lib.gatherfs("mount", "-q", source, point)[0], 0, "mount")
    kill(point)
    lib.equal(lib.gatherfs("umount", point), (0, "", ""), "umount of a dead mount")
    lib.need(not lib.mounted(point), "still mounted")
    os.symlink(point, f"{tmp}/link")
    lib.equal(lib.gatherfs("mount", "-q", source, f"{tmp}/link")[0], 0, "mount through a link")
    kill(f"{tmp}/link")
    lib.equal(lib.gatherfs("mount", "-q", source, f"{tmp}/link")[0], 0, "mount again through a link")
    mount_refused(source, point, parts=["already"])
    lib.equal(lib.gatherfs("umount", f"{tmp}/link"), (0, "", ""), "umount through a link")
    lib.need(not lib.mounted(point), "still mounted")


def stop(pid):
    """A signal takes a moment to reach each thread."""
    def stopped():
        return all(" T " in text for text in lib.tasks(pid, "stat"))
    os.kill(pid, signal.SIGSTOP)
    lib.wait_for(stopped, "the daemon to stop")


def test_stopped(tmp):
    """A daemon that does not answer keeps nobody else from working: mount and umount say so. When it goes on, so do the readers."""
    model, source = saved(tmp)
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    for lazily in (False, True):
        lib.equal(lib.gatherfs("mount", "-q", source, point)[0], 0, "mount")
        pid, = lib.daemons(point)
        crowd = Crowd(*image(point, model))
        stop(pid)
        mount_refused(source, point, parts=["already", "does not answer"])
        said = lib.refused("umount", point, parts=["busy"])
        lib.need(all(f"pid {p}:" in said for p in crowd.pids), f"its readers {crowd.pids} are not named: {said}")
        if lazily:
            lib.equal(lib.gatherfs("umount", "-l", point), (0, "", ""), "umount -l")
            lib.need(not os.listdir(point), "the mount is still in the tree")
        os.kill(pid, signal.SIGCONT)
        crowd.wait(0)
        if not lazily:
            lib.unmount(point)
        lib.wait_for(lambda: not lib.runs(pid), "the daemon to end")


def test_killed_while_it_is_asked(tmp):
    """A mount whose daemon dies before it has said whether it is there is a dead one."""
    _, source = saved(tmp, rows=16)
    point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
    for _ in range(5):
        lib.equal(lib.gatherfs("mount", "-q", source, point)[0], 0, "mount")
        pid, = lib.daemons(point)
        stop(pid)
        second = subprocess.Popen([lib.PROGRAM, "mount", source, point], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lib.wait_for(lambda: asks(second.pid), "the second mount to ask the first")
        os.kill(pid, signal.SIGKILL)
        _, said = second.communicate(timeout=20 * lib.SLOW)
        if "does not answer" not in said:  # it does not ask for ever
            break
    lib.need(second.returncode == 0 and "cleared" in said, f"exit code {second.returncode}, it said {said}")
    lib.equal(lib.gatherfs("umount", point), (0, "", ""), "umount")


def asks(pid):
    """Whether a child of the process waits, as one does that asks a mount which does not answer."""
    children = lib.read(f"/proc/{pid}/task/{pid}/children").split()
    return any(b") S " in lib.read(f"/proc/{int(child)}/stat") for child in children)


def test_unmounted_while_it_is_read(tmp):
    model, source = saved(tmp)
    for flag in ("-l", "-z"):
        point = tempfile.mkdtemp(prefix="mnt-", dir=tmp)
        lib.equal(lib.gatherfs("mount", "-q", source, point)[0], 0, "mount")
        pid, = lib.daemons(point)
        crowd = Crowd(*image(point, model))
        lib.refused("umount", point, parts=["busy"])
        subprocess.run([lib.PROGRAM, "umount", "-l", point] if flag == "-l" else ["fusermount3", "-u", "-z", point], check=True)
        lib.equal(lib.gatherfs("mount", "-q", source, point)[0], 0, "a second mount beside the one that is still read")
        crowd.wait(0)
        lib.wait_for(lambda: not lib.runs(pid), "the first daemon to end")
        lib.unmount(point)


def test_readers_fork_and_exec(tmp):
    """A descriptor and a mapping are as good in a child, and a descriptor in another program."""
    model, source = saved(tmp)
    with Served(source) as mount:
        path, want = image(mount.root, model)
        with readers.Reader(path) as reader:
            children = []
            for _ in range(8):
                pid = os.fork()
                if pid == 0:
                    reader.sink = os.memfd_create("of this child")
                    ok = all(way(reader, at, 8192) == want[at:at + 8192] for way in readers.WAYS[:2] for at in range(0, len(want) - 8192, 8192))
                    os._exit(0 if ok else 1)
                children.append(pid)
            said = [subprocess.Popen(["cat"], stdin=open(path, "rb"), stdout=subprocess.PIPE) for _ in range(3)]
            lib.need(all(p.communicate()[0] == want for p in said), "what another program reads")
            lib.equal([os.waitpid(pid, 0)[1] for pid in children], [0] * 8, "children that read what they inherited")
        mount.lives()


def test_readers_are_killed(tmp):
    """In the middle of whatever they do: nothing of theirs stays with the daemon."""
    model, source = saved(tmp)
    with Served(source, "header_cache=off") as mount:  # whose file is open for a moment
        path, want = image(mount.root, model)
        Crowd(path, want).wait(0)

        def held():
            return len(os.listdir(f"/proc/{mount.pid}/fd"))

        before = held()
        for i in range(10):
            crowd = Crowd(path, want)
            subprocess.run(["sleep", str(0.005 * i)], check=True)
            for pid in crowd.pids:
                os.kill(pid, signal.SIGKILL)
            crowd.wait(-signal.SIGKILL)
        Crowd(path, want).wait(0)
        lib.wait_for(lambda: held() <= before, "the daemon to have as many descriptors as before; that to the process that reads ahead goes with it")
        mount.lives()


def test_two_mounts_of_one_source(tmp):
    """They know nothing of each other: one may end, or be killed, and a spoilt source is told by both."""
    model, source = saved(tmp)
    victim = f"{source}/rank_1/net_rank_1-1_10.safetensors"
    with Served(source) as first, Served(source, "to=same") as second:
        with Served(source) as third:
            lib.need(lib.read(image(third.root, model)[0]) == lib.read(image(first.root, model)[0]), "two mounts of one source differ")
            crowd = Crowd(*image(third.root, model))
            third.process.send_signal(signal.SIGKILL)
            third.process.wait()
            crowd.wait(0, 2)
            lib.equal(lib.gatherfs("umount", third.root)[0], 0, "umount of the dead one")
            third.process = None
        whole, = readers.wholes(first.root, model, 1)
        readers.sweep(whole, False)
        os.truncate(victim, 100)
        readers.sweep(whole, True)
        with open(f"{second.root}/rank_1/{os.path.basename(victim)}", "rb") as f:
            try:
                f.read()
                raise AssertionError("a truncated shard can be read")
            except OSError as e:
                lib.equal(e.errno, errno.EIO, "reading a truncated shard")
        for mount in (first, second):
            mount.lives()
            mount.blames(victim)


def test_a_mount_over_a_mount(tmp):
    model, source = saved(tmp, rows=64)
    with Served(source) as mount:
        path, want = image(mount.root, model)
        mount_refused(source, mount.root, parts=[mount.root, "already"])
        if os.geteuid() != 0:
            return "only ours, for another needs root"
        with readers.Reader(path) as reader:
            subprocess.run(["mount", "-t", "tmpfs", "none", mount.root], check=True)
            try:
                lib.need(reader.direct(0, 4096) == want[:4096], "a file that was open before")
                lib.refused("umount", mount.root, parts=["no gatherfs mount"])
                lib.equal(lib.gatherfs("mount", "-q", source, mount.root)[0], 0, "a mount over another filesystem")
                lib.need(lib.read(path) == want, "the mount over it")
                lib.equal(lib.gatherfs("umount", mount.root), (0, "", ""), "umount of the topmost")
                with mmap.mmap(reader.fd, 0, prot=mmap.PROT_READ) as m:
                    lib.need(m[:] == want, "a mapping below")
            finally:
                subprocess.run(["umount", mount.root], check=True)
        lib.need(lib.read(path) == want, "the first mount, uncovered")
        mount.lives()
    return None


if __name__ == "__main__":
    lib.main()
