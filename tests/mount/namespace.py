# SPDX-License-Identifier: Apache-2.0
"""Mount namespaces for tests: places where /sbin, /etc/fstab, /dev/fuse and users are made up. Where none can be had (a container, a
user without rights) no_namespace() says why."""
import os
import re
import subprocess
import sys

from mount import lib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IS_ROOT = os.geteuid() == 0

# A script of sh for root: from here on everybody may open /dev/fuse; needs a tmpfs on $TMP/own.
FUSE_FOR_ALL = r"""
mknod "$TMP/own/fuse" c 10 229 && chmod 666 "$TMP/own/fuse" && mount --bind "$TMP/own/fuse" /dev/fuse
as_user() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
"""


# Likewise, for the start: other tests' daemons live as long as their mounts are in any namespace, and a mount that hangs is not waited for here.
OTHERS = r"""
for m in $(sed -n 's/^[^ ]* \([^ ]*\) fuse.*/\1/p' /proc/self/mounts); do umount -l -c "$(printf %b "$m")" 2>/dev/null || :; done
"""


def unshare():
    return ["unshare", "-m"] if IS_ROOT else ["unshare", "-U", "-r", "-m"]


def no_namespace():
    """Why no mount namespace can be had here, or None."""
    done = subprocess.run([*unshare(), "mount", "-t", "tmpfs", "none", "/mnt"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode().strip() if done.returncode else None


def no_users():
    """Why nobody else can be played in a namespace, or None."""
    return None if IS_ROOT and not no_namespace() else "not tried, for it needs root and a mount namespace"


def let_users_in(tmp):
    """A user without rights has to get to the test's folder, and through the runner's."""
    os.chmod(tmp, 0o755)
    if os.path.basename(os.path.dirname(tmp)).startswith("gatherfs-test-"):
        os.chmod(os.path.dirname(tmp), 0o755)


def inside(tmp, script, env=(), points=("mnt",)):
    """Runs a script of sh in a namespace, with $TMP and $GATHERFS; what it printed. It ends at the first failure, and unmounts what
    is left of the mount points below tmp."""
    text = "set -eu\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nleave() { for m in " + " ".join(f'"$TMP/{p}"' for p in points) + r"""; do
	umount -l "$m" 2>/dev/null || :; done; }
trap leave EXIT
""" + OTHERS + script
    done = subprocess.run([*unshare(), "sh", "-c", text], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "TMP": tmp, "GATHERFS": lib.PROGRAM, **dict(env)}, timeout=55 * lib.SLOW)
    said = done.stdout.decode(errors="replace")
    lib.need(done.returncode == 0, f"exit code {done.returncode}: {said}")
    return said


def opened_up(*paths):
    """A script of sh that lets everybody get to these paths, though a folder on the way (somebody's home) is closed to others."""
    closed = {}
    for path in paths:
        parts = os.path.realpath(path).split("/")
        for n in range(2, len(parts)):
            folder = "/".join(parts[:n])
            if not os.stat(folder).st_mode & 0o001:
                closed.setdefault(folder, set()).add(parts[n])
                break
    lines = []
    for number, (folder, names) in enumerate(closed.items()):
        lines += [f'mkdir "$TMP/own/closed{number}"', f'mount --bind "{folder}" "$TMP/own/closed{number}"', f'mount -t tmpfs -o mode=755 none "{folder}"']
        for name in names:
            lines += [f'mkdir "{folder}/{name}"', f'mount --bind "$TMP/own/closed{number}/{name}" "{folder}/{name}"']
    return "\n".join(lines) + "\n"


def python():
    """The interpreter of the tests and the folders that it needs, for opened_up()."""
    return sys.executable, [ROOT, lib.PROGRAM, sys.base_prefix, sys.prefix]


USER = r"""
mount -t tmpfs none "$TMP/own"
""" + FUSE_FOR_ALL + r"""
mkdir -m 1777 "$TMP/own/tmp"
"""


def as_user(tmp, script):
    """Runs a script of sh in which as_user runs a command as such a user, and $PYTHON the tests' Python; what it printed."""
    let_users_in(tmp)
    os.makedirs(f"{tmp}/own", exist_ok=True)
    interpreter, needed = python()
    env = {"PYTHON": interpreter, "TESTS": f"{ROOT}/tests", "PYTHONPATH": f"{ROOT}/tests", "HOME": "/nonexistent"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):  # reports go to standard error: the runner's folder is not this user's
        env[name] = re.sub(r"(^|:)log_path=[^:]*", "", os.environ.get(name, ""))
    return inside(tmp, USER + opened_up(*needed) + script, env, ["own/mnt"])
