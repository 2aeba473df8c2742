# SPDX-License-Identifier: Apache-2.0
"""What a mount writes while it runs: one line is one line, whatever is in the names of files and folders, and no terminal gets
anything but text."""
import os
import re
import socket
import subprocess

from mount import lib, namespace
from ref import sharded

NASTY = "evil\ngatherfs: all is well\n\x1b[2J\x1b]0;title\x07\t\x7f\x9b31m"


def saved(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/{NASTY}/strategy")
    return model.save(f"{tmp}/{NASTY}/check\npoint")


def damage(source):
    """Changes a source; its path."""
    path = f"{source}/rank_0/net_rank_0-1_10.safetensors"
    with open(path, "ab") as f:
        f.write(b"x")
    return path


def clean(text, but="\n"):
    lib.need(not re.search(rf"[^{but}\x20-\x7e]", text), f"control characters in {text!r}")
    lib.need("gatherfs: all is well" not in text.split("\n"), f"a forged line in {text!r}")


def read_all(root):
    """Reads all of a mount's files; whether one of them failed."""
    failed = False
    for at, _, files in os.walk(root):
        for name in files:
            try:
                lib.read(os.path.join(at, name))
            except OSError:
                failed = True
    return failed


def test_foreground(tmp):
    """The log on the standard error stream, of ours and of libfuse, with a line for each request under -d."""
    for flags in (["-f"], ["-d"]):
        here = f"{tmp}/{flags[0]}"
        source, point = saved(here), f"{here}/mnt"
        os.mkdir(point)
        with open(f"{here}/log", "w+b") as log:
            process = subprocess.Popen([lib.PROGRAM, "mount", *flags, source, point], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            lib.wait_for(lambda: lib.mounted(point), "the mount")
            damage(source)
            lib.need(read_all(point), "a changed source, and no read failed")
            lib.unmount(point)
            lib.equal(process.wait(10 * lib.SLOW), 0, "exit code")
            log.seek(0)
            text = log.read().decode("latin-1")
        clean(text)
        lib.need(re.search(r"^gatherfs: .*evil\\x0Agatherfs: all is well.*changed since it was mounted", text, re.M), text[-2000:])
        lib.equal("opcode: READ" in text, flags == ["-d"], "requests in the log")


def test_widening_is_told(tmp):
    """Root may show a source to others than its modes say; the log tells, and else it has nothing of that."""
    if os.geteuid() != 0:
        return "not root, who alone may"
    for n, (options, words) in enumerate(((["uid=65534,gid=65534,mode=0444"], "uid= gid= mode= "), (["mode=0444"], "mode= "), ([], None))):
        source, point = saved(f"{tmp}/{n}"), f"{tmp}/{n}/mnt"
        os.mkdir(point)
        with open(f"{tmp}/{n}/log", "w+b") as log:
            process = subprocess.Popen([lib.PROGRAM, "mount", "-f", source, point, *(a for o in options for a in ("-o", o))], stdout=log, stderr=log)
            lib.wait_for(lambda: lib.mounted(point), "the mount")
            st = os.stat(f"{point}/param_name_map.json")
            lib.unmount(point)
            process.wait(10 * lib.SLOW)
            log.seek(0)
            text = log.read().decode("latin-1")
        lib.equal((f"with {words}the owner and modes" in text, "owner and modes" in text), (bool(words), bool(words)), text)
        lib.equal((st.st_uid, oct(st.st_mode & 0o777)), (65534 if n == 0 else 0, oct(0o444)), "owner and modes")
    return None


def test_status(tmp):
    source = saved(tmp)
    with lib.Mount(source) as root:
        damage(source)
        read_all(root)
        text = lib.read(f"{root}/.gatherfs/status").decode("latin-1")
        clean(text)
        lib.need("all is well" in text and "changed since" in text, text)
        clean(lib.read(f"{root}/.gatherfs/status.json").decode("latin-1"))
        line, = [line for line in lib.read("/proc/self/mountinfo").decode("latin-1").splitlines() if f" {root} " in line]
        clean(line)
        clean(lib.gatherfs("status", root)[1])


def test_syslog(tmp):
    """What a daemon sends to /dev/log, which is a socket of the test's in a namespace of its own."""
    if namespace.no_users():
        return namespace.no_users()
    source = saved(tmp)
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(f"{tmp}/log")
    heard.settimeout(20 * lib.SLOW)
    os.mkdir(f"{tmp}/mnt")
    namespace.inside(tmp, r"""
mount -t tmpfs none /dev
mknod /dev/null c 1 3 && mknod /dev/fuse c 10 229 && ln -s "$TMP/log" /dev/log
"$GATHERFS" mount -q "$SOURCE" "$TMP/mnt"
echo x >>"$SOURCE/rank_0/net_rank_0-1_10.safetensors"
! cat "$TMP/mnt/model-00001-of-00001.safetensors" >/dev/null 2>&1
umount "$TMP/mnt"
""", {"SOURCE": source})
    text = heard.recv(65536).decode("latin-1")
    clean(text.rstrip("\0"))
    lib.need(re.match(r"<\d+>.*gatherfs\[\d+\]: .*evil\\x0Agatherfs: all is well.*changed since", text), text)
    return None


if __name__ == "__main__":
    lib.main()
