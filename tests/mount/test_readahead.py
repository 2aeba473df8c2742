# SPDX-License-Identifier: Apache-2.0
"""The read-ahead of the mount itself: raised where that is allowed, told where it is not, and never a reason not to mount."""
import json
import os
import subprocess

from mount import lib
from mount.namespace import FUSE_FOR_ALL, IS_ROOT, inside, let_users_in, no_users, opened_up
from ref import sharded

DEFAULT = 1024  # KiB
REFUSED = "only root can change it"


def saved(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def bdi(point):
    device = os.stat(point).st_dev
    return f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}"


def told(root):
    """The line of the status, and what its JSON form says."""
    lines = lib.read(f"{root}/.gatherfs/status").decode().splitlines()
    return next((line for line in lines if line.startswith("read-ahead")), ""), json.loads(lib.read(f"{root}/.gatherfs/status.json"))


def test_as_it_is_asked_for(tmp):
    """By root: what is asked for is what the mount has, and what its status tells; the next mount begins anew."""
    source = saved(tmp)
    for option, want in ((), DEFAULT), (("readahead=2M",), 2048), (("readahead=64K",), 64), (("readahead=0",), None):
        with lib.Mount(source, *option) as root:
            if want and IS_ROOT:  # one that stays in the foreground answers before it has raised it
                lib.wait_for(lambda: int(lib.read(f"{bdi(root)}/read_ahead_kb")) == want, f"{option}: {want} KiB")
            lib.wait_for(lambda: told(root)[1]["readahead"], f"{option}: the status to know it")
            kib = int(lib.read(f"{bdi(root)}/read_ahead_kb"))
            line, status = told(root)
            lib.equal(status["readahead"], kib * 1024, f"{option}: the status")
            lib.need(f" {kib} KiB" in line, f"{option}: {line}")
            lib.equal(status["readahead_wanted"], (want or 0) * 1024, f"{option}: what was asked for")
            lib.equal(REFUSED in line, bool(want) and kib != want, f"{option}: {line}")
    return None if IS_ROOT else "as a user; nothing could be raised"


def test_bounds(tmp):
    source = saved(tmp)
    for value in ("1", "4095", "65M", "1T", "off", "-1", ""):
        lib.refused_mount(source, f"readahead={value}", parts=["readahead"], code=2)


def test_where_it_cannot_be_raised(tmp):
    """A user, and root where /sys is read-only: the mount is there, with what the kernel gives, and the status says so."""
    if no_users():
        return no_users()
    source = saved(tmp)
    said = inside(tmp, 'mount --bind /sys /sys && mount -o remount,ro,bind /sys\nmkdir "$TMP/mnt"\n"$GATHERFS" mount -q "$1" "$TMP/mnt"\n'
                       'cat "$TMP/mnt/.gatherfs/status"\n"$GATHERFS" umount "$TMP/mnt"\n'.replace("$1", source))
    lib.need(REFUSED in said, f"with a read-only /sys: {said}")
    let_users_in(tmp)
    subprocess.run(["chmod", "-R", "a+rX", f"{tmp}/checkpoint", f"{tmp}/strategy"], check=True)
    said = inside(tmp, 'mkdir "$TMP/own" && mount -t tmpfs none "$TMP/own"\n' + opened_up(lib.PROGRAM) + FUSE_FOR_ALL + r"""
mkdir "$TMP/own/mnt" && chown nobody "$TMP/own/mnt"
as_user "$GATHERFS" mount -q "$TMP/checkpoint" "$TMP/own/mnt"
as_user cat "$TMP/own/mnt/.gatherfs/status"
as_user "$GATHERFS" umount "$TMP/own/mnt"
""", points=("own/mnt",))
    lib.need(REFUSED in said, f"as a user: {said}")
    return None


if __name__ == "__main__":
    lib.main()
