# SPDX-License-Identifier: Apache-2.0
"""What comes with the program: where it is installed, whether the man pages and the completion know what the help knows, and
whether units and pages are accepted by the tools that read them."""
import os
import re
import stat
import subprocess

from mount import lib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HELPERS = f"{ROOT}/mount-helpers"
DOC = "usr/share/doc/gatherfs"
INSTALLED = {  # path: (mode, source, or where a link leads)
    "usr/bin/gatherfs": (0o755, lib.PROGRAM),
    "sbin/mount.gatherfs": (None, "/usr/bin/gatherfs"),
    "sbin/mount.fuse.gatherfs": (None, "/usr/bin/gatherfs"),
    "usr/share/man/man1/gatherfs.1": (0o644, f"{HELPERS}/gatherfs.1"),
    "usr/share/man/man8/mount.gatherfs.8": (0o644, f"{HELPERS}/mount.gatherfs.8"),
    "usr/share/bash-completion/completions/gatherfs": (0o644, None),
    "usr/lib/systemd/system/gatherfs@.service": (0o644, f"{HELPERS}/gatherfs@.service"),
    f"{DOC}/README.md": (0o644, f"{ROOT}/README.md"),
    f"{DOC}/copyright": (0o644, f"{ROOT}/LICENSE"),
    **{f"{DOC}/examples/{name}": (0o644, f"{HELPERS}/{name}")
       for name in ("fstab.example", "gatherfs.conf", "srv-model.mount", "srv-model.automount")},
    **{f"usr/share/gatherfs/recipes/{name}.recipe": (0o644, f"{ROOT}/layout/recipes/{name}.recipe")
       for name in ("deepseek_v3", "llama", "qwen2", "qwen3", "qwen3_moe")},
}


def run(*args, env=None, **more):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * lib.SLOW,
                          env={**os.environ, **(env or {})}, **more)
    return done.returncode, done.stdout.decode(errors="replace")


def quiet(*args, **more):
    """Runs what must succeed and say nothing."""
    lib.equal(run(*args, **more), (0, ""), " ".join(args[:4]))


def make(target, dest, *more):
    code, said = run("make", "-s", "-C", ROOT, f"B={os.path.dirname(lib.PROGRAM)}", target, f"DESTDIR={dest}", *more,
                     env={"MAKEFLAGS": "", "MFLAGS": "", "MAKELEVEL": ""})
    lib.need(code == 0, f"make {target}: {said}")


def files_below(folder):
    return {os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names}


def check_installed(dest, path, mode, source, prefix):
    place = f"{dest}/{path}"
    if mode is None:
        return lib.equal(os.readlink(place), source.replace("/usr/", f"{prefix}/"), path)
    lib.equal(stat.S_IMODE(os.stat(place).st_mode), mode, f"mode of {path}")
    if source:
        want = lib.read(source)
        if source != lib.PROGRAM:
            want = want.replace(b"/usr/bin/", f"{prefix}/bin/".encode()).replace(b"/usr/share/", f"{prefix}/share/".encode())
        lib.need(lib.read(place) == want, f"{path} is not {source}")
    return None


def test_install_and_uninstall(tmp):
    """Everything is where Debian expects it, and nothing else; uninstall takes all of it away, but no configuration."""
    for prefix in ("/usr", "/usr/local", "/opt/g"):
        dest = f"{tmp}{prefix}-dest"
        make("install", dest, f"PREFIX={prefix}")
        want = {re.sub("^usr/", f"{prefix[1:]}/", path): rest for path, rest in INSTALLED.items()}
        lib.equal(files_below(dest), set(want), f"installed with PREFIX={prefix}")
        for path, (mode, source) in want.items():
            check_installed(dest, path, mode, source, prefix)
        lib.need(os.path.isdir(f"{dest}/etc/gatherfs"), "no /etc/gatherfs")
        if prefix == "/usr":
            lib.write(f"{dest}/etc/gatherfs/mine.conf", "SOURCE=/x\n")
        make("uninstall", dest, f"PREFIX={prefix}")
        lib.equal(files_below(dest), {"etc/gatherfs/mine.conf"} if prefix == "/usr" else set(), "left behind")
        left = [at for at, _, _ in os.walk(dest) if "gatherfs" in os.path.basename(at)]
        lib.equal(left, [f"{dest}/etc/gatherfs"] if prefix == "/usr" else [], "folders left behind")


