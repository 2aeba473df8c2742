# SPDX-License-Identifier: Apache-2.0
"""tensors/: every tensor as files in folders, compared with numpy's reading of the same model."""
import ctypes
import errno
import glob
import json
import os
import shutil
import stat
import struct
import subprocess
import threading

import numpy as np
import xxhash

from mount import lib
from ref import safefile, sharded

LIBC = ctypes.CDLL(None, use_errno=True)
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
SAME = {"BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "U32": np.uint32, "I32": np.int32,
        "U64": np.uint64, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64, "C64": np.complex64}


def mounted(tmp, *options):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    return model, lib.Mount(model.save(f"{tmp}/checkpoint"), *options)


def path_of(root, name):
    return f"{root}/tensors/{name.replace('.', '/')}"


def test_every_form(tmp):
    model, mount = mounted(tmp)
    with mount as root:
        tensors = {**model.whole(), **model.hyper()}
        lib.need(len(tensors) > 4, "a weak test")
        for name, (dtype, shape, data) in tensors.items():
            path = path_of(root, name)
            lib.need(lib.read(f"{path}.bin") == data, f"{name}.bin")
            array = np.load(f"{path}.npy", mmap_mode="r")
            lib.need(array.tobytes() == data, f"{name}.npy: bytes")
            if dtype in SAME:
                lib.equal((array.dtype, array.shape), (np.dtype(SAME[dtype]), tuple(shape)), f"{name}.npy")
            del array  # its mapping keeps the mount busy
            told = json.loads(lib.read(f"{path}.json"))
            lib.equal((told["name"], told["dtype"], told["shape"], told["bytes"]), (name, dtype, list(shape), len(data)), f"{name}.json")
            for part in told["parts"]:
                with open(part["file"], "rb") as f:
                    for r in part["ranges"]:
                        f.seek(r["offset"])
                        lib.equal(len(f.read(r["bytes"])), r["bytes"], f"{name}: a range of {part['file']}")
            text = lib.read(f"{path}.txt").decode()
            lib.need(f"name      {name}\n" in text and f"shape     {list(shape)}\n" in text, f"{name}.txt: {text}")
        files = [p for p in glob.glob(f"{root}/tensors/**", recursive=True) if os.path.isfile(p)]
        lib.equal(len(files), 4 * len(tensors), "files")


