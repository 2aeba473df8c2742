# SPDX-License-Identifier: Apache-2.0
"""steps=all: every complete step has a folder, and a training that goes on can be followed."""
import ctypes
import errno
import json
import mmap
import os
import random
import statistics
import struct
import subprocess
import time

from mount import lib, training
from mount.following import ALL, STEPS, await_steps, daemon, descriptors, remove, same_step, series, shown, state, status, steps_of, strategy
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout


def test_steps_side_by_side(tmp):
    source = series(tmp, {9: ALL, 100: ALL, 20: ALL})
    for rank in ALL:
        training.put(f"{source}/rank_{rank}/net_rank_{rank}_1-1_100.safetensors", training.blob(101, rank), 0o400)
    with lib.Mount(source, STEPS) as root:
        lib.equal(set(os.listdir(root)), {".gatherfs", "latest", "1_9", "1_20", "1_100", "_1-1_100"}, "names in the root")
        lib.equal(os.readlink(f"{root}/latest"), "_1-1_100", "latest: a later task is newer")
        for folder, step in (("1_9", 9), ("1_20", 20), ("1_100", 100), ("_1-1_100", 101), ("latest", 101)):
            same_step(f"{root}/{folder}", step)
            lib.equal(sorted(os.listdir(f"{root}/{folder}/.gatherfs")), ["layout.json", "sources.json"], f".gatherfs of {folder}")
            sources = [s["path"] for s in json.loads(lib.read(f"{root}/{folder}/.gatherfs/sources.json"))["sources"]]
            lib.need(len(sources) == 4 and all(f"-1_{step}." in s or step == 101 for s in sources), f"the sources of {folder}: {sources}")
            lib.equal(len(json.loads(lib.read(f"{root}/{folder}/.gatherfs/layout.json"))["tensors"]), 5, f"tensors of {folder}")
        lib.equal(os.lstat(f"{root}/latest").st_size, len("_1-1_100"), "size of the link")
        lib.equal(os.stat(root).st_nlink, 2 + 5, "links of the root")
        lib.equal(os.stat(f"{root}/1_9/..").st_ino, os.stat(root).st_ino, "the folder above a step")
        lib.equal(os.stat(f"{root}/.gatherfs/..").st_ino, os.stat(root).st_ino, "the folder above .gatherfs")
        lib.equal(sorted(os.listdir(f"{root}/.gatherfs")), ["README", "status", "status.json", "strategy.ckpt"], ".gatherfs")
        paths = [os.path.join(d, n) for d, dirs, files in os.walk(root) for n in dirs + files]
        lib.equal(len({os.lstat(p).st_ino for p in paths}), len(paths), "different numbers")
        with os.scandir(root) as entries:
            lib.need(all(e.inode() == os.lstat(e.path).st_ino for e in entries), "readdir and stat disagree")
        text, found = lib.read(f"{root}/.gatherfs/status").decode(), status(root)
        lib.equal([(s["name"], s["state"]) for s in found["steps"]], [(n, "shown") for n in ("_1-1_100", "1_100", "1_20", "1_9")], "steps")
        lib.equal((found["latest"], found["retired"], found["trouble"]), ("_1-1_100", 0, None), "status")
        lib.need(all(s in text for s in ("4 shown", "latest       _1-1_100", f"{tmp}/strategy")), f"the status: {text}")


def test_rank_views_of_all_steps(tmp):
    target = {(0, n): Layout([4], [0, -1] if len(u.shape) > 2 else [-1]) for n, (_, u) in training.model(0).full.items()}
    to = lib.write(f"{tmp}/to.ckpt", strategy_pb.merged(target))
    with lib.Mount(series(tmp, {1: ALL, 2: ALL}), STEPS, f"to={to}") as root:
        for step in (1, 2):
            want = training.model(step)
            want.layouts = target
            for rank, tensors in want.ranks().items():
                file = f"{root}/1_{step}/rank_{rank}/{training.name(rank, step)}"
                lib.same_tensors(safefile.read_file(file)[0], tensors, f"rank {rank} of step {step}")


