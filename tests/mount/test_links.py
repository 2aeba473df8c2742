# SPDX-License-Identifier: Apache-2.0
"""Links: followed for the one who mounts; with allow_other none that leads out of the folders that were named, unless -o follow."""
import json
import os
import shutil
import subprocess
import sys

from mount import lib, training
from ref import safefile, sharded

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = ["-o follow", "a link leads out of SOURCE"]


def may_let_others_in():
    """allow_other is root's, unless /etc/fuse.conf says otherwise."""
    try:
        return os.geteuid() == 0 or "\nuser_allow_other" in "\n" + lib.read("/etc/fuse.conf").decode()
    except OSError:
        return False


def needs_others(test):
    def tried(tmp):
        return test(tmp) if may_let_others_in() else "not root, and no user_allow_other in /etc/fuse.conf"
    return tried


def as_other(*command):
    """Runs a command as a user who has nothing to do with all this; its exit code and output."""
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*become, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30 * lib.SLOW)
    return done.returncode, done.stdout


def out(tmp, path, how="absolute"):
    """Moves a file or folder out of SOURCE, and puts a link in its place."""
    os.makedirs(f"{tmp}/elsewhere", exist_ok=True)
    there = f"{tmp}/elsewhere/{os.path.basename(path)}"
    os.rename(path, there)
    if how == "chain":  # two links that stay inside, and a third that does not
        os.symlink("second", path)
        os.symlink("third", f"{os.path.dirname(path)}/second")
        path = f"{os.path.dirname(path)}/third"
    os.symlink(os.path.relpath(there, os.path.dirname(path)) if how == "relative" else there, path)


