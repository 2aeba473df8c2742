# SPDX-License-Identifier: Apache-2.0
"""Loads every tensor of a mount with Python's safetensors and compares it with the known answer. usage: demo.py MOUNT EXPECTED"""
import glob
import hashlib
import json
import sys

from safetensors import safe_open

SHOWN = ("net.blocks.0.b1", "net.blocks.0.w1", "net.blocks.3.w2", "net.emb.table", "moment1.net.blocks.0.w1")


def main():
    with open(sys.argv[2]) as f:
        want = json.load(f)["ops"][0]["truth"]["*"]
    right, found = 0, set()
    print(f"  {'tensor':26}{'shape':10}{'dtype':10}sha256")
    for path in sorted(glob.glob(f"{sys.argv[1]}/model-*.safetensors")):
        with safe_open(path, framework="numpy") as f:
            for name in f.keys():
                array = f.get_tensor(name)
                found.add(name)
                digest = hashlib.sha256(array.tobytes()).hexdigest()
                good = name in want and digest == want[name]["sha256"] and list(array.shape) == want[name]["shape"]
                right += good
                if name in SHOWN or not good:
                    shape = "x".join(map(str, array.shape))
                    print(f"  {name:26}{shape:10}{array.dtype.name:10}{digest[:16]}  {'right' if good else 'WRONG'}")
    good = right == len(want) and found == set(want)
    print(f"  ...\n{right} of {len(want)} tensors have exactly the values that MindSpore's own merge gives." + ("" if good else " THAT IS WRONG."))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
