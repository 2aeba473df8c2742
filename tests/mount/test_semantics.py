# SPDX-License-Identifier: Apache-2.0
"""What gatherfs(1) promises under SEMANTICS: every sentence names tests, and the tests are there; and those that are nowhere else."""
import os
import re
import shutil

from mount import lib, namespace, training
from ref import safefile, sharded

PAGE = f"{namespace.ROOT}/mount-helpers/gatherfs.1"


def promises():
    """(sentence, [(file, test)]) of the page."""
    source = lib.read(PAGE).decode()
    source = source[source.index(".Sh SEMANTICS\n"):source.index(".Sh ENVIRONMENT\n")]
    for item in source.split("\n.It\n")[1:]:
        lines = [line for line in item.splitlines() if line != ".El"]
        named = []
        for line in (line[4:] for line in lines if line.startswith(".D1 ")):
            file, names = line.split(": ")
            named += [(file, name) for name in names.split(", ")]
        yield " ".join(line for line in lines if not line.startswith(".D1 ")), named


def test_every_promise_is_tested(_):
    found = list(promises())
    lib.need(len(found) > 20, f"only {len(found)} promises")
    for sentence, named in found:
        lib.need(re.search(r"[a-z] ?\.$", sentence) and not re.search(r"[a-z]\. ", sentence), f"not one sentence: {sentence}")
        lib.need(named, f"no test is named for: {sentence}")
        for file, name in named:
            text = lib.read(f"{namespace.ROOT}/tests/mount/{file}").decode()
            lib.need(re.search(rf"^def {name}\(", text, re.M), f"there is no {name} in {file}, which the page names for: {sentence}")
            lib.need("lib.main()" in text, f"{file} is no program of tests")


def looks(root):
    """All that the files of a mount look like, but for where they come from."""
    return {os.path.relpath(os.path.join(at, n), root): (lib.read(os.path.join(at, n)), os.stat(os.path.join(at, n)).st_mtime_ns, os.stat(os.path.join(at, n)).st_ino)
            for at, folders, files in os.walk(root) for n in files if "/.gatherfs" not in at and not n.endswith((".txt", ".json"))}


def test_a_copy_looks_the_same(tmp):
    """Another folder, other inodes, files made in another order: the same view."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    os.makedirs(f"{tmp}/elsewhere/copy")
    for rank in (2, 0, 3, 1):
        shutil.copytree(f"{source}/rank_{rank}", f"{tmp}/elsewhere/copy/rank_{rank}")
    shutil.copytree(f"{tmp}/strategy", f"{tmp}/elsewhere/strategy")
    for options in ([], ["part_size=700", "index=hf"], ["to=same"]):
        with lib.Mount(source, *options) as a, lib.Mount(f"{tmp}/elsewhere/copy", *options) as b:
            lib.need(len(looks(a)) > 3, "a weak test")
            lib.equal(looks(b), looks(a), f"{options}: a copy of the checkpoint")


def test_owners_that_disagree(tmp):
    """Where sources have several owners or groups, what is shown is that of who mounts."""
    if os.geteuid() != 0:
        return "not root, who alone can give files away"
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    files = [f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors" for rank in range(4)]
    for owners, want in (([(7, 8)] * 4, (7, 8)), ([(7, 8)] * 3 + [(9, 8)], (0, 8)), ([(7, 8), (7, 9)] * 2, (7, 0))):
        for path, (uid, gid) in zip(files, owners):
            os.chown(path, uid, gid)
        with lib.Mount(source) as root:
            for name in ("", "param_name_map.json", "tensors"):
                st = os.stat(f"{root}/{name}")
                lib.equal((st.st_uid, st.st_gid), want, f"{owners}: owner of {name or 'the root'}")
    return None


def test_latest_moves_on(tmp):
    """Through `latest` the next path may be of the next step; through the folder that it named, or that was opened, nothing changes."""
    source = f"{tmp}/checkpoint"
    training.model(0).save_strategy(f"{tmp}/strategy")
    for rank in range(4):
        training.save(source, rank, 1)
    with lib.Mount(source, "steps=all") as root:
        model, = [n for n in os.listdir(f"{root}/latest") if n.startswith("model-")]
        named, folder = f"{root}/{os.readlink(f'{root}/latest')}", os.open(f"{root}/latest", os.O_RDONLY)
        lib.same_tensors(safefile.read_file(f"{root}/latest/{model}")[0], training.model(1).whole())
        for rank in range(4):
            training.save(source, rank, 2)
        lib.wait_for(lambda: os.readlink(f"{root}/latest") == "1_2", "the second step")
        lib.same_tensors(safefile.read_file(f"{root}/latest/{model}")[0], training.model(2).whole(), "latest")
        lib.same_tensors(safefile.read_file(f"{named}/{model}")[0], training.model(1).whole(), "the folder that it named")
        with open(os.open(model, os.O_RDONLY, dir_fd=folder), "rb") as f:
            lib.same_tensors(safefile.read(f.read())[0], training.model(1).whole(), "the folder that was opened")
        os.close(folder)


if __name__ == "__main__":
    lib.main()
