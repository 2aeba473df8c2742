# SPDX-License-Identifier: Apache-2.0
"""MindSpore Transformers 2.x: its loader takes the unified view of its own iterations and of earlier checkpoints, and goes on from common.json."""
import os
import shutil
import subprocess

from clients.test_clients import script
from mount import lib

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "iteration")
LONE = f"{FIXTURES}/lone/iteration_00000003"


def test_load_iterations(tmp):
    """Every type and every way of cutting, as the loader gives them back from the iteration itself."""
    for key in ("dp2mp2/10", "dp2mp2/20", "unique/20", "mp2pp2/7"):
        name, iteration = key.split("/")
        with lib.Mount(f"{FIXTURES}/{name}", f"step={iteration}", "part_size=1K") as root:
            lib.need("checked 17 parameters, 0 wrong" in script(tmp, "mf_iteration", root, "expected", key), f"{key}: not all were checked")


def test_a_wrong_byte_is_seen(tmp):
    """The test above can fail."""
    shutil.copytree(f"{FIXTURES}/dp2mp2", f"{tmp}/made")
    path = f"{tmp}/made/iteration_00000020/tiny-model-0000000-0000004.safetensors"
    data = bytearray(lib.read(path))
    data[-1] ^= 1
    lib.write(path, data)
    with lib.Mount(f"{tmp}/made") as root:
        try:
            script(tmp, "mf_iteration", root, "expected", "dp2mp2/20")
        except AssertionError as e:
            lib.need("1 wrong" in str(e), f"another failure: {e}")
        else:
            lib.need(False, "the loader took a wrong byte")


def test_resume_an_iteration(tmp):
    with lib.Mount(f"{FIXTURES}/lone", "part_size=8K") as root:
        text = script(tmp, "mf_iteration", root, "resume", LONE)
        lib.need("checked 46 parameters, 0 wrong" in text and "step 0 epoch 0 global_step 3" in text, text[-300:])


def test_resume_an_iteration_as_earlier_versions_do(tmp):
    with lib.Mount(f"{FIXTURES}/lone", "part_size=8K") as root:
        text = script(tmp, "mf_iteration", root, "legacy", LONE)
        lib.need("parameters, 0 wrong" in text and "initial_step 3" in text, text[-300:])


def test_resume_whole_tensors(tmp):
    """What a merge of earlier versions has written has no common.json; the mount of it does, and shows all else as it is."""
    script(tmp, "make_ranks", f"{tmp}/made", "2", "2", "1")
    done = subprocess.run([lib.PROGRAM, "export", f"{tmp}/made/checkpoint", f"{tmp}/whole", "-o", "part_size=4K"], capture_output=True, text=True, timeout=60)
    lib.equal(done.returncode, 0, f"export: {done.stderr}")
    os.unlink(f"{tmp}/whole/common.json")
    with lib.Mount(f"{tmp}/whole") as root:
        lib.equal(sorted(set(os.listdir(root)) - {".gatherfs", "tensors"}), sorted([*os.listdir(f"{tmp}/whole"), "common.json"]), "files")
        text = script(tmp, "mf_iteration", root, "values", "2")
        lib.need("parameters, 0 wrong" in text and "global_step 2" in text, text[-300:])


def test_resume_an_earlier_checkpoint(tmp):
    """Shards with counters as tensors, dp2 x mp2: 2.x goes on from the common.json that the view makes of them."""
    script(tmp, "make_ranks", f"{tmp}/made", "2", "2", "1")
    with lib.Mount(f"{tmp}/made/checkpoint", "part_size=4K") as root:
        text = script(tmp, "mf_iteration", root, "values", "2")
        lib.need("parameters, 0 wrong" in text and "global_step 2" in text, text[-300:])


if __name__ == "__main__":
    lib.main()
