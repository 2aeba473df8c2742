# SPDX-License-Identifier: Apache-2.0
"""The command line: one grammar, one clear line when something is wrong, and a mount that answers when `mount` returns."""
import os
import re
import signal
import subprocess
import tempfile

from mount import lib
from ref import sharded


def saved(tmp, name="checkpoint"):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/{name}")


def mount_with(*args, cwd=None):
    """Runs mount with these arguments and unmounts; what it said."""
    code, out, err = lib.gatherfs("mount", *args, cwd=cwd)
    point = next(os.path.join(cwd or "", a) for a in args if os.path.basename(a.rstrip("/")).startswith("mnt"))
    if lib.mounted(os.path.abspath(point)):
        names = os.listdir(point)
        lib.unmount(os.path.abspath(point))
    else:
        names = None
    lib.equal((code, names is not None), (0, True), f"{args}: {err}{out}; exit code, mounted")
    return names


def test_grammar(tmp):
    """-o lists, several -o, --name value, --name=value, anywhere among the arguments; -- ends them."""
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    want = mount_with(source, point, "-o", "index=hf,part_size=700")
    lib.need(len(want) > 3, "a weak test")
    for args in ([source, point, "-o", "index=hf", "-o", "part_size=700"], [source, "-oindex=hf,part_size=700", point],
                 ["--index", "hf", source, "--part_size=700", point], ["-o", "index=hf,,part_size=700,", source, point],
                 ["--part_size", "700", "--index=hf", "--", source, point],
                 [source, point, "-o", "rw,defaults,_netdev,noauto,nofail,user,x-systemd.automount,x-a=b,comment=c,index=hf,part_size=700"]):
        lib.equal(mount_with(*args), want, f"{args}")
    os.rmdir(point)


def test_wrong_options(tmp):
    source = saved(tmp)
    for option, *parts in (("nonsense", "nonsense"), ("partsize=3", "partsize", "part_size"), ("part_size=3,part_size=4", "part_size", "twice"),
                           ("part_size", "part_size", "value"), ("part_size=0", "part_size"), ("part_size=1X", "part_size", "1X"),
                           ("part_size=-1", "part_size", "-1"), ("part_size=99999999999999999999", "part_size"),
                           ("index=pt", "index", "pt", "ms", "hf"), ("outside=rank1", "outside", "rank1"), ("filter=", "filter"),
                           ("allow_other=1", "allow_other"), ("strategy=/nowhere", "/nowhere"), ("step=", "step"),
                           ("max_threads=0", "max_threads"), ("mode=999", "mode", "999"), ("uid=x", "uid", "x"), ("=3", "name")):
        lib.refused_mount(source, option, parts=parts, code=1 if option.startswith("strategy") else 2)
    for args in ((), ("mount",), ("mount", source), ("mount", "--nonsense", source, tmp), ("nonsense",), ("mount", source, tmp, "-o"),
                 ("umount",), ("-x",)):
        code, out, err = lib.gatherfs(*args)
        lib.need(code == 2 and err and not out, f"{args}: {code} {err!r} {out!r}")


def test_help_and_version(_):
    code, out, err = lib.gatherfs("--version")
    lib.need(code == 0 and re.match(r"gatherfs \d+\.\d+", out) and not err, f"--version: {code} {out!r} {err!r}")
    for args in (("-h",), ("--help",), ("mount", "-h"), ("mount", "--help"), ("umount", "-h"), ("help",)):
        code, out, err = lib.gatherfs(*args)
        lib.need(code == 0 and "mount" in out and not err, f"{args}: {code} {err!r}")
    out = lib.gatherfs("mount", "-h")[1]
    for option in ("strategy", "step", "index", "part_size", "filter", "with", "outside", "allow_other"):
        lib.need(re.search(rf"\b{option}\b", out), f"the help of mount does not tell of {option}")


SOURCES = {"source", "strategy", "step", "filter", "rename", "names", "recipe", "model", "set", "with", "outside", "header_cache", "help"}
VIEWS = SOURCES | {"index", "part_size", "to", "ranks", "prefix"}
OPTIONS = {  # verb -> what applies to it
    "mount": VIEWS | {"steps", "max_threads", "readahead", "cache_budget", "direct_io", "trust_sources", "allow_other", "allow_root",
                      "follow", "default_permissions", "uid", "gid", "mode", "fsname", "foreground", "debug", "quiet", "dry_run", "sloppy"},
    "export": VIEWS | {"max_threads", "uid", "gid", "mode", "json", "quiet", "verify", "restart"},
    "info": VIEWS | {"json", "dry_run"}, "ls": SOURCES | {"json", "quiet"}, "explain": SOURCES | {"json"},
    "stats": SOURCES | {"max_threads", "json", "quiet"}, "check": SOURCES | {"max_threads", "json", "quiet", "values"},
    "diff": SOURCES | {"max_threads", "json", "quiet"}, "digest": SOURCES | {"max_threads", "json", "quiet"},
    "status": {"json", "help"}, "bench": {"json", "help"}, "merge-strategy": {"help"},
    "index": {"source", "strategy", "step", "filter", "outside", "json", "quiet", "help"},
}