def ranks(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    return model.save(f"{tmp}/checkpoint")


def unified(tmp):
    tensors = sharded.small().whole()
    lib.write(f"{tmp}/model/model.safetensors", safefile.write(tensors))
    lib.write(f"{tmp}/model/model.safetensors.index.json", json.dumps({"weight_map": {n: "model.safetensors" for n in tensors}}))
    lib.write(f"{tmp}/model/config.json", "{}")
    return f"{tmp}/model"


def iteration(tmp):
    shutil.copytree(f"{HERE}/iteration/dp2mp2", f"{tmp}/iterations")
    return f"{tmp}/iterations"


def check_refused(tmp, source, path, how, options=()):
    """What is found at `path` in a folder of the mount is refused by its name, shown to the owner, and shown to all with follow."""
    out(tmp, path, how)
    lib.refused_mount(source, "allow_other", *options, parts=[path, *PARTS])
    for more in ((), ("allow_other", "follow")):
        with lib.Mount(source, *more, *options) as root:
            lib.need(os.listdir(root), "nothing is shown")


@needs_others
def test_out_of_a_source(tmp):
    """Every kind of file that is found in SOURCE, a strategy's folder or with=, by every kind of link."""
    cases = [(ranks, ["checkpoint/rank_1/net_rank_1-1_10.safetensors"], how, ()) for how in ("absolute", "relative", "chain")]
    cases += [(ranks, [path], "relative", ()) for path in ("checkpoint/rank_2", "strategy", "strategy/ckpt_strategy_rank_0.ckpt")]
    cases += [(unified, [f"model/{name}"], "absolute", options) for options in ((), ("index=ms",))
              for name in ("model.safetensors", "model.safetensors.index.json", "config.json")]
    newest = sorted(n for n in os.listdir(f"{HERE}/iteration/dp2mp2") if n.startswith("iteration_"))[-1]
    weights = next(n for n in sorted(os.listdir(f"{HERE}/iteration/dp2mp2/{newest}")) if n.endswith(".safetensors"))
    cases += [(iteration, [f"iterations/{name}"], "absolute", ()) for name in
              ("latest_checkpointed_iteration.txt", newest, f"{newest}/metadata.json", f"{newest}/common.json", f"{newest}/{weights}")]
    for number, (make, paths, how, options) in enumerate(cases):
        here = f"{tmp}/{number}"
        source = make(here)
        for path in paths:
            check_refused(here, source, f"{here}/{path}", how, options)


@needs_others
def test_out_of_what_options_name(tmp):
    """with=, strategy= and to= are folders in which things are found, too; a file that an option names may lie anywhere."""
    source = ranks(tmp)
    lib.write(f"{tmp}/with/config.json", "{}")
    with lib.Mount(source, "allow_other", f"with={tmp}/with") as root:
        lib.equal(lib.read(f"{root}/config.json"), b"{}", "with=")
    check_refused(f"{tmp}/a", source, f"{tmp}/with/config.json", "absolute", [f"with={tmp}/with"])
    shutil.copytree(f"{tmp}/strategy", f"{tmp}/named")
    with lib.Mount(source, "allow_other", f"strategy={tmp}/named", f"to={tmp}/named"):
        pass
    out(f"{tmp}/b", f"{tmp}/named/ckpt_strategy_rank_0.ckpt")
    for options in ([f"strategy={tmp}/named"], [f"to={tmp}/named"]):
        lib.refused_mount(source, "allow_other", *options, parts=[f"{tmp}/named/ckpt_strategy_rank_0.ckpt", *PARTS])
    for options in ([f"strategy={tmp}/named/ckpt_strategy_rank_0.ckpt"], [f"to={tmp}/named/ckpt_strategy_rank_0.ckpt"]):
        with lib.Mount(source, "allow_other", *options) as root:
            lib.need(os.listdir(root), "a file that was named")


@needs_others
def test_links_that_stay(tmp):
    """Inside SOURCE, by whatever way, links are followed for everybody; so is SOURCE itself, and a lone file, when it is a link."""
    source = ranks(tmp)
    want = sharded.small().whole()
    name = "net_rank_1-1_10.safetensors"
    os.rename(f"{source}/rank_1", f"{source}/kept")
    os.symlink("kept", f"{source}/rank_1")
    os.rename(f"{source}/kept/{name}", f"{source}/blob")
    os.symlink(f"{source}/rank_0/../blob", f"{source}/kept/{name}")
    os.symlink(source, f"{tmp}/link")
    for given in (source, f"{tmp}/link", f"{tmp}/link/../link"):
        with lib.Mount(given, "allow_other") as root:
            lib.same_tensors(lib.tensors_of(root), want)
    blob = lib.write(f"{tmp}/blobs/0a1b", safefile.write(want))
    os.makedirs(f"{tmp}/snapshots")
    os.symlink(blob, f"{tmp}/snapshots/model.safetensors")
    with lib.Mount(f"{tmp}/snapshots/model.safetensors", "allow_other") as root:
        lib.same_tensors(lib.tensors_of(root), want)
    lib.refused_mount(f"{tmp}/snapshots", "allow_other", parts=[f"{tmp}/snapshots/model.safetensors", *PARTS])


@needs_others
def test_others_read_what_they_may(tmp):
    """Somebody else reads through the mount what lies in SOURCE; what a link leads to, only with follow, and only as far as its mode lets him."""
    source = unified(tmp)
    secret = lib.write(f"{tmp}/elsewhere/secret", "the owner's")
    os.symlink(secret, f"{source}/notes.txt")
    os.chmod(tmp, 0o755)
    lib.refused_mount(source, "allow_other", parts=[f"{source}/notes.txt", *PARTS])
    for mode, want in ((0o644, (0, b"the owner's")), (0o600, (1, b""))):
        os.chmod(secret, mode)
        with lib.Mount(source, "allow_other,follow") as root:
            os.chmod(os.path.dirname(root), 0o755)
            lib.equal(as_other("cat", f"{root}/notes.txt") if os.geteuid() == 0 else want, want, f"a file of mode {mode:o}")


@needs_others
def test_a_later_step(tmp):
    """A step that comes by a link out of SOURCE is left out, and shown once it is a file; one that was shown is hidden."""
    source = f"{tmp}/checkpoint"
    training.model(0).save_strategy(f"{tmp}/strategy")
    for step in (1, 2):
        for rank in range(4):
            training.save(source, rank, step)
    name = training.name(2, 2)
    with lib.Mount(source, "steps=all", "allow_other") as root:
        lib.wait_for(lambda: os.path.isdir(f"{root}/1_2"), "step 2")
        os.mkdir(f"{tmp}/elsewhere")
        os.link(f"{source}/rank_2/{name}", f"{tmp}/elsewhere/{name}")
        os.symlink(f"{tmp}/elsewhere/{name}", f"{tmp}/link")
        os.rename(f"{tmp}/link", f"{source}/rank_2/{name}")  # the same file, elsewhere, which is open already
        lib.same_tensors(lib.tensors_of(f"{root}/1_2"), training.model(2).whole())
        shutil.copyfile(f"{source}/rank_2/{name}", f"{tmp}/elsewhere/copy")
        os.replace(f"{tmp}/elsewhere/copy", f"{tmp}/elsewhere/{name}")
        lib.wait_for(lambda: not os.path.isdir(f"{root}/1_2"), "step 2 to be hidden")
        text = lib.read(f"{root}/.gatherfs/status").decode()
        lib.need(f"{source}/rank_2/{name}" in text and PARTS[0] in text, f"the status does not tell: {text}")
        lib.equal(sorted(lib.tensors_of(f"{root}/1_1")), sorted(training.model(1).whole()), "step 1")
        os.replace(f"{tmp}/elsewhere/{name}", f"{source}/rank_2/{name}")
        lib.wait_for(lambda: os.path.isdir(f"{root}/1_2"), "step 2 once more")
        lib.same_tensors(lib.tensors_of(f"{root}/1_2"), training.model(2).whole())


FLICKER = """
import os, sys
path, inside, outside = sys.argv[1:]
while True:
    for target in inside, outside:
        os.symlink(target, path + ".new")
        os.rename(path + ".new", path)
"""


@needs_others
def test_a_link_that_flickers(tmp):
    """A file that is a link out of SOURCE half of the time is read from inside, or the mount is refused; never the other file."""
    source, point = ranks(tmp), f"{tmp}/mnt"
    name = "rank_1/net_rank_1-1_10.safetensors"
    sharded.small(99).save(f"{tmp}/elsewhere")
    os.rename(f"{tmp}/elsewhere/{name}", f"{tmp}/other")
    os.mkdir(point)
    os.rename(f"{source}/{name}", f"{source}/rank_1/kept")
    flicker = subprocess.Popen([sys.executable, "-c", FLICKER, f"{source}/{name}", "kept", "../../other"])  # short ones are quick to make
    try:
        lib.wait_for(lambda: os.path.islink(f"{source}/{name}"), "the first link")
        outcomes = []

        def both():
            outcomes.append(lib.gatherfs("mount", source, point, "-o", "allow_other")[0] == 0 and check_and_unmount(point))
            return len(outcomes) >= 40 and len(set(outcomes)) == 2

        lib.wait_for(both, "mounts of both kinds")
    finally:
        flicker.kill()
        flicker.wait()


def check_and_unmount(point):
    lib.same_tensors(lib.tensors_of(point), sharded.small().whole())
    lib.unmount(point)
    return True


if __name__ == "__main__":
    lib.main()
