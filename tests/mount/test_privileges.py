# SPDX-License-Identifier: Apache-2.0
"""What a daemon may do, what it holds, and whom it lets in; mounts of users who are not root."""
import os
import subprocess

from mount import lib, namespace, training
from ref import sharded

READ, UNMOUNT = 1 << 2, 1 << 21  # CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN


def saved(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def threads(pid):
    """The fields of /proc/PID/status of each thread."""
    return [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in lib.tasks(pid, "status")]


def test_root_drops_privileges(tmp):
    """A daemon that root has started keeps what reading and unmounting need, in every thread, and cannot gain more."""
    if os.geteuid() != 0:
        return "not root, so there is nothing to drop"
    have = int(threads("self")[0]["CapPrm"], 16)
    source = saved(tmp)
    for options in ([], ["steps=all"]):
        with lib.Mount(source, *options) as root:
            lib.need(len(lib.tensors_of(f"{root}/latest" if options else root)) > 3, "nothing was read")
            pid, = lib.daemons(root)
            found = threads(pid)
            lib.need(len(found) > 1, "one thread: a weak test")
            for t in found:
                got = [int(t[field], 16) for field in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
                lib.equal(got, [have & READ, have & (READ | UNMOUNT), 0, 0], f"capabilities of {t['Name']}: effective, permitted, inheritable, ambient")
                lib.equal((int(t["CapBnd"], 16) & ~(READ | UNMOUNT), t["NoNewPrivs"], t["Umask"]), (0, "1", "0077"), "bounding set, no_new_privs, umask")
    return None


def test_root_reads_what_users_save(tmp):
    """Steps that come later are a user's own, 0400 in folders of mode 0700: the daemon, without root's usual rights, shows them."""
    if os.geteuid() != 0:
        return "not root"
    source = f"{tmp}/checkpoint"
    training.model(0).save_strategy(f"{tmp}/strategy")
    for rank in range(4):
        training.save(source, rank, 1)
        os.chmod(f"{source}/rank_{rank}", 0o700)
        os.chown(f"{source}/rank_{rank}", 65534, 65534)
    with lib.Mount(source, "steps=all") as root:
        for rank in range(4):
            training.save(source, rank, 2)
            os.chown(f"{source}/rank_{rank}/{training.name(rank, 2)}", 65534, 65534)
        lib.wait_for(lambda: os.path.isdir(f"{root}/1_2"), "step 2")
        lib.same_tensors(lib.tensors_of(f"{root}/1_2"), training.model(2).whole())


def test_nothing_is_inherited(tmp):
    """A daemon holds no descriptor that its caller left open, in whatever way it was started."""
    source = saved(tmp)
    secret = os.open(lib.write(f"{tmp}/secret", "x"), os.O_RDONLY)
    for fd in (17, 300):
        os.dup2(secret, fd)
    for stay in ([], ["-f"]):
        point = f"{tmp}/mnt{len(stay)}"
        os.mkdir(point)
        process = subprocess.Popen([lib.PROGRAM, "mount", *stay, source, point], pass_fds=(17, 300), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if not stay:
            lib.equal(process.wait(20 * lib.SLOW), 0, "exit code")
        lib.wait_for(lambda: lib.mounted(point) and os.listdir(point), "the mount")
        pid, = lib.daemons(point)
        held = lib.links(pid)
        lib.need(any(path.startswith(source) for path in held) and f"{tmp}/secret" not in held, f"held open: {held}")
        lib.unmount(point)
        lib.equal(process.wait(10 * lib.SLOW), 0, "exit code")


def test_mount_flags(tmp):
    """Whatever is asked for: read-only, no devices, no setuid, modes checked by the kernel; others only with allow_other."""
    source = saved(tmp)
    for asked in ([], ["rw", "suid", "dev"], ["allow_other"] if os.geteuid() == 0 else []):
        with lib.Mount(source, *asked) as root:
            line, = [line.split() for line in lib.read("/proc/self/mountinfo").decode(errors="surrogateescape").splitlines() if line.split()[4] == root]
            flags = set(line[5].split(",")) | set(line[-1].split(","))
            for flag in ("ro", "nosuid", "nodev", "default_permissions"):
                lib.need(flag in flags, f"{asked}: no {flag} in {line}")
            lib.equal("allow_other" in flags, "allow_other" in asked, f"{asked}: allow_other in {line}")


# Mounts of a user who is not root: with rights to nothing but /dev/fuse and fusermount3.

def test_signals_end_a_users_mount(tmp):
    """Each signal ends it through fusermount3, in a daemon that may still gain what that program needs; no dead mount is left."""
    if namespace.no_users():
        return namespace.no_users()
    saved(tmp)
    said = namespace.as_user(tmp, r"""
mkdir "$TMP/own/mnt" && chown nobody "$TMP/own/mnt"
for how in TERM INT HUP verb; do
	as_user "$GATHERFS" mount "$TMP/checkpoint" "$TMP/own/mnt" >/dev/null
	as_user cat "$TMP/own/mnt/param_name_map.json" >/dev/null
	pid=$(pgrep -f "gatherfs mount $TMP/checkpoint $TMP/own/mnt")
	grep -hs NoNewPrivs /proc/$pid/task/*/status | sort -u
	if [ $how = verb ]; then as_user "$GATHERFS" umount "$TMP/own/mnt"; else kill -$how $pid; fi
	n=0
	while [ -e /proc/$pid ] && [ $n -lt 200 ]; do n=$((n + 1)); sleep 0.05; done
	if findmnt -n "$TMP/own/mnt" || ! ls "$TMP/own/mnt"; then echo "$how left a mount"; fi
done
""")
    lib.equal(said.split("\n"), ["NoNewPrivs:\t0"] * 4 + [""], "what was said")
    return None


if __name__ == "__main__":
    lib.main()