def test_parts_hold_the_tensor(tmp):
    """The parts of NAME.json are enough for another tool to gather the tensor by itself."""
    model, mount = mounted(tmp)
    with mount as root:
        for name, (dtype, shape, data) in model.whole().items():
            told = json.loads(lib.read(f"{path_of(root, name)}.json"))
            count = int(np.prod(shape))
            if not count or len(data) % count or len(data) // count not in UNSIGNED:
                continue
            whole = np.zeros(shape, UNSIGNED[len(data) // count])
            for part in told["parts"]:
                raw = b"".join(lib.read(part["file"])[r["offset"]:r["offset"] + r["bytes"]] for r in part["ranges"])
                box = tuple(slice(s, s + c) for s, c in zip(part["start"], part["count"]))
                whole[box] = np.frombuffer(raw, whole.dtype).reshape(part["count"])
            lib.need(whole.tobytes() == data, f"{name}: gathered by NAME.json")


def test_sizes_are_exact(tmp):
    """What stat says is what reading gives, so that tar, rsync and cp take all of it."""
    _, mount = mounted(tmp)
    with mount as root:
        for folder, folders, files in os.walk(f"{root}/tensors"):
            lib.equal(os.stat(folder).st_nlink, 2 + len(folders), f"{folder}: links")
            for name in files:
                lib.equal(os.stat(f"{folder}/{name}").st_size, len(lib.read(f"{folder}/{name}")), f"{folder}/{name}: size")
                lib.need(not name.endswith(".safetensors"), name)
        subprocess.run(["tar", "-cf", f"{tmp}/all.tar", "-C", root, "tensors"], check=True)
        os.mkdir(f"{tmp}/out")
        subprocess.run(["tar", "-xf", f"{tmp}/all.tar", "-C", f"{tmp}/out"], check=True)
        subprocess.run(["cp", "-a", f"{root}/tensors", f"{tmp}/copy"], check=True)
        subprocess.run(["rsync", "-a", f"{root}/tensors/", f"{tmp}/synced/"], check=True)
        for copy in (f"{tmp}/out/tensors", f"{tmp}/copy", f"{tmp}/synced"):
            lib.equal(subprocess.run(["diff", "-r", f"{root}/tensors", copy]).returncode, 0, copy)
            subprocess.run(["chmod", "-R", "u+w", copy], check=True)


def test_root_is_the_parent(tmp):
    _, mount = mounted(tmp)
    with mount as root:
        for path in (f"{root}/tensors", *glob.glob(f"{root}/tensors/*/")):
            lib.equal(os.stat(f"{path}/..").st_ino, os.stat(os.path.dirname(path.rstrip("/"))).st_ino, f"{path}/..")
        listed = {e.name: e.inode() for e in os.scandir(root)}
        lib.equal(listed["tensors"], os.stat(f"{root}/tensors").st_ino, "inode in the listing")
        lib.need(not os.path.exists(f"{root}/tensors/nothing.txt"), "a name that is not there")


def test_a_folder_that_nobody_has_entered(tmp):
    """What is told of tensors/ before it is made is what it is then, whatever the names: without a dot, with a first part that is empty,
    long, escaped, or in two places of the order; and whatever is asked first."""
    names = ["alone", "a.b", "a.c.d", "a01.x", "a1.w", "a01.z", "a1.y", ".x", "..y", "l" * 300 + ".w", "m" * 251, "50%.c", "slash/ed.e", "a-b.c"]
    tensors = {name: ("F32", [2], bytes(8)) for name in names}
    os.mkdir(f"{tmp}/source")
    lib.write(f"{tmp}/source/model.safetensors", safefile.write(tensors))
    firsts = (os.stat, lambda path: os.listdir(path), lambda path: os.open(path, os.O_RDONLY | os.O_DIRECTORY), os.listxattr,
              lambda path: os.stat(f"{path}/alone.txt"), lambda path: os.stat(f"{path}/.."), lambda path: os.path.exists(f"{path}/none"))
    for first in firsts:
        with lib.Mount(f"{tmp}/source") as root:
            got, told = first(f"{root}/tensors"), os.stat(f"{root}/tensors")
            folders = [e for e in os.scandir(f"{root}/tensors") if e.is_dir()]
            lib.equal((told.st_nlink, stat.S_ISDIR(told.st_mode)), (2 + len(folders), True), "links")
            lib.need(len(folders) == 9, f"a weak test: {folders}")
            lib.equal(os.stat(f"{root}/tensors"), told, "stat afterwards")
            if first is os.open or isinstance(got, int) and not isinstance(got, bool):
                lib.equal(os.fstat(got), told, "fstat")
                os.close(got)


def test_listing_makes_no_tree(tmp):
    """Who lists a mount waits for no folder that he does not enter: the daemon's memory does not grow by the nodes of 20,000 files."""
    tensors = {f"model.layers.{i}.weight": ("U8", [1], b"1") for i in range(20000)}
    os.mkdir(f"{tmp}/source")
    lib.write(f"{tmp}/source/model.safetensors", safefile.write(tensors))

    def anonymous(pid):
        return int(next(line.split()[1] for line in lib.read(f"/proc/{pid}/smaps_rollup").decode().splitlines() if line.startswith("Anonymous:")))

    with lib.Mount(f"{tmp}/source", "header_cache=off", detached=True) as root:  # it is written, and the mount looked at, when that is there
        (pid,) = lib.daemons(root)
        before = anonymous(pid)
        lib.need([e for e in os.scandir(root) if e.stat()], "an empty mount")
        listed = anonymous(pid)
        os.listdir(f"{root}/tensors")
        entered = anonymous(pid)
        lib.need(entered - before >= 4096, f"a weak test: {entered - before} KiB for the tree")
        lib.need(listed - before <= 1024, f"{listed - before} KiB for a listing")


def handle_of(path):
    """The handle of a file, as an NFS server gives it to its clients."""
    handle, mount = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128)), ctypes.c_int()
    done = LIBC.name_to_handle_at(-100, path.encode(), handle, ctypes.byref(mount), 0)
    lib.equal(done, 0, f"{path}: name_to_handle_at, errno {ctypes.get_errno()}")
    return handle


def test_handles_outlive_the_daemon(tmp):
    """A folder in tensors/ that a client has known is found again by another daemon, whose tree nobody has entered."""
    _, mount = mounted(tmp)
    with mount as root:
        folder = next(e.path for e in os.scandir(f"{root}/tensors") if e.is_dir())
        handles = {path: (handle_of(path), sorted(os.listdir(path))) for path in (f"{root}/tensors", folder)}
    for handle, names in handles.values():
        with lib.Mount(f"{tmp}/checkpoint") as root:
            at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            fd = LIBC.open_by_handle_at(at, handle, os.O_RDONLY | os.O_DIRECTORY)
            code = ctypes.get_errno()
            os.close(at)
            if fd < 0 and code == errno.EPERM:
                return "only root can open a handle"
            lib.need(fd >= 0, f"open_by_handle_at: {os.strerror(code)}")
            lib.equal(sorted(os.listdir(fd)), names, "what is in the folder")
            os.close(fd)


def test_first_looks_at_once(tmp):
    """The tree is made once, whoever comes first."""
    _, mount = mounted(tmp)
    with mount as root:
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(sorted(os.listdir(f"{root}/tensors")))) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        lib.need(len(seen) == 16 and all(names == seen[0] for names in seen) and seen[0], "listings differ")


def test_a_source_that_changed(tmp):
    """A text cannot be written without its values: opening it fails, and nothing else does."""
    model, mount = mounted(tmp)
    with mount as root:
        name, _ = sorted(model.whole().items())[0]
        part = json.loads(lib.read(f"{path_of(root, name)}.json"))["parts"][0]
        os.truncate(part["file"], 100)
        try:
            lib.read(f"{path_of(root, name)}.txt")
            lib.need(False, "the text of a truncated source could be read")
        except OSError:
            pass
        lib.need(os.listdir(f"{root}/tensors"), "the folder is gone")


