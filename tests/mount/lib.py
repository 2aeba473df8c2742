# SPDX-License-Identifier: Apache-2.0
"""What the mount tests share. A test is a function test_*(tmp) with an empty folder of its own, and returns None, or a
remark on what it could not try here; main() runs all of a file."""
import atexit
import contextlib
import errno
import inspect
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from mount import watchdog
from ref import safefile

PROGRAM = os.path.abspath(os.environ.get("GATHERFS", "build/gatherfs"))
CACHE = tempfile.mkdtemp(prefix="gatherfs-cache-")  # never the user's own
os.environ["XDG_CACHE_HOME"] = CACHE
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
SLOW = 4 if os.environ.get("SANITIZED") else 1
WATCHDOG = int(os.environ.get("WATCHDOG", "60")) * SLOW  # seconds for one test; the runner kills the file a little later


def need(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(got, want, what):
    need(got == want, f"{what}: got {got!r}, want {want!r}")


def gatherfs(*args, timeout=30, cwd=None):
    """Runs the program to its end: (exit code, standard output, standard error)."""
    done = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                          timeout=timeout * SLOW)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def mounted(point):
    """Whether something is mounted there; among all that is mounted are names that are no UTF-8, of tests that run beside this one."""
    with open("/proc/self/mounts", errors="surrogateescape") as f:
        return any(line.split()[1].replace("\\040", " ") == point for line in f)


def unmount(point):
    """Unmounts, and waits until the daemon is gone too: its sanitizer report must be there when the test ends."""
    pids = daemons(point)
    for _ in range(100 * SLOW):
        if subprocess.run(["fusermount3", "-u", point], stderr=subprocess.DEVNULL).returncode == 0:
            break
        time.sleep(0.05)
    else:
        subprocess.run(["fusermount3", "-u", "-z", point], stderr=subprocess.DEVNULL)
        raise AssertionError(f"{point}: still busy after {5 * SLOW} seconds")
    wait_for(lambda: not any(runs(p) for p in pids), "the daemon to end after its mount")


def wait_for(condition, what, seconds=30):
    """Waits for what comes at once, as a rule: the end of patience is for a machine that stands still."""
    end = time.time() + seconds * SLOW
    while not condition():
        need(time.time() < end, f"waited in vain for {what}")
        time.sleep(0.01)


def runs(pid):
    """Whether there is such a process, and not only its exit code."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def daemons(point):
    """Process ids of the gatherfs that serves this mount point: those with the point in their arguments."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                args = f.read().split(b"\0")
        except OSError:
            continue
        if args[0].endswith(b"gatherfs") and point.encode() in args and runs(pid):
            out.append(int(pid))
    return out


def links(pid):
    """What the descriptors of a process lead to, but those that are closed meanwhile."""
    out = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            out.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return out


def tasks(pid, name):
    """The text of this file of /proc of each thread of a process, but of those that end meanwhile."""
    out = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            out.append(read(f"/proc/{pid}/task/{task}/{name}").decode(errors="replace"))
    return out


def sources_of(source):
    return [source] if isinstance(source, str) else source


