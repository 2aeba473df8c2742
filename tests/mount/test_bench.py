#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatherfs bench: which file it reads and how much of it; how fast is not for a test to say."""
import json
import os

import numpy as np

import lib
from ref import safefile, sharded
from ref.algebra import Layout

WAYS = ["direct", "direct, two threads", "buffered, cold", "buffered, warm", "mapped, cold", "random 4 KiB"]


def bench(*args):
    for _ in range(10):
        code, out, err = lib.gatherfs("bench", "--json", *args)
        lib.equal((code, err), (0, ""), "bench")
        got = json.loads(out)
        if all(w["seconds"] < 1 for w in got["ways"][:5]):  # else the machine stood still until the time was up
            break
    return got


def check(got, path):
    """All of a file that is read within a second; reads at random are of 4 KiB each."""
    size = os.path.getsize(path)
    lib.equal((got["file"], got["bytes"]), (path, size), "the file")
    lib.equal([w["way"] for w in got["ways"]], WAYS, "ways")
    lib.equal([w["bytes"] for w in got["ways"][:5]], [size] * 5, "bytes read in order")
    last = got["ways"][5]
    lib.need(last["reads"] > 0 and last["bytes"] == last["reads"] * 4096, f"reads at random: {last}")
    lib.need(0 < last["p50_us"] <= last["p99_us"], f"percentiles: {last}")
    lib.need(all(w["seconds"] > 0 for w in got["ways"]), "seconds")


def test_largest_file_of_a_mount(tmp):
    model = sharded.Model(3)
    model.add("w", "F32", [512, 1030], Layout([2], [0, -1])).add_outside("step_num", "I64", [])
    model.save_strategy(f"{tmp}/strategy")
    with lib.Mount(model.save(f"{tmp}/checkpoint")) as root:
        check(bench(root), f"{root}/model-00001-of-00001.safetensors")
        code, out, err = lib.gatherfs("bench", root)
        lib.equal((code, err, out.count("\n")), (0, "", 2 + len(WAYS)), "the table")


def test_what_people_browse_is_no_model(tmp):
    lib.write(f"{tmp}/some/tensors/large.bin", bytes(300000))
    lib.write(f"{tmp}/some/.gatherfs/large.bin", bytes(300000))
    path = f"{tmp}/some/rank_0/model.safetensors"
    lib.write(path, safefile.write({"v": ("F32", [5000], np.arange(5000, dtype=np.float32).tobytes())}))
    check(bench(f"{tmp}/some"), path)
    check(bench(path), path)


def test_nothing_to_read(tmp):
    os.mkdir(f"{tmp}/empty")
    lib.refused("bench", f"{tmp}/empty", parts=[f"{tmp}/empty", "no file"])
    lib.refused("bench", f"{tmp}/missing", parts=[f"{tmp}/missing"])
    lib.refused("bench", parts=["MOUNTPOINT"], code=2)


if __name__ == "__main__":
    lib.main()
