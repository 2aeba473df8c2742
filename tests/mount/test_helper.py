# SPDX-License-Identifier: Apache-2.0
"""mount(8), fstab, umount(8), the service, and what is said where something is missing.

mount(8) looks for its helper in /sbin and reads /etc/fstab, so these tests run in a mount namespace of their own, where both are
made up. Where that is not allowed (a container, a user without rights), a remark says so."""
import os
import re
import shlex
import signal
import socket
import subprocess

from mount import lib, namespace
from mount.namespace import FUSE_FOR_ALL, ROOT, no_namespace, no_users
from ref import sharded

SBIN = r"""
mkdir -p "$TMP/sbin" "$TMP/mnt" "$TMP/mnt 2" "$TMP/own"
cp -as /usr/sbin/. "$TMP/sbin" 2>/dev/null || :
mount -t tmpfs none "$TMP/own"
mkdir "$TMP/own/sbin"
mount --bind /usr/sbin "$TMP/own/sbin"
for f in "$TMP"/sbin/*; do ln -sfn "$TMP/own/sbin/${f##*/}" "$f"; done
ln -sf "$GATHERFS" "$TMP/sbin/mount.gatherfs"
ln -sf "$GATHERFS" "$TMP/sbin/mount.fuse.gatherfs"
mount --bind "$TMP/sbin" /usr/sbin
"""
PREPARED = SBIN + r"""
points() { findmnt -rno TARGET -t fuse.gatherfs | grep -cF "$TMP" || :; }
rc() { code=0; "$@" || code=$?; echo "rc $code"; }
"""


def saved(tmp, name="checkpoint"):
    """A checkpoint with a strategy that has to be named, whatever is in its name."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/st,a b\\c")
    namespace.let_users_in(tmp)
    return model.save(f"{tmp}/{name}")


def inside(tmp, script):
    """Runs a script of sh in a namespace that has a /sbin with our helper; what it printed."""
    return namespace.inside(tmp, PREPARED + script, {"OPTS": strategy_of(tmp)}, ["mnt", "mnt 2", "own/mnt"])


def strategy_of(tmp):
    return "strategy=" + f"{tmp}/st,a b\\c".replace("\\", "\\\\").replace(",", "\\,")


def in_fstab(text):
    return text.replace("\\", "\\134").replace(" ", "\\040")


def names_shown(source, tmp):
    with lib.Mount(source, strategy_of(tmp)) as root:
        return {name: lib.read(f"{root}/{name}") for name in os.listdir(root) if not os.path.isdir(f"{root}/{name}")}


def test_mount_of_type(tmp):
    """mount -t gatherfs and -t fuse.gatherfs, findmnt, umount; the same bytes as `gatherfs mount` shows."""
    refusal = no_namespace()
    if refusal:
        return f"not tried, no mount namespace: {refusal}"
    source = saved(tmp, "check point")
    want = names_shown(source, tmp)
    said = inside(tmp, r"""