class Mount:
    """A mount of a source, or of a list of them, for the time of a `with` block; the value is its path. Under sanitizers the daemon
    stays in the foreground, unless `detached`: what UndefinedBehaviorSanitizer says goes to the standard error stream, which a detached daemon has closed."""

    def __init__(self, source, *options, point=None, detached=False):
        self.sources, self.point, self.made = sources_of(source), point, point is None
        self.options = [arg for option in options for arg in ("-o", option)]
        self.foreground, self.process = SLOW > 1 and not detached, None

    def __enter__(self):
        self.point = self.point or tempfile.mkdtemp(prefix="mnt-")
        code, said = self.stay() if self.foreground else gatherfs("mount", *self.sources, self.point, *self.options)[::2]
        if code != 0:
            if self.made:
                os.rmdir(self.point)
            raise AssertionError(f"mount said {code}: {said}")
        need(mounted(self.point), "mount returned 0, but nothing is mounted")
        return self.point

    def stay(self):
        """Starts a daemon in the foreground: (0, "") once it is mounted, or its exit code and what it said."""
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([PROGRAM, "mount", "-f", *self.sources, self.point, *self.options], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        wait_for(lambda: mounted(self.point) or self.process.poll() is not None, "the mount")
        return (self.process.returncode or 0, self.said()) if self.process.poll() is not None else (0, "")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def __exit__(self, *exc):
        if mounted(self.point):
            unmount(self.point)
        if self.made:
            os.rmdir(self.point)
        if self.process:
            equal(self.process.wait(10 * SLOW), 0, f"exit code of the daemon, which said: {self.said()}")


def refused(*args, parts=(), code=1, cwd=None):
    """Runs a command that must fail: with this exit code, and one line on standard error that contains all of `parts` (and a
    second one with the usage for exit code 2)."""
    got, out, err = gatherfs(*args, cwd=cwd)
    for arg in args if args[:1] == ("mount",) else ():
        if os.path.isdir(arg) and mounted(os.path.abspath(arg)):
            unmount(os.path.abspath(arg))
    need(got == code, f"exit code {got}, want {code}; it said: {err}{out}")
    lines = err.split("\n")
    need(lines.pop() == "" and len(lines) == code and err.startswith("gatherfs ") and not out, f"expected {code} line(s), got: {err!r}, {out!r}")
    need(code == 1 or lines[1].startswith("usage: "), f"no usage in {err!r}")
    for part in parts:
        need(part in err, f"the message does not say {part!r}: {err}")
    return err


def refused_mount(source, *options, parts=(), code=1):
    point = tempfile.mkdtemp(prefix="mnt-")
    args = [a for option in options for a in ("-o", option)]
    try:
        return refused("mount", *sources_of(source), point, *args, parts=parts, code=code)
    finally:
        os.rmdir(point)


def tensors_of(folder):
    """All tensors of the safetensors files of a folder but hyper_param's: name -> (dtype, shape, bytes)."""
    out = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors") and name != "hyper_param.safetensors":
            tensors = safefile.read_file(os.path.join(folder, name))[0]
            need(not out.keys() & tensors.keys(), f"{name}: a tensor comes twice")
            out.update(tensors)
    return out


def same_tensors(got, want, what="tensors"):
    need(got.keys() == want.keys(), f"{what}: missing {sorted(want.keys() - got.keys())}, unexpected {sorted(got.keys() - want.keys())}")
    for name in want:
        need(got[name][:2] == (want[name][0], list(want[name][1])), f"{what}: {name} is {got[name][:2]}, want {want[name][:2]}")
        need(got[name][2] == want[name][2], f"{what}: the bytes of {name} differ")


def expect_eio(reading, what):
    try:
        reading()
    except OSError as e:
        equal(e.errno, errno.EIO, what)
        return
    raise AssertionError(f"{what}: the read went through")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def read_at(path, offset, length):
    with open(path, "rb", buffering=0) as f:
        return os.pread(f.fileno(), length, offset)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
    return path


def on_alarm(*_):
    raise TimeoutError(f"no end after {WATCHDOG + 10} s")


def watched(test, tmp):
    dog = watchdog.Watchdog(WATCHDOG)
    signal.alarm(WATCHDOG + 10)  # when the watchdog has told all it sees
    try:
        with dog:
            return test(tmp)
    finally:
        signal.alarm(0)
        need(dog.said is None, f"no end after {WATCHDOG} s\n{dog.said}")


def run_one(name, test):
    tmp = tempfile.mkdtemp(prefix=f"{name}-")
    try:
        remark = watched(test, tmp)
        print(f"ok   {name}" + (f" ({remark})" if remark else ""), flush=True)
        return True
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)
        line = next((f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(where) if "/lib.py" not in f.filename), "?")
        print(f"FAIL {name}: {type(e).__name__} at {line}: {e}", flush=True)
        watchdog.kill_all(watchdog.started_by(os.getpid()))  # a stopped daemon would keep us from deleting what it has mounted
        return False
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def main():
    """Runs the test_* functions of the calling file, in order; arguments choose some by name."""
    signal.signal(signal.SIGALRM, on_alarm)
    tests = {n: f for n, f in inspect.stack()[1].frame.f_globals.items() if n.startswith("test_") and callable(f)}
    chosen = {n: f for n, f in tests.items() if not sys.argv[1:] or n in sys.argv[1:]}
    sys.exit(0 if chosen and all([run_one(n, f) for n, f in chosen.items()]) else 1)