def test_steps(tmp):
    """Each step of a training has its own."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint"), "steps=all") as root:
        step = f"{root}/latest"
        for name, (_, _, data) in model.whole().items():
            lib.need(lib.read(f"{path_of(step, name)}.bin") == data, f"{name}.bin")


def test_attributes(tmp):
    """user.gatherfs.*: what a file is made of; the hash is computed for who asks for it by name."""
    model, mount = mounted(tmp)
    with mount as root:
        image = f"{root}/model-00001-of-00001.safetensors"
        lib.equal(os.getxattr(image, "user.gatherfs.tensors").decode(), str(len(model.whole())), "tensors of an image")
        for name, (dtype, shape, _) in model.whole().items():
            path = f"{path_of(root, name)}.bin"
            got = {n: os.getxattr(path, n).decode() for n in os.listxattr(path)}
            files = [part["file"] for part in json.loads(lib.read(f"{path_of(root, name)}.json"))["parts"]]
            lib.equal(got, {"user.gatherfs.name": name, "user.gatherfs.dtype": dtype, "user.gatherfs.shape": str(list(shape)),
                            "user.gatherfs.sources": "\n".join(sorted(set(files)))}, path)
        for path in (image, f"{path_of(root, name)}.npy", f"{path_of(root, name)}.txt"):
            lib.equal(os.getxattr(path, "user.gatherfs.xxh3").decode(), xxhash.xxh3_128_hexdigest(lib.read(path)), f"{path}: xxh3")
        for path, attribute in ((image, "user.gatherfs.dtype"), (root, "user.gatherfs.sources"), (image, "security.selinux"), (image, "user.other")):
            try:
                os.getxattr(path, attribute)
                lib.need(False, f"{path} has {attribute}")
            except OSError as e:
                lib.equal(e.errno, errno.ENODATA, f"{path}: {attribute}")
        lib.equal(os.listxattr(root), [], "attributes of a folder")
        said = subprocess.run(["getfattr", "-d", "--absolute-names", f"{path_of(root, name)}.npy"], stdout=subprocess.PIPE, check=True).stdout.decode()
        lib.need(f'user.gatherfs.dtype="{dtype}"' in said and f'user.gatherfs.shape="{list(shape)}"' in said, f"getfattr -d: {said}")


def test_records(tmp):
    """.gatherfs/layout.json is enough to gather every tensor without us; sources.json says which files these are."""
    model, mount = mounted(tmp)
    with mount as root:
        layout = {t["name"]: t for t in json.loads(lib.read(f"{root}/.gatherfs/layout.json"))["tensors"]}
        lib.equal(layout.keys(), {**model.whole(), **model.hyper()}.keys(), "tensors in layout.json")
        for name, told in layout.items():
            alone = json.loads(lib.read(f"{path_of(root, name)}.json"))
            del alone["corners"]
            lib.equal(told, alone, f"layout.json: {name}")
        sources = json.loads(lib.read(f"{root}/.gatherfs/sources.json"))["sources"]
        used = {part["file"] for t in layout.values() for part in t["parts"]}
        lib.need(used <= {s["path"] for s in sources}, "layout.json uses files that sources.json does not list")
        for s in sources:
            st = os.stat(s["path"])
            lib.equal((s["bytes"], s["mtime_ns"], s["inode"]), (st.st_size, st.st_mtime_ns, st.st_ino), s["path"])
        for name in os.listdir(f"{root}/.gatherfs"):
            lib.equal(os.stat(f"{root}/.gatherfs/{name}").st_size, len(lib.read(f"{root}/.gatherfs/{name}")), f"{name}: size")


def test_ranks_that_are_not_there(tmp):
    """A rank view needs some ranks only: of a tensor that it does not need whole, nothing is told but what is there."""
    model = sharded.small()
    folder = model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    shutil.rmtree(f"{source}/rank_3")
    shutil.rmtree(f"{source}/rank_1")
    with lib.Mount(source, f"to={folder}", "ranks=0") as root:
        there = {os.path.dirname(p) for p in glob.glob(f"{source}/*/*.safetensors")}
        parts = [p for t in json.loads(lib.read(f"{root}/.gatherfs/layout.json"))["tensors"] for p in t["parts"]]
        lib.need(parts and all(os.path.dirname(p["file"]) in there for p in parts), "layout.json")
        shown = {name: data for name, (_, _, data) in model.whole().items() if os.path.exists(f"{path_of(root, name)}.bin")}
        lib.need(0 < len(shown) < len(model.whole()), f"tensors that are told of: {sorted(shown)}")
        for name, data in shown.items():
            lib.need(lib.read(f"{path_of(root, name)}.bin") == data, f"{name}: the bytes differ")
        for folder, _, files in os.walk(root):
            for path in (f"{folder}/{name}" for name in files):
                lib.equal(os.stat(path).st_size, len(lib.read(path)), f"{path}: size")
                for attribute in os.listxattr(path):
                    os.getxattr(path, attribute)


if __name__ == "__main__":
    lib.main()