def test_installed_program_runs(tmp):
    make("install", tmp, "PREFIX=/usr")
    lib.equal(run(f"{tmp}/usr/bin/gatherfs", "--version"), run(lib.PROGRAM, "--version"), "version")
    os.symlink(f"{tmp}/usr/bin/gatherfs", f"{tmp}/mount.gatherfs")
    code, said = run(f"{tmp}/mount.gatherfs", "-h")
    lib.need(code == 0 and said.startswith("usage: mount.gatherfs SOURCE MOUNTPOINT"), f"{code} {said}")


# What the help tells, taken from its output.

def verbs():
    """verb -> what is behind it in its line of usage."""
    out = lib.gatherfs("help")[1]
    names = re.findall(r"^  ([a-z][a-z-]*) ", out, re.M)
    lib.need(len(names) > 3, f"no verbs in {out}")
    return {name: re.match(rf"usage: gatherfs {name} ?(.*)\n", lib.gatherfs("help", name)[1]).group(1) for name in names}


def options():
    """option -> its value in the help, "" for none; of all verbs."""
    found = {}
    for verb in verbs():
        rows = lib.gatherfs("help", verb)[1].partition("\nOptions, as")[2]
        found.update(re.findall(r"^  ([a-z_]+)(?:=(\S+))?(?: |$)", rows, re.M))
    lib.need(len(found) > 20, f"only {len(found)} options")
    return found


def page(name):
    """The source of a man page, and what mandoc makes of it, without overstrikes, on wide lines."""
    code, text = run("mandoc", "-T", "utf8", "-O", "width=200", f"{HELPERS}/{name}")
    lib.equal(code, 0, f"mandoc {name}")
    return lib.read(f"{HELPERS}/{name}").decode(), re.sub(".\b", "", text)


def section(text, name):
    return re.search(rf"^{name}\n(.*?)(?=^\S|\Z)", text, re.M | re.S).group(1)


def test_man_page_has_all_verbs(_):
    source, text = page("gatherfs.1")
    synopsis = re.findall(r"^ +gatherfs ([a-z-]+) ?(.*?) *$", section(text, "SYNOPSIS"), re.M)
    lib.equal(dict(synopsis), verbs(), "SYNOPSIS against the usage of the help")
    told = re.findall(r"^\.It Cm (\S+)$", source[source.index(".Sh VERBS"):source.index(".Sh OPTIONS")], re.M)
    lib.equal(sorted(told), sorted(verbs()), "VERBS")


def test_man_page_has_all_options(_):
    source, _ = page("gatherfs.1")
    source = source[source.index(".Sh OPTIONS"):source.index(".Sh WHAT A MOUNT SHOWS")]
    told = {name: value for name, value in re.findall(r"^\.It Cm ([a-z_]+)(?: Ns = Ns (?:Ar|Li) (\S+))?$", source, re.M)}
    lib.equal(told, options(), "options of the man page against the help")
    for name in re.search(r"^\.It Cm (.* , .*)$", source, re.M).group(1).split(" , "):
        lib.need("is refused" in lib.gatherfs("mount", "-o", name, "/a", "/b")[2], f"{name} is not refused")


def test_man_page_has_the_exit_codes(_):
    _, text = page("gatherfs.1")
    told = set(re.findall(r"^ +(\d+) +\S", section(text, "EXIT STATUS"), re.M))
    lib.equal(told, set(re.findall(r"(\d) [a-z]", re.search("Exit codes: (.*)", lib.gatherfs("help")[1]).group(1))), "exit codes")