def test_refused(tmp):
    source = series(tmp, {1: ALL})
    lib.refused_mount(source, STEPS, "step=1_1", parts=["steps=all", "step=1_1"], code=2)
    lib.refused_mount(source, "steps=newest", parts=["steps", "newest"], code=2)
    lib.refused_mount(source, STEPS, f"strategy={tmp}/no", parts=[f"{tmp}/no"])
    unified = lib.write(f"{tmp}/unified/model.safetensors", safefile.write(training.model(1).whole()))
    lib.refused_mount(os.path.dirname(unified), STEPS, parts=["whole tensors", "steps=all"])
    lib.refused_mount(unified, STEPS, parts=["whole tensors", "steps=all"])
    lib.refused_mount(f"{tmp}/nothing", STEPS, parts=[f"{tmp}/nothing"])
    os.makedirs(f"{source}/rank_9")
    lib.refused_mount(source, STEPS, parts=["rank 9", "0 to 3"])
    os.rmdir(f"{source}/rank_9")
    lib.refused("info", source, "-o", STEPS, parts=["steps", "mount"], code=2)
    os.rename(f"{tmp}/strategy", f"{tmp}/elsewhere")
    lib.refused_mount(source, STEPS, parts=["no strategy"])


def test_before_the_first_step(tmp):
    """The training has just begun: there is neither a rank folder nor a strategy, and all of it comes later."""
    source = f"{tmp}/checkpoint"
    os.makedirs(source)
    with lib.Mount(source, STEPS) as root:
        lib.equal(os.listdir(root), [".gatherfs"], "names in the root")
        lib.need(not os.path.lexists(f"{root}/latest"), "a link to nothing")
        lib.need("no step is complete yet" in lib.read(f"{root}/.gatherfs/status").decode(), "the status does not say so")
        lib.equal(sorted(os.listdir(f"{root}/.gatherfs")), ["README", "status", "status.json"], ".gatherfs")
        strategy(tmp)
        for rank in (3, 1, 0, 2):
            training.save(source, rank, 1)
        await_steps(root, 1)
        same_step(f"{root}/latest", 1)
        lib.need(lib.read(f"{root}/.gatherfs/strategy.ckpt"), "an empty strategy")
        lib.write(f"{tmp}/strategy/ckpt_strategy_rank_0.ckpt", b"junk: it was read, and is not read again")
        for rank in ALL:
            training.save(source, rank, 2)
        await_steps(root, 1, 2)
        same_step(f"{root}/latest", 2)


def test_strategy_comes_last(tmp):
    """Steps that are there before the strategy say why they are not shown, and are when it comes."""
    source = f"{tmp}/checkpoint"
    os.makedirs(source)
    with lib.Mount(source, STEPS) as root:
        for rank in ALL:
            training.save(source, rank, 1)
        lib.wait_for(lambda: "no strategy" in (state(root, "1_1")[1] or ""), "the reason")
        lib.need("no strategy" in status(root)["trouble"], "no trouble")
        strategy(tmp)
        await_steps(root, 1)
        lib.equal(status(root)["trouble"], None, "trouble")
        same_step(f"{root}/latest", 1)


def test_incomplete_then_complete(tmp):
    source = series(tmp, {1: ALL, 2: {0, 2}})
    with lib.Mount(source, STEPS) as root:
        lib.equal(steps_of(root), {"1_1"}, "steps")
        lib.equal(os.readlink(f"{root}/latest"), "1_1", "latest")
        what, why = state(root, "1_2")
        lib.need(what == "incomplete" and "rank_1" in why, f"{what}: {why}")
        lib.need("1_2  incomplete: " in lib.read(f"{root}/.gatherfs/status").decode(), "the text says nothing of it")
        lib.need(not os.path.exists(f"{root}/1_2"), "an incomplete step is there by name")
        training.save(source, 1, 2)
        training.save(source, 3, 2)
        await_steps(root, 1, 2)
        same_step(f"{root}/latest", 2)
        lib.wait_for(lambda: state(root, "1_2") == ("shown", None), "the state")
        remove(source, 2, {1, 3})
        await_steps(root, 1)
        lib.equal(state(root, "1_2")[0], "incomplete", "state")


def test_replicas_do_not_hold_a_step_back(tmp):
    """dp2: each block is in two ranks, so the step is whole with half of them; nothing changes when the others come or go."""
    def replicated(step):
        return sharded.Model(step).add("w", "F32", [8, 8], Layout([2, 2], [0, -1]))
    source = f"{tmp}/checkpoint"
    replicated(1).save(source, "1_1")
    replicated(2).save(source, "1_2", only={2, 3})
    replicated(0).save_strategy(f"{tmp}/strategy")
    with lib.Mount(source, STEPS) as root:
        for ranks in ((), {0, 1}):
            replicated(2).save(source, "1_2", only=ranks)
            lib.wait_for(lambda: [status(root)["steps"][0][k] for k in ("state", "source_files")] == ["shown", 2 + len(ranks)], "all files to be seen")
            lib.same_tensors(lib.tensors_of(f"{root}/latest"), replicated(2).whole())
        for rank in (0, 2):
            os.remove(f"{source}/rank_{rank}/net_rank_{rank}-1_2.safetensors")
        lib.wait_for(lambda: state(root, "1_2")[0] == "incomplete", "the step to go")


