# SPDX-License-Identifier: Apache-2.0
"""A process beside a test that hangs. A reader that waits in a mount hears no signal, so nothing in its own process can help it: the
watchdog tells what every thread of the test, its readers and its daemons waits for, and kills all but the test, whose reads then fail."""
import os
import select
import shutil
import signal
import subprocess
import tempfile

MARK = "GATHERFS_TEST"  # in the environment of all that a test starts, daemons that have left it included


def text_of(path):
    try:
        with open(path, errors="replace") as f:
            return f.read().replace("\0", " ").strip()
    except OSError as e:
        return f"({e.strerror})"


def started_by(pid):
    """Processes that inherited the mark of the test `pid`, or were forked by it."""
    mark, out = f"{MARK}={pid}".encode(), []
    for other in filter(str.isdigit, os.listdir("/proc")):
        forked = f" {pid} " in text_of(f"/proc/{other}/stat").rsplit(")", 1)[-1][:len(f" S {pid} ")]
        try:
            with open(f"/proc/{other}/environ", "rb") as f:  # one that is dying has none
                marked = mark in f.read().split(b"\0")
        except OSError:
            marked = False
        if forked or marked:
            out.append(int(other))
    return out


def stacks(pid):
    """What each thread of a process does, as the kernel says; and, where there is a debugger, as the program would say it."""
    out = [f"process {pid}: {text_of(f'/proc/{pid}/cmdline')}"]
    for task in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
        at = f"/proc/{pid}/task/{task}"
        state = text_of(f"{at}/stat").rsplit(")", 1)[-1].split()[:1]
        out.append(f"  thread {task} {text_of(f'{at}/comm')} {state}, waits in {text_of(f'{at}/wchan')}: {text_of(f'{at}/syscall')}")
        out += [f"    {line}" for line in text_of(f"{at}/stack").splitlines()]
    if shutil.which("gdb") and "gatherfs" in text_of(f"/proc/{pid}/comm"):
        try:
            out.append(subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False).stdout.decode(errors="replace"))
        except subprocess.TimeoutExpired:
            out.append("  (the debugger does not answer)")
    return "\n".join(out)


def kill_all(pids):
    for p in pids:
        try:
            os.kill(p, signal.SIGKILL)
        except OSError:
            pass  # it has ended


def bark(pid, out):
    others = [p for p in started_by(pid) if p not in (pid, os.getpid())]
    for p in [pid, *others]:
        try:
            out.write(stacks(p) + "\n")
        except OSError:
            pass  # it has ended
    out.flush()
    kill_all(others)


class Watchdog:
    """Watches over the `with` block. `said` is what it saw when it had to help, else None."""

    def __init__(self, seconds):
        self.seconds, self.said, self.notes = seconds, None, tempfile.TemporaryFile("w+")

    def __enter__(self):
        os.environ[MARK] = pid = str(os.getpid())
        lead, self.rope = os.pipe()
        self.dog = os.fork()
        if self.dog == 0:
            os.close(self.rope)
            signal.alarm(0)
            hanging = not select.select([lead], [], [], self.seconds)[0]
            if hanging:
                bark(int(pid), self.notes)
            os._exit(1 if hanging else 0)
        os.close(lead)
        return self

    def __exit__(self, *_):
        try:
            os.write(self.rope, b"!")  # closing it would not do: readers that were forked hold it too
        except BrokenPipeError:
            pass  # the dog has barked and gone
        os.close(self.rope)
        if os.waitpid(self.dog, 0)[1] != 0:
            self.notes.seek(0)
            self.said = self.notes.read()
        self.notes.close()