def test_each_verb_has_its_options(_):
    """The help of a verb lists what applies to it; the rest is refused, with the verb and where it belongs; nothing is taken and ignored."""
    every = set().union(*OPTIONS.values())
    for verb, own in OPTIONS.items():
        rows = lib.gatherfs("help", verb)[1].partition("\nOptions, as")[2]
        lib.equal(set(re.findall(r"^  ([a-z_]+)(?:=\S+)?(?: |$)", rows, re.M)), own, f"options in the help of {verb}")
        for option in sorted(every - own)[::7]:  # tests/test_options.c has them all
            err = lib.refused(verb, f"--{option}=1", "/a", "/b", code=2)
            first = err.splitlines()[0]
            where = ", ".join(v for v in OPTIONS if option in OPTIONS[v])
            lib.equal(first, f'gatherfs {verb}: option "{option}" does not apply to {verb}; it belongs to {where}', f"{verb} --{option}")


def test_escapes(tmp):
    r"""Commas split; \, and \\ are the only escapes; colons mean nothing."""
    model = sharded.small()
    odd = model.save(f"{tmp}/a,b:c\\d")
    model.save_strategy(f"{tmp}/s,t\\u:v")
    point = tempfile.mkdtemp(prefix="mnt-")
    escaped = f"{tmp}/s,t\\u:v".replace("\\", "\\\\").replace(",", "\\,")
    lib.need(mount_with(odd, point, "-o", f"strategy={escaped}"), "escaped")
    lib.need(mount_with(odd, point, "--strategy", f"{tmp}/s,t\\u:v"), "a value of its own has no escapes")
    os.rmdir(point)
    lib.refused_mount(odd, f"strategy={tmp}/s,t", parts=['"t"'], code=2)


def test_relative_paths(tmp):
    """Resolved before the daemon leaves, which has no working directory of its own."""
    saved(tmp)
    os.mkdir(f"{tmp}/mnt-here")
    for args in (["checkpoint", "mnt-here"], ["./checkpoint/", "./mnt-here/"], ["checkpoint", "mnt-here", "-o", "strategy=strategy"],
                 ["checkpoint/../checkpoint", "mnt-here", "--with", "strategy"]):
        lib.need(mount_with(*args, cwd=tmp), f"{args}")


def test_mount_point(tmp):
    """A directory, empty, not SOURCE and not below it."""
    source = saved(tmp)
    lib.write(f"{tmp}/full/file", "x")
    os.makedirs(f"{source}/below/mnt")
    os.symlink(source, f"{tmp}/link")
    for point, part in ((f"{tmp}/full", "empty"), (f"{tmp}/full/file", "directory"), (f"{tmp}/nowhere", "nowhere"), (f"{source}/below/mnt", source),
                        (source, "mount"), (f"{tmp}/link/below/mnt", "mount")):
        lib.refused("mount", source, point, parts=[part])
    os.mkdir(f"{tmp}/mnt")
    lib.need(mount_with(f"{tmp}/link", f"{tmp}/mnt"), "SOURCE may be a symbolic link")


def test_umount(tmp):
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    lib.equal(lib.gatherfs("mount", source, point)[0], 0, "mount")
    pids = lib.daemons(point)
    lib.equal(len(pids), 1, "daemons")
    lib.equal(lib.gatherfs("umount", point), (0, "", ""), "umount")
    lib.need(not lib.mounted(point), "still mounted")
    lib.wait_for(lambda: not os.path.exists(f"/proc/{pids[0]}"), "the daemon to end")
    lib.refused("umount", point, parts=[point])
    lib.refused("umount", "/nowhere/at/all", parts=["/nowhere/at/all"])
    os.rmdir(point)


def test_umount_busy(tmp):
    """A model in use is not torn away: EBUSY, and it can still be read."""
    with lib.Mount(saved(tmp)) as root:
        with open(f"{root}/param_name_map.json", "rb") as f:
            lib.refused("umount", root, parts=[root])
            lib.need(f.read(1) == b"{", "read after a refused umount")
        with open(f"{root}/param_name_map.json", "rb") as f:
            subprocess.Popen(["sleep", "0.2"], stdin=f)
        lib.equal(lib.gatherfs("umount", root), (0, "", ""), "umount while somebody is about to let go")