def test_broken_then_whole(tmp):
    source = series(tmp, {1: ALL, 2: ALL})
    path, whole = f"{source}/rank_1/{training.name(1, 2)}", training.blob(2, 1)
    training.put(path, whole[:-1], 0o400)
    with lib.Mount(source, STEPS) as root:
        lib.equal(steps_of(root), {"1_1"}, "steps")
        what, why = state(root, "1_2")
        lib.need(what == "broken" and path in why, f"{what}: {why}")
        training.put(path, whole, 0o400)
        await_steps(root, 1, 2)
        same_step(f"{root}/1_2", 2)
        training.put(path, b"short", 0o400)
        await_steps(root, 1)
        lib.need(path in state(root, "1_2")[1], "the reason")
        lib.equal(os.readlink(f"{root}/latest"), "1_1", "latest")


def test_rewritten_under_the_same_name(tmp):
    """A step that is saved again: new bytes under new numbers, and what is open keeps the old ones."""
    source = series(tmp, {1: ALL, 2: ALL})
    with lib.Mount(source, STEPS) as root:
        folder = os.open(f"{root}/1_1", os.O_RDONLY)
        model = next(n for n in os.listdir(f"{root}/1_1") if n.startswith("model-"))
        old, before = open(f"{root}/1_1/{model}", "rb"), os.stat(f"{root}/1_1/{model}").st_ino
        for rank in ALL:
            training.put(f"{source}/rank_{rank}/{training.name(rank, 1)}", training.blob(77, rank), 0o400)
        lib.wait_for(lambda: os.stat(f"{root}/1_1/{model}").st_ino != before, "another number")

        def settled():
            try:
                same_step(f"{root}/1_1", 77)
            except AssertionError:
                return False
            return True
        lib.wait_for(settled, "the new bytes")
        lib.same_tensors(safefile.read(old.read())[0], training.model(1).whole(), "the open file")
        with open(os.open("hyper_param.safetensors", os.O_RDONLY, dir_fd=folder), "rb") as f:
            lib.same_tensors(safefile.read(f.read())[0], training.model(1).hyper(), "a file opened in the old folder")
        same_step(f"{root}/1_2", 2)
        os.close(folder)
        old.close()
        lib.wait_for(lambda: status(root)["retired"] == 0, "the old models to be freed")


def test_written_in_place(tmp):
    """No save does this: a file that is overwritten gives errors, never a mixture, until the step is built anew."""
    source = series(tmp, {1: ALL})
    path = f"{source}/rank_0/{training.name(0, 1)}"
    os.chmod(path, 0o600)
    with lib.Mount(source, STEPS) as root:
        model = next(f"{root}/1_1/{n}" for n in os.listdir(f"{root}/1_1") if n.startswith("model-"))
        fd, before = os.open(model, os.O_RDONLY | os.O_DIRECT), os.stat(model).st_ino
        for step in (2, 1):
            with open(path, "r+b") as f:
                f.write(training.blob(step, 0))
            try:
                os.readv(fd, [mmap.mmap(-1, 1 << 16)])
                raise AssertionError("old and new bytes were mixed")
            except OSError as e:
                lib.equal(e.errno, errno.EIO, "error")
        os.close(fd)
        lib.need(any(path in p["message"] for p in status(root)["problems"]), "the problem is not told")
        lib.wait_for(lambda: os.path.exists(model) and os.stat(model).st_ino != before and status(root)["retired"] == 0, "a new model")

        def built_anew():
            try:  # a model that was made between the two writes gives errors as the first one did
                same_step(f"{root}/1_1", 1)
            except OSError as e:
                lib.equal(e.errno, errno.EIO, "error")
                return False
            return True
        lib.wait_for(built_anew, "the step to be built anew")
        lib.need(any(path in p["message"] for p in status(root)["problems"]), "the problem is forgotten")


def test_a_change_that_nobody_tells(tmp):
    """A new mtime is no event that is waited for, but a look from time to time sees it: this file is not the one that was opened."""
    source = series(tmp, {1: ALL})
    with lib.Mount(source, STEPS) as root:
        before = os.stat(f"{root}/1_1").st_ino
        time.sleep(0.5)
        os.utime(f"{source}/rank_0/{training.name(0, 1)}", (1, 1))
        lib.wait_for(lambda: os.stat(f"{root}/1_1").st_ino != before, "a new model")
        same_step(f"{root}/latest", 1)


