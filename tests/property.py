#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Property test of layout/: scatter random checkpoints with numpy, gather them with the C code as one model and as the ranks of
another random strategy, compare every byte.

usage: property.py DRIVER [WORKERS]

SEED=n gives other cases (the default is fixed), LAYOUTS=n how many layouts to compare at least, CASES=a-b only these cases of
the seed. A failure prints the line that repeats it. The C driver (prop_driver.c) also compares random ranges of each image
with the same range of the whole, a split of the merge with the direct split, and a merge of the split with the direct merge.
"""
import json
import os
import re
import struct
import subprocess
import sys
import time
from multiprocessing import Process, Queue

from ref import safefile
from ref.cases import Case

SEED = int(os.environ.get("SEED", "20250117"))
LAYOUTS = int(os.environ.get("LAYOUTS", "40000"))
PART_SIZES = [1, 700, 5000, 40000, 3 << 30]


class Different(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Different(message)


def u64(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


class Driver:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, n):
        data = self.process.stdout.read(n)
        need(len(data) == n, f"the driver died ({self.process.poll()})")
        return data

    def number(self):
        return struct.unpack("<Q", self.read(8))[0]

    def text(self):
        return self.read(self.number())

    def ask(self, seed, part_size, index, case):
        """Two answers, of the unified view and of the rank view."""
        out = [u64(seed, part_size, index)]
        for files in (case.strategy_files(), case.rank_files(), case.target_files()):
            out.append(u64(len(files)))
            for tag, data in files:
                out += [u64(tag, len(data)), data]
        out.append(u64(len(case.target.ranks), *case.target.ranks))
        self.process.stdin.write(b"".join(out))
        self.process.stdin.flush()
        return self.answer(), self.answer()

    def answer(self):
        """({path: bytes}, None), or (None, message) for a refusal."""
        status = self.number()
        if status == 0:
            return {self.text().decode(): self.text() for _ in range(self.number())}, None
        message = self.text().decode(errors="replace")
        need(status == 1, message)
        return None, message


def compare(what, got, want):
    need(got.keys() == want.keys(), f"{what}: missing {sorted(want.keys() - got.keys())}, unexpected {sorted(got.keys() - want.keys())}")
    for name, (dtype, shape, data) in want.items():
        need(got[name][:2] == (dtype, shape), f"{what}: {name!r} is {got[name][:2]}, want {(dtype, shape)}")
        need(got[name][2] == data, f"{what}: the bytes of {name!r} ({dtype}{shape}) differ")


def check_index(text, weight_map, total):
    index = json.loads(text)
    need(index["weight_map"] == weight_map, "the index does not say where each tensor is")
    need(index["metadata"]["total_size"] == total, f"total_size {index['metadata']['total_size']}, want {total}")


def check_images(case, images, part_size, hf):
    got, weight_map, parts = {}, {}, sorted(p for p in images if p.startswith("model") and p.endswith(".safetensors"))
    for number, path in enumerate(parts, 1):
        tensors, meta, start = safefile.read(images[path])
        want = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        need(path == want or hf and len(parts) == 1 and path == "model.safetensors", f"{path}, want {want}")
        need(start % 4096 == 0, f"{path}: data starts at {start}")
        need(meta.get("remove_redundancy") != "True", f"{path}: says that redundancy is removed")
        need(not tensors.keys() & got.keys(), f"{path}: a tensor comes twice")
        need(len(tensors) == 1 or sum(len(t[2]) for t in tensors.values()) <= part_size, f"{path} is over part_size")
        got.update(tensors)
        weight_map.update({name: path for name in tensors})
    compare("unified", got, case.expect)
    total = sum(len(t[2]) for t in case.expect.values())
    rest = set(images) - set(parts)
    if hf:
        need(rest == {"model.safetensors.index.json"}, f"files {sorted(rest)}")
        check_index(images["model.safetensors.index.json"], weight_map, total)
    else:
        need(rest == {"param_name_map.json"} | ({"hyper_param.safetensors"} if case.outside else set()), f"files {sorted(rest)}")
        check_index(images["param_name_map.json"], weight_map, total)
        if case.outside:
            compare("outside", safefile.read(images["hyper_param.safetensors"])[0], case.outside)


def check_ranks(case, images):
    want = {f"rank_{r}/{name}" for r in case.target.ranks for name in ("meta.json", f"any_rank_{r}-3_4.safetensors")}
    need(set(images) == want, f"rank view: missing {sorted(want - images.keys())}, unexpected {sorted(images.keys() - want)}")
    for rank in case.target.ranks:
        tensors, meta, start = safefile.read(images[f"rank_{rank}/any_rank_{rank}-3_4.safetensors"])
        need(start % 4096 == 0 and meta["format"] == "ms" and meta["remove_redundancy"] == "False", f"rank {rank}: {meta}, data at {start}")
        compare(f"rank {rank}", tensors, case.target.slices(case, rank))
        resume = json.loads(images[f"rank_{rank}/meta.json"])
        need(resume == {"last_epoch": 3, "last_step": 4, "last_ckpt_file": f"any_rank_{rank}-3_4.safetensors"}, f"rank {rank}: {resume}")


def check_target(case, images, refusal):
    """Compares the rank view; the number of layouts compared."""
    words = case.target.refused
    if words:
        need(refusal is not None, f"a target that does not fit was shown: {words}")
        need(any(w.encode("unicode_escape").decode() in refusal.encode("unicode_escape").decode() or not w.isprintable() for w in words),
             f"the refusal does not name what does not fit, {words}: {refusal}")
        return 0
    need(refusal is None, f"target refused: {refusal}")
    check_ranks(case, images)
    return case.target.count


def check_case(driver, number):
    """Runs one case; the number of layouts that it compared."""
    case = Case(f"{SEED}/{number}")
    part_size, hf = case.rng.choice(PART_SIZES), case.rng.random() < 0.3
    (images, refusal), ranks = driver.ask(number, part_size, int(hf), case)
    if case.partial:
        return check_target(case, *ranks)
    if case.missing:
        need(refusal is not None, f"{case.missing!r} has a block that is nowhere, but was shown")
        need(re.search(r"rank", refusal) and case.missing.encode("unicode_escape").decode() in refusal.encode("unicode_escape").decode()
             or not case.missing.isprintable(), f"the refusal does not name {case.missing!r} and the ranks: {refusal}")
        return 0
    need(refusal is None, f"refused: {refusal}")
    check_images(case, images, part_size, hf)
    return case.count + check_target(case, *ranks)


def work(program, numbers, target, queue):
    """Runs cases until `target` layouts are compared, or numbers end."""
    driver, layouts, cases, number = Driver(program), 0, 0, -1
    try:
        for number in numbers:
            layouts += check_case(driver, number)
            cases += 1
            if layouts >= target:
                break
        queue.put((None, layouts, cases))
    except Exception as e:
        queue.put((f"{type(e).__name__}: {e}\n     to repeat: SEED={SEED} CASES={number}-{number} tests/property.py {program} 1", layouts, cases))


def main():
    program, workers = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2
    lo, hi = map(int, os.environ.get("CASES", "0-99999999").split("-"))
    began, queue = time.time(), Queue()
    processes = [Process(target=work, args=(program, range(lo + w, hi + 1, workers), LAYOUTS // workers, queue)) for w in range(workers)]
    for p in processes:
        p.start()
    results = [queue.get() for _ in processes]
    for p in processes:
        p.join()
    for problem, layouts, cases in results:
        print(f"FAIL property: {problem}" if problem else f"ok   property: {layouts} layouts in {cases} cases, seed {SEED}, {time.time() - began:.1f} s")
    return 1 if any(problem for problem, _, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
