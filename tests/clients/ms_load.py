"""argv: DIR WANT.safetensors: the real ms.load_checkpoint of every part of DIR gives what WANT holds, byte for byte."""
import os
import sys

import mindspore as ms

from ref import safefile

root, want = sys.argv[1], safefile.read_file(sys.argv[2])[0]
got = {}
for name in sorted(os.listdir(root)):
    if name.endswith(".safetensors"):
        got.update(ms.load_checkpoint(os.path.join(root, name), format="safetensors"))
bad = [n for n, (_, shape, data) in want.items() if n not in got or list(got[n].shape) != shape or got[n].asnumpy().tobytes() != data]
bad += [n for n in got if n not in want]
print(f"checked {len(want)} parameters, wrong: {bad}")
sys.exit(1 if bad or not want else 0)