def test_open_files_survive_rotation(tmp):
    """Descriptors, mappings, O_DIRECT, a working directory: all of it lasts, and its space comes back when it is closed."""
    rows = 16384  # 6 MiB and more: the kernel does not read all of it ahead
    source, data = series(tmp, {2: ALL}), {rank: training.blob(1, rank, rows) for rank in ALL}
    for rank in ALL:
        training.put(f"{source}/rank_{rank}/{training.name(rank, 1)}", data[rank], 0o400)
    with lib.Mount(source, STEPS, "part_size=4M") as root:
        before = descriptors(daemon(root))
        parts = sorted(f"{root}/1_1/{n}" for n in os.listdir(f"{root}/1_1") if n.startswith("model-"))
        lib.need(len(parts) > 2, "a weak test")
        folder = os.open(f"{root}/1_1", os.O_RDONLY)
        files = [open(p, "rb", buffering=0) for p in parts]
        mapped = [mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) for f in files]
        direct = [os.open(p, os.O_RDONLY | os.O_DIRECT) for p in parts]
        heads = [f.read(4096) for f in files]
        remove(source, 1)
        await_steps(root, 2)
        lib.equal(status(root)["retired"], 1, "models that are gone but in use")
        lib.need(not os.path.exists(f"{root}/1_1"), "a deleted step is there by name")
        tensors = {}
        for f, m, fd, head in zip(files, mapped, direct, heads):
            blob = head + f.read()
            lib.need(m[:] == blob, "the mapping differs")
            with mmap.mmap(-1, len(blob) + 4096) as page:
                lib.equal(os.preadv(fd, [page], 0), len(blob), "a read with O_DIRECT")
                lib.need(page[:len(blob)] == blob, "O_DIRECT differs")
            tensors.update(safefile.read(blob)[0])
        lib.same_tensors(tensors, training.model(1, rows).whole(), "the deleted step")
        with open(os.open(os.path.basename(parts[-1]), os.O_RDONLY, dir_fd=folder), "rb") as f:
            lib.equal(f.read(), mapped[-1][:], "a file opened in the deleted folder")
        os.close(folder)
        for m, f, fd in zip(mapped, files, direct):
            m.close()
            f.close()
            os.close(fd)
        lib.wait_for(lambda: status(root)["retired"] == 0, "the deleted step to be freed")
        lib.wait_for(lambda: descriptors(daemon(root)) == before - 4, "its descriptors to be closed")
        same_step(f"{root}/latest", 2)


def test_how_soon(tmp):
    """From the last rename of a step to the moment at which it can be opened."""
    source, delays = series(tmp, {1: ALL}), []
    with lib.Mount(source, STEPS) as root:
        for step in range(2, 14):
            data = {rank: training.blob(step, rank) for rank in ALL}
            for rank in ALL:
                path = f"{source}/rank_{rank}/{training.name(rank, step)}"
                lib.write(path + ".tmp", data[rank])
                time.sleep(random.uniform(0, 0.02))
                os.rename(path + ".tmp", path)
            began = time.time()
            lib.wait_for(lambda: shown(root, step), f"step {step}")
            delays.append(time.time() - began)
            lib.equal(os.readlink(f"{root}/latest"), f"1_{step}", "latest")
            time.sleep(random.uniform(0, 0.1))
    median, worst = statistics.median(delays), max(delays)
    said = f"median {median * 1000:.0f} ms, at most {worst * 1000:.0f} ms"
    lib.need(median < 2 * lib.SLOW and worst < 10 * lib.SLOW, said)  # a look that nobody asked for comes after five seconds with inotify
    lib.need(median > 0.2 or not os.environ.get("BLIND"), f"not blind: {said}")
    return said


