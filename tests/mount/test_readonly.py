# SPDX-License-Identifier: Apache-2.0
"""Nothing in a mount can be changed, by any call (tests/readonly.c has them), whoever calls; and each says so with the right errno."""
import os
import re
import subprocess

from mount import lib, namespace
from ref import sharded

PROGRAM = f"{os.path.dirname(lib.PROGRAM)}/tests/readonly"
FILES = ["1_10/model-00001-of-00001.safetensors", "1_10/param_name_map.json", "1_10/tensors/lm_head/weight.txt", "1_10/tensors/lm_head/weight.bin",
         ".gatherfs/status"]
FOLDERS = ["1_10", "1_10/tensors", ".gatherfs"]


def saved(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    namespace.let_users_in(tmp)
    lib.write(f"{tmp}/outside", "x")
    os.chmod(f"{tmp}/outside", 0o666)
    return model.save(f"{tmp}/checkpoint")


def everything(root):
    """Names, attributes and bytes of all that a mount shows, but the bytes of its status, which tells the time."""
    out = {}
    for at, folders, files in os.walk(root):
        for name in ["", *folders, *files]:
            path = os.path.join(at, name)
            st = os.lstat(path)
            out[path] = (st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_size if "/.gatherfs/status" not in path else 0, st.st_mtime_ns, st.st_ino)
            if name in files and not os.path.islink(path) and "/.gatherfs/status" not in path:
                out[path] += (lib.read(path),)
    return out


def tried(said):
    lib.need(re.fullmatch(r"\d{3} calls, 0 failed\n", said), said)


def check(tmp, root, as_whom=()):
    before = everything(root)
    for n, name in enumerate(FILES):
        done = subprocess.run([*as_whom, PROGRAM, f"{root}/{name}", f"{root}/{FOLDERS[n % 3]}", f"{root}/latest", f"{tmp}/outside"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30 * lib.SLOW)
        tried(done.stdout.decode())
    lib.equal(everything(root), before, "what the mount shows afterwards")


def test_by_its_owner(tmp):
    with lib.Mount(saved(tmp), "steps=all", *(["rw"] if os.getpid() % 2 else [])) as root:
        check(tmp, root)


def test_by_somebody_else(tmp):
    if os.geteuid() != 0:
        return "not root, so nobody else could be asked to try"
    source = saved(tmp)
    subprocess.run(["chmod", "-R", "a+rX", tmp], check=True)
    with lib.Mount(source, "steps=all", "allow_other") as root:
        os.chmod(os.path.dirname(root), 0o755)
        check(tmp, root, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        check(tmp, root)
    return None


def test_of_a_users_mount(tmp):
    """By the user, who has no other right, and by root, for whom he has opened it."""
    if namespace.no_users():
        return namespace.no_users()
    saved(tmp)
    subprocess.run(["chmod", "-R", "a+rX", tmp], check=True)
    os.chmod(f"{tmp}/outside", 0o666)
    names = " ".join(f'"$M/{name}"' for name in FILES)
    said = namespace.as_user(tmp, r"""
echo user_allow_other >"$TMP/own/fuse.conf"
chmod 644 "$TMP/own/fuse.conf"
mount --bind "$TMP/own/fuse.conf" /etc/fuse.conf
M="$TMP/own/mnt"
mkdir "$M" && chown nobody "$M"
as_user "$GATHERFS" mount -q "$TMP/checkpoint" "$M" -o steps=all,allow_root
for file in """ + names + r"""; do
	as_user """ + f'"{PROGRAM}"' + r""" "$file" "$M/1_10" "$M/latest" "$TMP/outside" || :
	""" + f'"{PROGRAM}"' + r""" "$file" "$M/1_10" "$M/latest" "$TMP/outside" || :
done
as_user "$GATHERFS" umount "$M"
""")
    lines = said.splitlines(True)
    lib.equal(len(lines), 2 * len(FILES), said)
    for line in lines:
        tried(line)
    return None


if __name__ == "__main__":
    lib.main()
