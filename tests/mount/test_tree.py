# SPDX-License-Identifier: Apache-2.0
"""What the directory looks like to programs: attributes, listing, and that nothing can be changed."""
import errno
import os
import stat
import subprocess

from mount import lib
from ref import sharded

MODEL = "model-00001-of-00001.safetensors"


def saved(model, tmp):
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def walk(root):
    """Every path below, '' for the root itself."""
    out = [""]
    for folder, dirs, files in os.walk(root):
        out += [os.path.relpath(os.path.join(folder, n), root) for n in dirs + files]
    return out


def test_attributes(tmp):
    with lib.Mount(saved(sharded.small(), tmp)) as root:
        for path in walk(root):
            st = os.lstat(f"{root}/{path}")
            lib.need(stat.S_ISDIR(st.st_mode) or stat.S_ISREG(st.st_mode), f"{path}: neither folder nor file")
            lib.equal(st.st_mode & 0o222, 0, f"{path}: write bits")
            if stat.S_ISREG(st.st_mode):
                lib.equal(st.st_nlink, 1, f"{path}: links")
                if not path.startswith(".gatherfs/status"):
                    lib.equal(len(lib.read(f"{root}/{path}")), st.st_size, f"{path}: size")
                    lib.need(st.st_blocks * 512 >= st.st_size, f"{path}: fewer blocks than bytes makes it sparse to cp and du")
        lib.need(os.stat(f"{root}/{MODEL}").st_blksize >= 1 << 20, "st_blksize should make readers ask for 1 MiB")
        lib.equal(os.stat(root).st_nlink, 2 + sum(os.path.isdir(f"{root}/{n}") for n in os.listdir(root)), "links of the root")


def test_inodes(tmp):
    """Different for each file, the same in listings and in stat, and the same after the caches are dropped."""
    with lib.Mount(saved(sharded.small(), tmp), "part_size=300") as root:
        paths = walk(root)
        first = {p: os.lstat(f"{root}/{p}").st_ino for p in paths}
        lib.equal(len(set(first.values())), len(paths), "different numbers")
        with os.scandir(root) as entries:
            lib.need(all(e.inode() == first[e.name] for e in entries), "readdir and stat disagree")
        if os.geteuid() == 0:
            lib.write("/proc/sys/vm/drop_caches", "2")
        lib.equal({p: os.lstat(f"{root}/{p}").st_ino for p in paths}, first, "numbers after a while")


def test_statfs(tmp):
    with lib.Mount(saved(sharded.small(), tmp)) as root:
        fs = os.statvfs(root)
        lib.need(fs.f_flag & os.ST_RDONLY, "not mounted read-only")
        lib.need(fs.f_flag & os.ST_NOSUID and fs.f_flag & os.ST_NODEV, "not nosuid, nodev")
        lib.equal((fs.f_bavail, fs.f_bfree, fs.f_ffree), (0, 0, 0), "free space of something that takes no bytes")
        lib.need(fs.f_blocks * fs.f_frsize >= os.path.getsize(f"{root}/{MODEL}") and fs.f_namemax == 255, f"{fs}")
        with open("/proc/self/mounts", errors="surrogateescape") as f:
            line = next(li for li in f if li.split()[1] == root).split()
        lib.equal(line[2], "fuse.gatherfs", "type")


def test_large_folder(tmp):
    """Thousands of files are listed once each, whatever the buffer of the reader."""
    model = sharded.Model()
    for i in range(3000):
        model.add(f"w{i}", "U8", [4], sharded.Layout([1], [-1]))
    with lib.Mount(saved(model, tmp), "part_size=4") as root:
        names = [n for n in os.listdir(root) if n.startswith("model-")]
        lib.equal(sorted(names), [f"model-{i:05d}-of-03000.safetensors" for i in range(1, 3001)], "names")
        lib.equal(subprocess.run(["ls", "-A", root], stdout=subprocess.PIPE, check=True).stdout.decode().split(), sorted(os.listdir(root)), "ls")