def test_without_inotify(tmp):
    """Where the kernel tells nothing, as on a network filesystem, steps are found all the same."""
    source = lib.write(f"{tmp}/none.c", "#include <errno.h>\nint inotify_init1(int flags) { (void)flags; errno = EMFILE; return -1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{tmp}/none.so", source], check=True)
    before = dict(os.environ)
    os.environ.update(LD_PRELOAD=f"{tmp}/none.so", ASAN_OPTIONS=before.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0", BLIND="1")
    try:
        return test_how_soon(tmp)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_temporary_files(tmp):
    source = series(tmp, {1: ALL})
    with lib.Mount(source, STEPS) as root:
        for rank in ALL:
            for n in (".tmpAbCdEf", "tmpx1y2z3", training.name(rank, 2) + ".tmp", "." + training.name(rank, 2)):
                lib.write(f"{source}/rank_{rank}/{n}", training.blob(2, rank))
        os.makedirs(f"{source}/rank_0/{training.name(0, 3)}")  # no save leaves that
        lib.wait_for(lambda: state(root, "1_3")[0] and training.name(0, 3) in (state(root, "1_3")[1] or ""), "the folder to be seen")
        lib.need(state(root, "1_3")[0] != "shown", f"{state(root, '1_3')}")
        lib.equal(set(os.listdir(root)), {".gatherfs", "latest", "1_1"}, "names in the root")
        lib.equal([s["name"] for s in status(root)["steps"]], ["1_3", "1_1"], "steps")


def test_uncounted_and_twice(tmp):
    source = series(tmp, {1: ALL, 2: ALL})
    lib.write(f"{source}/rank_0/net.safetensors", training.blob(1, 0))
    lib.write(f"{source}/rank_3/other_rank_3-1_2.safetensors", training.blob(2, 3))
    with lib.Mount(source, STEPS) as root:
        lib.equal(steps_of(root), {"1_1"}, "steps")
        lib.need("other_rank_3-1_2.safetensors" in state(root, "1_2")[1], f"{state(root, '1_2')}")
        lib.equal([s["state"] for s in status(root)["steps"]], ["broken", "shown", "broken"], "states")
        os.remove(f"{source}/rank_3/other_rank_3-1_2.safetensors")
        await_steps(root, 1, 2)


def test_source_goes_away(tmp):
    """SOURCE is moved away and comes back; a file that is open does not notice."""
    source = series(tmp, {1: ALL})
    with lib.Mount(source, STEPS) as root:
        model = next(n for n in os.listdir(f"{root}/1_1") if n.startswith("model-"))
        f = open(f"{root}/1_1/{model}", "rb")
        os.rename(source, f"{tmp}/moved")
        lib.wait_for(lambda: steps_of(root) == set(), "the steps to go")
        lib.wait_for(lambda: source in (status(root)["trouble"] or ""), "the trouble to be told")
        lib.same_tensors(safefile.read(f.read())[0], training.model(1).whole(), "the open file")
        f.close()
        os.rename(f"{tmp}/moved", source)
        lib.wait_for(lambda: steps_of(root) == {"1_1"}, "the steps to come back")
        lib.equal(status(root)["trouble"], None, "trouble")
        training.save(source, 0, 2)
        for rank in (1, 2, 3):
            training.save(source, rank, 2)
        await_steps(root, 1, 2)


def getdents(fd):
    """The names that one system call with a small buffer gives: os.scandir asks for all at once."""
    buf = ctypes.create_string_buffer(4096)
    end, at, names = ctypes.CDLL(None, use_errno=True).getdents64(fd, buf, len(buf)), 0, []
    lib.need(end >= 0, f"getdents64: errno {ctypes.get_errno()}")
    while at < end:
        names.append(buf.raw[at + 19:end].split(b"\0")[0].decode())
        at += struct.unpack_from("<H", buf.raw, at + 16)[0]
    return names


def test_listing_while_steps_come_and_go(tmp):
    """Whoever reads the root a page at a time gets each name once, however many come and go meanwhile."""
    source, steps = f"{tmp}/checkpoint", range(10, 410)
    whole = sharded.Model(1).add("w", "U8", [4], Layout([1], [-1]))
    for step in steps:
        whole.save(source, f"1_{step}")
    with lib.Mount(source, STEPS, "strategy=none") as root:
        fd = os.open(root, os.O_RDONLY)
        names = getdents(fd)
        for step in steps[:100]:
            os.remove(f"{source}/rank_0/{training.name(0, step)}")
        whole.save(source, "1_9000")
        lib.wait_for(lambda: shown(root, 9000) and not shown(root, 10), "the steps to change")
        while more := getdents(fd):
            names += more
        os.lseek(fd, 0, os.SEEK_SET)
        again = getdents(fd)
        os.close(fd)
        lib.equal(len(names), len(set(names)), "a name came twice")
        lib.equal(set(names), {".", "..", ".gatherfs", "latest"} | {f"1_{s}" for s in steps}, "names when the listing began")
        lib.need("1_10" in names and "1_10" not in again and "1_110" in again, f"from the beginning it is a new listing: {again}")
        lib.equal(set(os.listdir(root)), {".gatherfs", "latest", "1_9000"} | {f"1_{s}" for s in steps[100:]}, "names now")


if __name__ == "__main__":
    lib.main()