def test_signals_end_the_mount(tmp):
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        lib.equal(lib.gatherfs("mount", source, point)[0], 0, "mount")
        pid, = lib.daemons(point)
        os.kill(pid, sig)
        lib.wait_for(lambda: not lib.mounted(point) and not os.path.exists(f"/proc/{pid}"), f"{sig} to end the mount")
    os.rmdir(point)


def test_ignored_signals_end_a_daemon(tmp):
    """A shell in the background ignores SIGINT, nohup SIGHUP; a daemon is no longer theirs."""
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    for sig in (signal.SIGINT, signal.SIGHUP):
        subprocess.run(["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh", lib.PROGRAM, "mount", source, point], check=True,
                       stdout=subprocess.DEVNULL, timeout=30 * lib.SLOW)
        pid, = lib.daemons(point)
        os.kill(pid, sig)
        lib.wait_for(lambda: not lib.mounted(point) and not os.path.exists(f"/proc/{pid}"), f"{sig} to end the mount")
    os.rmdir(point)


def test_children_whose_end_is_ignored(tmp):
    """A shell may ignore SIGCHLD for its children: what those start is gone then before they ask how it ended."""
    with lib.Mount(saved(tmp)) as root:
        again = subprocess.run(["bash", "-c", "trap '' CHLD; exec \"$@\"", "bash", lib.PROGRAM, "mount", tmp, root], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=30 * lib.SLOW)
        lib.need(again.returncode == 1 and "already" in again.stderr and "answer" not in again.stderr, f"exit code {again.returncode}: {again.stderr}")


def test_closed_streams(tmp):
    """No file takes the place of a standard stream that was closed, to be closed with it or written to."""
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    with lib.Mount(source) as root:
        want = lib.tensors_of(root)
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
        subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", lib.PROGRAM, "mount", "-q", source, point], check=True, timeout=30 * lib.SLOW)
        lib.same_tensors(lib.tensors_of(point), want, closed)
        lib.unmount(point)
    os.rmdir(point)


def test_daemon_lets_go(tmp):
    """The daemon holds no stream, folder or terminal of its caller: a pipe to `mount` closes when mount returns."""
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    with lib.Mount(source, point=point, detached=True):
        pid, = lib.daemons(point)
        for fd in (0, 1, 2):
            lib.need(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/dev/null"), f"stream {fd} is {os.readlink(f'/proc/{pid}/fd/{fd}')}")
        lib.equal(os.readlink(f"/proc/{pid}/cwd"), "/", "working directory")
        lib.need(os.getsid(pid) != os.getsid(0), "the daemon is in its caller's session")
    os.rmdir(point)


def test_foreground(tmp):
    source, point = saved(tmp), tempfile.mkdtemp(prefix="mnt-")
    with subprocess.Popen([lib.PROGRAM, "mount", "-f", source, point], stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        lib.wait_for(lambda: lib.mounted(point), "the mount")
        lib.equal(process.poll(), None, "-f stays")
        lib.need(os.listdir(point), "it answers")
        lib.unmount(point)
        lib.equal(process.wait(10 * lib.SLOW), 0, "exit code after umount")
    os.rmdir(point)


def test_status(tmp):
    """Sources, strategy and step in text and JSON."""
    import json
    source = saved(tmp)
    with lib.Mount(source) as root:
        text = lib.read(f"{root}/.gatherfs/status").decode()
        for part in (source, f"{tmp}/strategy", "1_10"):
            lib.need(part in text, f"the status does not tell {part}: {text}")
        status = json.loads(lib.read(f"{root}/.gatherfs/status.json"))
        lib.need(source in json.dumps(status) and "1_10" in json.dumps(status), f"{status}")


def test_mount_says_what_it_used(tmp):
    """Which strategy it read; and a warning when that is newer than the step, as a later training may have rewritten it."""
    source = saved(tmp)
    with lib.Mount(source) as root:
        pass
    os.utime(f"{tmp}/strategy/ckpt_strategy_rank_0.ckpt", (2_000_000_000, 2_000_000_000))
    code, out, err = lib.gatherfs("mount", source, root_of := tempfile.mkdtemp(prefix="mnt-"))
    try:
        lib.equal(code, 0, "exit code")
        lib.need("newer" in err, f"no warning: {err!r} {out!r}")
        lib.need("newer" in lib.read(f"{root_of}/.gatherfs/status").decode(), "no warning in the status")
    finally:
        lib.unmount(root_of)
        os.rmdir(root_of)


if __name__ == "__main__":
    lib.main()
