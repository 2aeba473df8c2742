# SPDX-License-Identifier: Apache-2.0
"""Reading files in every way, and folders of every size (tests/readside.c and tests/folders.c have the calls)."""
import errno
import os
import re
import subprocess

from mount import lib
from ref import safefile, sharded

BUILT = f"{os.path.dirname(lib.PROGRAM)}/tests"


def run(program, *args):
    done = subprocess.run([f"{BUILT}/{program}", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=50 * lib.SLOW)
    said = done.stdout.decode()
    lib.need(done.returncode == 0 and re.fullmatch(r"\d+ calls, 0 failed\n", said), f"{program} {args}: {said}")


def test_files(tmp):
    """A file that is one source's, files that are gathered from rows and from blocks, and one that is made of numbers."""
    model = sharded.large(rows=1020)
    whole = model.whole()
    unified = lib.write(f"{tmp}/model/model.safetensors", safefile.write(whole))
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    with lib.Mount(f"{tmp}/model") as root:
        run("readside", f"{root}/model.safetensors", unified, f"{tmp}/other")
    with lib.Mount(source) as root:
        for name in ("columns", "rows"):
            run("readside", f"{root}/tensors/{name}.bin", lib.write(f"{tmp}/{name}", whole[name][2]), f"{tmp}/other")
        lib.equal(lib.gatherfs("export", source, f"{tmp}/exported")[0], 0, "export")
        for name in ("model-00001-of-00001.safetensors", "param_name_map.json"):
            run("readside", f"{root}/{name}", f"{tmp}/exported/{name}", f"{tmp}/other")


def test_folders(tmp):
    """Small ones, and one of 50,000 entries."""
    tensors = {f"t{n}": ("U8", [1], bytes([n % 251])) for n in range(12500)}
    lib.write(f"{tmp}/model/model.safetensors", safefile.write(tensors))
    with lib.Mount(f"{tmp}/model", "index=hf") as root:
        run("folders", f"{root}/tensors", 4 * len(tensors))
        run("folders", root, len(os.listdir(root)))
        run("folders", f"{root}/.gatherfs", len(os.listdir(f"{root}/.gatherfs")))
        for n in (0, 1, 250, 12499):
            lib.equal(lib.read(f"{root}/tensors/t{n}.bin"), bytes([n % 251]), f"t{n}")


def test_long_names(tmp):
    """Names of up to 255 bytes, those of files that show through among them; a tensor's longer name takes several folders."""
    names = ["x" * 249, "é" * 124, "long" * 200]
    tensors = {name: ("U8", [2], b"ab") for name in names}
    lib.write(f"{tmp}/model/model.safetensors", safefile.write(tensors))
    small = ["n" * 255, "ü" * 127 + "n"]
    for name in small:
        lib.write(f"{tmp}/model/{name}", name)
    with lib.Mount(f"{tmp}/model") as root:
        lib.same_tensors(lib.tensors_of(root), tensors)
        for name in small:
            lib.equal(lib.read(f"{root}/{name}").decode(), name, name[:9])
        for name in names[:2]:
            lib.equal(lib.read(f"{root}/tensors/{name}.json")[:1], b"{", name[:9])
        found = [os.path.join(at, n) for at, _, files in os.walk(f"{root}/tensors") for n in files if n.endswith(".bin")]
        lib.equal([lib.read(path) for path in found], [b"ab"] * 3, "tensors")
        lib.need(max(len(os.fsencode(part)) for path in found for part in path.split("/")) <= 255, "a name that is too long")
        run("folders", root, len(os.listdir(root)))


def test_links_and_the_root(tmp):
    """`latest` is a link that O_NOFOLLOW does not follow; `..` of the root is the folder that it is mounted in."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint"), "steps=all") as root:
        lib.equal(os.readlink(f"{root}/latest"), "1_10", "latest")
        lib.need(os.path.samestat(os.stat(f"{root}/latest/"), os.stat(f"{root}/1_10")), "latest/")
        lib.need(os.path.samestat(os.stat(f"{root}/.."), os.stat(os.path.dirname(root))), "..")
        lib.need(os.path.samestat(os.stat(f"{root}/1_10/.."), os.stat(root)), "1_10/..")
        for flags, want in ((os.O_RDONLY | os.O_NOFOLLOW, errno.ELOOP), (os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, errno.ENOTDIR)):
            try:
                os.close(os.open(f"{root}/latest", flags))
            except OSError as e:
                lib.equal(errno.errorcode[e.errno], errno.errorcode[want], f"flags {flags:o}")
            else:
                raise AssertionError("a link was followed")
        run("folders", f"{root}/1_10", len(os.listdir(f"{root}/1_10")))


if __name__ == "__main__":
    lib.main()
