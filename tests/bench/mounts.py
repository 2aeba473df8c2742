# SPDX-License-Identifier: Apache-2.0
"""Mounts and machine facts for the benchmarks: gatherfs on a checkpoint, the empty FUSE file, what /proc and /sys say of them."""
import contextlib
import os
import platform
import subprocess
import tempfile
import time

TIMEOUT = 60  # seconds until something that should answer at once is taken for hung


class Failed(Exception):
    """Something could not be run."""


def run(*args, timeout=TIMEOUT):
    """Runs a program to its end and gives its output."""
    try:
        done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(f"{args[0]}: {e}") from e
    if done.returncode != 0:
        raise Failed(f"{' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def empty_folder():
    path = os.path.realpath(tempfile.mkdtemp(prefix="gatherfs-bench-"))
    try:
        yield path
    finally:
        os.rmdir(path)


@contextlib.contextmanager
def gatherfs(program, source, *options):
    """A SOURCE, mounted. The mount point ends with the block."""
    with empty_folder() as point:
        run(program, "mount", source, point, "-o", ",".join(options))
        pid = daemon_of(program, point)
        try:
            yield point
        finally:
            run(program, "umount", point)
            wait_for(lambda: ended(pid), "the daemon to end")


@contextlib.contextmanager
def nullfs(program, size):
    """The empty FUSE file of `size` bytes; gives its path."""
    with empty_folder() as point:
        server = subprocess.Popen([program, str(size), point], stdin=subprocess.DEVNULL)
        try:
            wait_for(lambda: os.path.ismount(point) or server.poll() is not None, "the empty FUSE file")
            if server.poll() is not None:
                raise Failed(f"{program} ended with exit code {server.returncode}")
            yield f"{point}/null"
        finally:
            server.terminate()
            server.wait(TIMEOUT)


def wait_for(condition, what):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited in vain for {what}")
        time.sleep(0.005)


def daemon_of(program, point):
    """The process that serves the mount on `point`: the one that was started with these words."""
    name = os.path.basename(program)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().decode(errors="replace").split("\0")
            if os.path.basename(words[0]) == name and point in words:
                return int(pid)
    raise Failed(f"no process of {name} serves {point}")


def ended(pid):
    """Whether a process is no more, or only waits to be asked for its exit code: not every init is quick at that."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def anonymous_mib(pid):
    """The memory of a process that is not a file's, in MiB."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:")) / 1024


def readahead_file(path):
    device = os.stat(path).st_dev
    return f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"


def readahead_kib(path):
    with open(readahead_file(path)) as f:
        return int(f.read())


def copy_readahead(source, target):
    """Gives the mount of `target` the read-ahead that the mount of `source` has. Only root can; for others both have the default."""
    wanted = readahead_kib(source)
    if readahead_kib(target) != wanted:
        with open(readahead_file(target), "w") as f:
            f.write(str(wanted))
    if readahead_kib(target) != wanted:
        raise Failed(f"the read-ahead of {target} is not {wanted} KiB")


def first_line(path, key):
    with contextlib.suppress(OSError), open(path) as f:
        for line in f:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return "unknown"


def machine():
    """What a reader has to know to compare figures."""
    return {"cores": len(os.sched_getaffinity(0)), "processor": first_line("/proc/cpuinfo", "model name"),
            "memory": first_line("/proc/meminfo", "MemTotal"), "kernel": platform.release(),
            "libfuse": run("pkg-config", "--modversion", "fuse3").strip(), "root": os.geteuid() == 0,
            "load_before": round(os.getloadavg()[0], 2)}