def test_man_pages_are_clean(_):
    for name in ("gatherfs.1", "mount.gatherfs.8"):
        said = run("mandoc", "-T", "lint", "-W", "style", f"{HELPERS}/{name}")[1].splitlines()
        lib.equal([line for line in said if "referenced manual not found" not in line and "outdated mandoc.db" not in line], [],
                  f"mandoc -T lint {name}")  # which pages of others there are depends on the machine
        code, said = run("sh", "-c", 'man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>&1 >/dev/null', "sh", f"{HELPERS}/{name}",
                         env={"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""})
        lib.equal((code, said), (0, ""), f"man --warnings {name}")


# The completion, asked as bash does it: the words, cut at = and :, and the number of the one in hand.

def completion(tmp):
    path = f"{tmp}/completion.bash"
    code, said = run("sh", f"{HELPERS}/completion.sh", lib.PROGRAM)
    lib.equal(code, 0, said)
    return lib.write(path, said)


def complete(script, *words, cwd=None):
    code, said = run("bash", "--norc", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gatherfs; '
                     '((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; exit 0', "bash", script, "gatherfs", *words, cwd=cwd)
    lib.equal(code, 0, said)
    return said.splitlines()


def test_completion_is_clean(tmp):
    quiet("bash", "-n", completion(tmp))
    quiet("shellcheck", completion(tmp), f"{HELPERS}/completion.sh")


def test_completion_of_verbs_and_options(tmp):
    script = completion(tmp)
    lib.equal(complete(script, ""), [*verbs(), "--help", "--version"], "verbs")
    lib.equal(complete(script, "merge"), ["merge-strategy"], "merge")
    lib.equal(complete(script, "help", ""), list(verbs()), "help's argument")
    lib.equal(complete(script, "umount", "-"), ["-l"], "umount")
    lib.equal(complete(script, "mount", "-o", "part"), ["part_size="], "an option with a value")
    lib.equal(complete(script, "mount", "-o", "allow_o"), ["allow_other"], "an option without one")
    lib.equal(complete(script, "mount", "-o", "index", "=", "hf,part"), ["hf,part_size="], "the second option")
    lib.equal(complete(script, "mount", "a", "--part"), ["--part-size"], "a long option")
    lib.equal([complete(script, verb, "--verify") for verb in ("mount", "export", "umount")], [[], ["--verify"], []], "export's own option")
    for option, value in options().items():
        want = option + ("=" if value else "")
        lib.need(any(want in complete(script, verb, "-o", option) for verb in verbs()), f"-o {want} is not completed by any verb")


def test_completion_of_values(tmp):
    script = completion(tmp)
    for name in ("some folder", "soup,with", "file.ckpt"):
        (os.mkdir if "." not in name else lambda path: lib.write(path, ""))(f"{tmp}/{name}")
    for words, want in (((["mount", "-o", "index", "="]), ["ms", "hf"]), (["mount", "-o", "index", "=", "h"], ["hf"]),
                        (["mount", "--index", ""], ["ms", "hf"]), (["mount", "--index", "=", "m"], ["ms"]),
                        (["export", "-oindex", "=", "m"], ["ms"]), (["mount", "-o", "index", "=", "hf,outside", "="], ["rank0"]),
                        (["mount", "so"], ["some folder", "soup,with"]), (["mount", "some\\ f"], ["some folder"]),
                        (["mount", "-o", "with", "=", "sou"], ["soup\\,with"]), (["mount", "--with", "sou"], ["soup,with"]),
                        (["mount", "--with", "f"], []), (["mount", "--strategy", "f"], ["file.ckpt"]), (["mount", "--step", "f"], []),
                        (["mount", "--names", "m"], ["mcore", "mcore-train"]), (["mount", "--strategy", "n"], ["none"])):
        lib.equal(sorted(complete(script, *words, cwd=tmp)), sorted(want), f"{words}")


def test_completion_of_mount_points(tmp):
    from ref import sharded
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    os.mkdir(f"{tmp}/mnt with space")
    with lib.Mount(model.save(f"{tmp}/checkpoint"), point=f"{tmp}/mnt with space"):
        lib.equal(complete(completion(tmp), "umount", f"{tmp}/mn"), [f"{tmp}/mnt with space"], "umount")


# systemd

def test_units_are_accepted(tmp):
    """By systemd-analyze verify, which also looks whether programs and man pages exist."""
    make("install", f"{tmp}/dest", "PREFIX=/usr")
    unit = lib.read(f"{tmp}/dest/usr/lib/systemd/system/gatherfs@.service").decode()
    lib.write(f"{tmp}/units/gatherfs@model.service", unit.replace("/usr/bin/gatherfs", lib.PROGRAM))
    for name in ("srv-model.mount", "srv-model.automount"):
        lib.write(f"{tmp}/units/{name}", lib.read(f"{tmp}/dest/{DOC}/examples/{name}"))
    env = {"MANPATH": f"{tmp}/dest/usr/share/man", "SYSTEMD_LOG_TARGET": "console"}
    units = [f"{tmp}/units/{name}" for name in sorted(os.listdir(f"{tmp}/units"))]
    quiet("systemd-analyze", "verify", *units, env=env)
    lib.write(units[0], lib.read(units[0]).decode().replace("Type=notify", "Type=nonsense"))
    lib.need("nonsense" in run("systemd-analyze", "verify", *units, env=env)[1], "verify accepts anything")


def test_fstab_example_is_parsed(_):
    said = run("findmnt", "--verify", "-F", f"{HELPERS}/fstab.example")[1]
    lib.need("0 parse errors" in said and "/srv/ranks" in said, said)


if __name__ == "__main__":
    lib.main()