for type in gatherfs fuse.gatherfs; do
	mount -t $type "$TMP/check point" "$TMP/mnt" -o "rw,$OPTS,_netdev,nofail,x-a=b"
	findmnt -no FSTYPE,SOURCE "$TMP/mnt"
	mkdir "$TMP/copy.$type"
	cp "$TMP/mnt"/*.* "$TMP/copy.$type/"
	umount "$TMP/mnt"
	echo "left $(points)"
done
""")
    lib.equal(said.split("\n")[:-1], [line for _ in range(2) for line in (f"fuse.gatherfs {source}", "left 0")], "findmnt and what is left")
    for kind in ("gatherfs", "fuse.gatherfs"):
        lib.equal({name: lib.read(f"{tmp}/copy.{kind}/{name}") for name in os.listdir(f"{tmp}/copy.{kind}")}, want, "files")
    return None


def test_letters_and_exit_codes(tmp):
    """-f mounts nothing but finds faults, -s steps over what is unknown, -v tells of the strategy; mount(8)'s exit codes."""
    refusal = no_namespace()
    if refusal:
        return f"not tried, no mount namespace: {refusal}"
    saved(tmp)
    said = inside(tmp, r"""
mount() { command mount "$@" -t gatherfs "$TMP/checkpoint" "$TMP/mnt" 2>"$TMP/err"; }
done_with() { echo "$1: rc $code, $(points) mounted"; umount "$TMP/mnt" 2>/dev/null || :; }
try() { what=$1; shift; code=0; mount "$@" >"$TMP/out" || code=$?; done_with "$what"; }
try plain -o "$OPTS"
echo "out $(wc -c <"$TMP/out")"
try verbose -v -o "$OPTS"
grep -c ^strategy: "$TMP/out"
try fake -f -o "$OPTS"
try fake-fault -f -o "$OPTS,step=9_9"
try unknown -o "$OPTS,partsize=3"
grep -o 'did you mean "part_size"' "$TMP/err"
try sloppy -s -o "$OPTS,partsize=3"
try fault -o "$OPTS,step=9_9"
try no-mtab -n -o "$OPTS"
try remount -o "$OPTS,remount"
""")
    lib.equal(said.split("\n")[:-1], [
        "plain: rc 0, 1 mounted", "out 0", "verbose: rc 0, 1 mounted", "1", "fake: rc 0, 0 mounted", "fake-fault: rc 32, 0 mounted",
        "unknown: rc 1, 0 mounted", 'did you mean "part_size"', "sloppy: rc 0, 1 mounted", "fault: rc 32, 0 mounted",
        "no-mtab: rc 0, 1 mounted", "remount: rc 1, 0 mounted"], "what mount(8) got")
    return None


def test_fstab(tmp):
    r"""Lines with \040, \134 and escaped commas, and what systemd and mount(8) add; -a does not mount twice."""
    refusal = no_namespace()
    if refusal:
        return f"not tried, no mount namespace: {refusal}"
    source = saved(tmp, "check point")
    options = in_fstab(strategy_of(tmp))
    lib.write(f"{tmp}/fstab", f"{in_fstab(source)} {tmp}/mnt gatherfs {options},_netdev,nofail,user,x-systemd.automount,X-a.b,index=hf 0 0\n"
              f"{in_fstab(source)} {tmp}/mnt\\0402 fuse.gatherfs defaults,{options} 0 0\n"
              f"{in_fstab(source)} {tmp}/never gatherfs noauto,{options} 0 0\n")
    said = inside(tmp, r"""
mount -T "$TMP/fstab" -a
points
ls "$TMP/mnt" "$TMP/mnt 2"
mount -T "$TMP/fstab" -a
points
umount "$TMP/mnt" "$TMP/mnt 2"
mount -T "$TMP/fstab" "$TMP/mnt 2"
findmnt -no SOURCE "$TMP/mnt 2"
umount "$TMP/mnt 2"
points
""")
    lines = said.split("\n")
    lib.equal([line for line in lines if line.isdigit()], ["2", "2", "0"], "mounts after -a, after a second -a, at the end")
    lib.need("model.safetensors.index.json" in lines and "param_name_map.json" in lines, f"index=hf and the default: {said}")
    lib.need(source in lines, f"findmnt: {said}")
    return None


def test_fstab_for_users(tmp):
    """`user`: anybody may mount the line and, with plain umount, end the mount; it is theirs alone."""
    if no_users():
        return no_users()
    saved(tmp)
    lib.write(f"{tmp}/fstab", f"{tmp}/checkpoint {tmp}/own/mnt gatherfs noauto,user,{in_fstab(strategy_of(tmp))} 0 0\n")
    subprocess.run(["chmod", "-R", "a+rX", tmp], check=True)
    said = inside(tmp, FUSE_FOR_ALL + r"""
mount --bind "$TMP/fstab" /etc/fstab
mkdir "$TMP/own/mnt" && chown nobody "$TMP/own/mnt"
as_user mount "$TMP/own/mnt"
as_user ls "$TMP/own/mnt"
ls "$TMP/own/mnt" 2>&1 | grep -o 'Permission denied'
as_user umount "$TMP/own/mnt"
points
""")
    lines = said.split("\n")
    lib.need("param_name_map.json" in lines and "Permission denied" in lines and lines[-2] == "0", said)
    return None


def test_helper_usage(tmp):
    helper = f"{tmp}/mount.gatherfs"
    os.symlink(lib.PROGRAM, helper)
    for args, code, part in (((), 1, "usage: mount.gatherfs"), (("/a",), 1, "usage:"), (("/a", "/b", "/c"), 1, "usage:"),
                             (("/a", "/b", "-x"), 1, "usage:"), (("-h",), 0, "usage:"), (("/a", "/b", "-N", "/nowhere"), 32, "/nowhere"),
                             (("/a", f"{tmp}/nowhere"), 32, "nowhere")):
        done = subprocess.run([helper, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lib.need(done.returncode == code and part in done.stdout.decode(), f"{args}: {done.returncode} {done.stdout}")


# What is said where something is missing.

MISSING = r"""
mkdir "$TMP/own/mnt"
chown nobody "$TMP/own/mnt"
try() { echo "$1:"; shift; code=0; "$@" mount "$TMP/checkpoint" "$TMP/own/mnt" -o "$OPTS" $more 2>&1 | grep '^gatherfs' || :; umount "$TMP/own/mnt" 2>/dev/null || :; }
more=
try fine as_user "$GATHERFS"
more='-o allow_other'
try fuse.conf as_user "$GATHERFS"
more=
try no_new_privs as_user setpriv --no-new-privs "$GATHERFS"
try capability setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$GATHERFS"
cp /usr/bin/fusermount3 "$TMP/own/"
chmod 755 "$TMP/own/fusermount3"
mount --bind "$TMP/own/fusermount3" /usr/bin/fusermount3
try setuid as_user "$GATHERFS"
chmod 4755 "$TMP/own/fusermount3"
mount -o remount,bind,nosuid /usr/bin/fusermount3
try nosuid as_user "$GATHERFS"
mount -o remount,bind,suid /usr/bin/fusermount3
chmod 644 "$TMP/own/fusermount3"
try fusermount3 as_user "$GATHERFS"
chmod 000 "$TMP/own/fuse"
try forbidden as_user "$GATHERFS"
umount /dev/fuse
mount -t tmpfs none /dev
try missing "$GATHERFS"
"""


def test_what_is_missing_is_named(tmp):
    if no_users():
        return no_users()
    saved(tmp)
    subprocess.run(["chmod", "-R", "a+rX", tmp], check=True)
    said = inside(tmp, "[ -e /etc/fuse.conf ] && ! grep -q ^user_allow_other /etc/fuse.conf || mount --bind /dev/null /etc/fuse.conf\n" +
                  FUSE_FOR_ALL + MISSING)
    found = dict(re.findall(r"^([\w.]+):\n((?:gatherfs .*\n)*)", said, re.M))
    lib.equal(found.pop("fine"), "", "a mount by a user")
    for what, parts in {"fuse.conf": ["allow_other", "/etc/fuse.conf", "user_allow_other"], "no_new_privs": ["fusermount3", "no_new_privs"],
                        "capability": ["CAP_SYS_ADMIN", "container"], "setuid": ["fusermount3", "not setuid root"],
                        "nosuid": ["fusermount3", "nosuid"], "fusermount3": ["fusermount3 is missing", "fuse3"],
                        "forbidden": ["/dev/fuse", "Permission denied"], "missing": ["/dev/fuse is missing", "module"]}.items():
        message = found.pop(what)
        lib.need(message.count("\n") == 1, f"{what}: expected one line, got {message!r} of {said}")
        for part in parts + ([] if what == "fuse.conf" else ["gatherfs export"]):
            lib.need(part in message, f"{what}: the message does not say {part!r}: {message}")
    lib.equal(found, {}, "cases")
    return None


# The service manager.

class Manager:
    """A socket as a service manager has it."""

    def __init__(self, tmp, abstract):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = f"@{tmp}/notify" if abstract else f"{tmp}/notify"
        self.socket.bind(self.name.replace("@", "\0", 1))
        self.socket.settimeout(20 * lib.SLOW)

    def heard(self):
        return self.socket.recv(4096).decode()

    def nothing_heard(self):
        self.socket.settimeout(0.3)
        try:
            return self.heard()
        except TimeoutError:
            return None


def test_service_is_told(tmp):
    """READY=1 not before the mount answers, STOPPING=1 at its end; a daemon tells nothing to a socket it inherited."""
    source, point = saved(tmp), f"{tmp}/mnt"
    os.mkdir(point)
    for abstract in (False, True):
        manager = Manager(tmp, abstract)
        env = {**os.environ, "NOTIFY_SOCKET": manager.name}
        with subprocess.Popen([lib.PROGRAM, "mount", "-f", source, point, "-o", strategy_of(tmp)], env=env, stdout=subprocess.DEVNULL) as process:
            state = manager.heard().split("\n")
            lib.need(lib.mounted(point) and "param_name_map.json" in os.listdir(point), "ready, and no mount")
            lib.equal(state, ["READY=1", f"STATUS={source} on {point}", ""], "state")
            process.terminate()
            lib.equal(manager.heard(), "STOPPING=1\n", "at the end")
            lib.equal(process.wait(10 * lib.SLOW), 0, "exit code")
        subprocess.run([lib.PROGRAM, "mount", "-q", source, point, "-o", strategy_of(tmp)], env=env, check=True)
        lib.equal(manager.nothing_heard(), None, "from a daemon")
        lib.unmount(point)


def command_of(unit, key, variables):
    """The command of a line of a unit, as systemd starts it: ${NAME} becomes one word, $$ a dollar."""
    line = re.search(rf"^{key}=-?(.*)$", unit, re.M).group(1)
    return [re.sub(r"\$\{(\w+)\}", lambda m: variables.get(m[1], ""), word).replace("$$", "$") for word in shlex.split(line)]


def test_service_as_systemd_runs_it(tmp):
    """The commands of gatherfs@.service: it mounts what the file says, and a killed daemon's mount is cleared away."""
    source = saved(tmp)
    variables = {"SOURCE": source, "MOUNTPOINT": f"{tmp}/new/mnt", "OPTIONS": strategy_of(tmp) + ",index=hf"}
    unit = lib.read(f"{ROOT}/mount-helpers/gatherfs@.service").decode().replace("/usr/bin/gatherfs", lib.PROGRAM)
    point, env = variables["MOUNTPOINT"], {**os.environ, **variables}
    for end, result in ((signal.SIGTERM, "success"), (signal.SIGKILL, "signal")):
        manager = Manager(f"{tmp}/{result}", True)
        subprocess.run(command_of(unit, "ExecStartPre", variables), check=True)
        with subprocess.Popen(command_of(unit, "ExecStart", variables), env={**env, "NOTIFY_SOCKET": manager.name}, stderr=subprocess.DEVNULL) as process:
            lib.need(manager.heard().startswith("READY=1\n"), "not ready")
            lib.need("model.safetensors.index.json" in os.listdir(point), "index=hf")
            process.send_signal(end)
            process.wait(10 * lib.SLOW)
        lib.equal(lib.mounted(point), end == signal.SIGKILL, "mounted after the end")
        subprocess.run(command_of(unit, "ExecStopPost", variables), env={**env, "SERVICE_RESULT": result}, check=True)
        lib.need(not lib.mounted(point), "the dead mount is there")
    lib.equal(command_of(unit, "ExecStart", {"SOURCE": "a", "MOUNTPOINT": "b"})[-5:], ["-o", "", "--", "a", "b"], "without OPTIONS")


if __name__ == "__main__":
    lib.main()