def mutations(root):
    """(what, how) for everything that would change something."""
    file, new, folder = f"{root}/{MODEL}", f"{root}/new", f"{root}/.gatherfs"
    yield "open for writing", lambda: os.open(file, os.O_WRONLY)
    yield "open for both", lambda: os.open(file, os.O_RDWR)
    yield "open with O_TRUNC", lambda: os.open(file, os.O_RDONLY | os.O_TRUNC)
    yield "create", lambda: os.open(new, os.O_CREAT | os.O_WRONLY)
    yield "create in a folder", lambda: os.open(f"{folder}/new", os.O_CREAT | os.O_WRONLY)
    yield "mkdir", lambda: os.mkdir(new)
    yield "mknod", lambda: os.mknod(new)
    yield "mkfifo", lambda: os.mkfifo(new)
    yield "symlink", lambda: os.symlink("x", new)
    yield "link", lambda: os.link(file, new)
    yield "unlink", lambda: os.unlink(file)
    yield "rmdir", lambda: os.rmdir(folder)
    yield "rename", lambda: os.rename(file, new)
    yield "rename over", lambda: os.rename(file, f"{root}/param_name_map.json")
    yield "truncate", lambda: os.truncate(file, 0)
    yield "chmod", lambda: os.chmod(file, 0o600)
    yield "chmod of the root", lambda: os.chmod(root, 0o700)
    yield "chown", lambda: os.chown(file, os.getuid(), os.getgid())
    yield "utime", lambda: os.utime(file)
    yield "setxattr", lambda: os.setxattr(file, "user.x", b"1")
    yield "removexattr", lambda: os.removexattr(file, "user.x")


def test_nothing_can_be_changed(tmp):
    model = sharded.small()
    with lib.Mount(saved(model, tmp), "ro" if os.getpid() % 2 else "rw") as root:
        for what, change in mutations(root):
            try:
                change()
            except OSError as e:
                lib.equal(errno.errorcode[e.errno], "EROFS", what)
            else:
                raise AssertionError(f"{what} went through")
        lib.same_tensors(lib.tensors_of(root), model.whole())


def test_what_is_not_there(tmp):
    with lib.Mount(saved(sharded.small(), tmp)) as root:
        for name, want in (("nothing", errno.ENOENT), ("rank_0", errno.ENOENT), (f"{MODEL}/x", errno.ENOTDIR), ("x" * 300, errno.ENAMETOOLONG)):
            try:
                os.stat(f"{root}/{name}")
            except OSError as e:
                lib.equal(errno.errorcode[e.errno], errno.errorcode[want], name[:20])
            else:
                raise AssertionError(f"{name} is there")
        for attribute in ("user.x", "security.capability", "system.posix_acl_access"):
            try:
                os.getxattr(f"{root}/{MODEL}", attribute)
            except OSError as e:
                lib.need(e.errno in (errno.ENOTSUP, errno.ENODATA), f"{attribute}: {e}")
            else:
                raise AssertionError(f"{attribute} is there")


def test_modes_and_owners_are_the_sources(tmp):
    """Modes are the AND of the sources', as MindSpore saves them: a mount never widens access by itself."""
    source = saved(sharded.small(), tmp)
    for rank in range(4):
        os.chmod(f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors", 0o440 if rank else 0o644)
        os.chmod(f"{source}/rank_{rank}", 0o750)
    with lib.Mount(source) as root:
        for path in walk(root):
            st = os.stat(f"{root}/{path}")
            want = 0o550 if stat.S_ISDIR(st.st_mode) else 0o440
            lib.equal(oct(st.st_mode & 0o777), oct(want), f"mode of {path or 'the root'}")
            lib.equal((st.st_uid, st.st_gid), (os.getuid(), os.getgid()), f"owner of {path}")


def test_owner_only(tmp):
    """Without allow_other nobody else gets in, whatever the modes say."""
    if os.geteuid() != 0:
        return "not root, so nobody else could be asked to try"
    source = saved(sharded.small(), tmp)
    os.chmod(tmp, 0o755)
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with lib.Mount(source) as root:
        os.chmod(os.path.dirname(root), 0o755)
        lib.need(subprocess.run([*become, "ls", root], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode != 0, "somebody else got in")
    with lib.Mount(source, "allow_other") as root:
        lib.equal(subprocess.run([*become, "cat", f"{root}/param_name_map.json"], stdout=subprocess.DEVNULL).returncode, 0, "allow_other")
    os.chmod(f"{source}/rank_0/net_rank_0-1_10.safetensors", 0o600)
    with lib.Mount(source, "allow_other") as root:
        lib.need(subprocess.run([*become, "cat", f"{root}/{MODEL}"], stderr=subprocess.DEVNULL).returncode != 0, "allow_other widened a source's mode")


if __name__ == "__main__":
    lib.main()
