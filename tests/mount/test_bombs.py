# SPDX-License-Identifier: Apache-2.0
"""Input that costs its sender nothing and its reader much: memory and processor time stay bounded, and the end is a view or one message."""
import json
import os
import random
import resource
import socket
import subprocess
import tempfile

from malformed.strategies import Any
from mount import lib
from ref import safefile, strategy_pb
from ref.algebra import Layout
from ref.families import Family, as_files

W = ("F32", [2, 4], bytes(32))
MIB = 1 << 20


def bounded(*args, memory=768 * MIB, seconds=30):
    """Runs the program with limits: (exit code, what it said). Sanitizers need terabytes of address space, so there only time counts."""
    def limit():
        if lib.SLOW == 1:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds * lib.SLOW, seconds * lib.SLOW))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    done = subprocess.run([lib.PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=limit,
                          timeout=55 * lib.SLOW)
    said = done.stdout.decode(errors="replace")
    lib.need(done.returncode in (0, 1), f"{args} ended with {done.returncode}: {said[:500]}")
    return done.returncode, said


def refused(source, *options, parts=(), **limits):
    """A mount that must be refused within limits, in one line."""
    point = tempfile.mkdtemp(prefix="mnt-")
    code, said = bounded("mount", source, point, *[a for o in options for a in ("-o", o)], **limits)
    if code == 0:
        lib.unmount(point)
    os.rmdir(point)
    lib.need(code == 1 and said.count("\n") == 1 and "out of memory" not in said, f"{source} {options}: {code}: {said[:500]}")
    for part in parts:
        lib.need(part in said, f"the message does not say {part!r}: {said}")


def two_ranks(where, layout=Layout([2], [0, -1])):
    for rank in range(2):
        lib.write(f"{where}/src/rank_{rank}/net_rank_{rank}-1_1.safetensors", safefile.write({"w": W}, {"format": "ms"}))
    lib.write(f"{where}/strategy/s.ckpt", strategy_pb.encode(0, {"w": layout}))
    return f"{where}/src"


def test_many_tensors(tmp):
    """A header of hundreds of thousands of tensors of no bytes: all listed."""
    count = 300_000
    entries = ",".join(f'"t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(count))
    lib.write(f"{tmp}/src/x.safetensors", safefile.frame("{" + entries + "}", b""))
    code, said = bounded("info", f"{tmp}/src", "--json")
    lib.need(code == 0 and f"{count}" in said.replace(",", ""), f"{code}: {said[:300]}")


def test_shapes(tmp):
    for i, axis in enumerate((2**53, 2**63, 2**64 - 1, 2**64, 10**300)):
        text = f'{{"w":{{"dtype":"F32","shape":[{axis}],"data_offsets":[0,8]}}}}'
        lib.write(f"{tmp}/{i}/x.safetensors", safefile.frame(text, bytes(8)))
        refused(f"{tmp}/{i}", parts=[f"{tmp}/{i}/x.safetensors"])


def big_strategies():
    """name -> pieces of a strategy file of 100 MB."""
    good = strategy_pb.encode(0, {"w": Layout([2], [0, -1])})
    item = strategy_pb.layout_item("w0123456", Layout([2], [0, -1]))
    return {
        "s.ckpt of zeros": ("s.ckpt", [bytes(100 * MIB)]),
        "s.ckpt of parameters": ("s.ckpt", [good] + [item.replace(b"w0123456", b"v%07d" % i) for i in range(100 * MIB // len(item))]),
        "s.ckpt of one parameter": ("s.ckpt", [good] + [item] * (100 * MIB // len(item))),
        "s.ckpt with an endless matrix": ("s.ckpt", [good, strategy_pb.varint(3 << 3 | 2), strategy_pb.varint(100 * MIB), b"\x12", strategy_pb.varint(100 * MIB - 8),
                                                     b"\x0a", strategy_pb.varint(100 * MIB - 16), b"\x08\x01" * (50 * MIB)]),
        "s.json of brackets": ("s.json", [b"[" * (100 * MIB)]),
        "s.json of numbers": ("s.json", [b'{"a":[', b"1," * (50 * MIB), b"1]}"]),
        "s.json of one string": ("s.json", [b'{"a":"', b"x" * (100 * MIB), b'"}']),
        "s.json of objects": ("s.json", [b'{"a":[', b"{}," * (33 * MIB), b"1]}"]),
    }


def test_big_strategies(tmp):
    source = two_ranks(tmp)
    os.unlink(f"{tmp}/strategy/s.ckpt")
    for what, (name, pieces) in big_strategies().items():
        path = lib.write(f"{tmp}/strategy/{name}", b"".join(pieces))
        refused(source, parts=[path])
        os.unlink(path)


def test_millions_of_ranks(tmp):
    """Folders, matrices, lists of ranks."""
    source = two_ranks(tmp)
    for rank, say in ((2**31 - 1, "0 to 1"), (2**31, "at most 2147483647"), (10**30, "at most 2147483647")):
        lib.write(f"{source}/rank_{rank}/net_rank_{rank}-1_1.safetensors", safefile.write({"w": W}))
        refused(source, parts=[f"rank_{rank}", say])
        os.unlink(f"{source}/rank_{rank}/net_rank_{rank}-1_1.safetensors")
        os.rmdir(f"{source}/rank_{rank}")
    refused(source, "to=same,ranks=0-2147483647", parts=["2147483647"])
    for devices, say in ((1 << 20, "ranks="), (1 << 24, "ranks="), ((1 << 24) + 1, "16777216"), (2**31 - 1, "16777216")):
        target = lib.write(f"{tmp}/to/{devices}.ckpt", strategy_pb.encode(0, {"w": Any([devices], [-1, -1])}))
        refused(source, f"to={target}", parts=["to=", say])
    with lib.Mount(source, f"to={tmp}/to/{1 << 24}.ckpt,ranks=3+16777215") as root:
        lib.equal(sorted(n for n in os.listdir(root) if n.startswith("rank_")), ["rank_16777215", "rank_3"], "the ranks")


def test_deep_json(tmp):
    """In every JSON file that is read."""
    deep = '{"a":' * 500_000
    lib.write(f"{tmp}/u/x.safetensors", safefile.write({"w": W}))
    for name in ("model.safetensors.index.json", "param_name_map.json"):
        path = lib.write(f"{tmp}/u/{name}", deep)
        refused(f"{tmp}/u", parts=[path, "deep"])
        os.unlink(path)
    path = lib.write(f"{tmp}/u/config.json", deep)
    refused(f"{tmp}/u", "names=legacy", parts=[path, "deep"])
    path = lib.write(f"{tmp}/it/iteration_00000001/metadata.json", deep)
    lib.write(f"{tmp}/it/iteration_00000001/m-0000001-0000001.safetensors", safefile.write({"w": W}))
    refused(f"{tmp}/it", parts=["iteration_00000001"])


def test_a_model_of_billions_of_layers(tmp):
    """config.json may say so; nobody counts to it to find that a tensor is missing."""
    experts = {"num_experts": 4, "moe_intermediate_size": 4, "decoder_sparse_step": 1, "mlp_only_layers": []}
    for kind, own, key, missing in (("qwen2", {}, "num_hidden_layers", "model.layers.2."), ("qwen3_moe", experts, "num_experts", "mlp.experts.4.")):
        family = Family(random.Random(1), kind, "BF16", num_hidden_layers=2, **own)
        lib.write(f"{tmp}/u/x.safetensors", safefile.write(as_files(family.hf, "BF16")))
        lib.write(f"{tmp}/u/config.json", json.dumps({**family.config, key: (1 << 34) + 1}))
        refused(f"{tmp}/u", "names=mcore", parts=[missing, "is missing"])


def test_rules_that_explode(tmp):
    """Expressions that the C library would take all memory, all stack or for ever for; names that double at each rule."""
    lib.write(f"{tmp}/u/x.safetensors", safefile.write({"a" * 60: W}))
    for i, (line, say) in enumerate((("(" * 100_000 + "a" + ")" * 100_000 + " b", "1024"), ("a" + "*" * 100_000 + " b", "1024"), ("a" + "+" * 30 + "{1,3} b", "repeat sign"),
                                     ("((a{1,200}){1,200}){1,200} b", "too large"), ("(a*)*(a*)*b\\1\\2 b", "back-reference"), ("a{1,99999999} b", "too large"))):
        refused(f"{tmp}/u", f"rename={lib.write(f'{tmp}/{i}.rules', line)}", parts=["line 1", say])
    refused(f"{tmp}/u", f"rename={lib.write(f'{tmp}/double.rules', 'a aa' + chr(10) + ('a aa' + chr(10)) * 5000)}", parts=["too long"])


def test_long_options(tmp):
    """As long as the kernel lets an argument be; it was 3 GB for the first."""
    lib.write(f"{tmp}/u/x.safetensors", safefile.write({"w": W}))
    point = f"{tmp}/mnt"
    os.mkdir(point)
    code, said = bounded("mount", f"{tmp}/u", point, "-o", "ro," * 40_000)
    lib.need(code == 0, said[:300])
    lib.unmount(point)
    for options in ("x" * 120_000, "filter=" + "x" * 120_000, "step=" + "9" * 120_000, "ranks=" + "1+" * 60_000, "part_size=" + "9" * 120_000, "\\," * 60_000):
        point = tempfile.mkdtemp(prefix="mnt-")
        code = subprocess.run([lib.PROGRAM, "mount", f"{tmp}/u", point, "-o", options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=50 * lib.SLOW)
        if code.returncode == 0:
            lib.unmount(point)
        os.rmdir(point)
        lib.need(code.returncode in (0, 1, 2) and len(code.stderr) < 5000, f"{options[:20]}...: {code.returncode}, {len(code.stderr)} bytes")


def strange(tmp):
    """Kind of file -> a path of that kind."""
    os.mkfifo(f"{tmp}/fifo")
    keep = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tmp)  # a socket's path is short
    keep.bind("sock")
    os.chdir(here)
    keep.close()
    os.symlink("loop", f"{tmp}/loop")
    os.mkdir(f"{tmp}/dir")
    return {"named pipe": f"{tmp}/fifo", "socket": f"{tmp}/sock", "device": "/dev/zero", "levels of symbolic links": f"{tmp}/loop", "a link that leads nowhere": f"{tmp}/nowhere",
            "directory": f"{tmp}/dir"}


def test_strange_files(tmp):
    """Where a file of ours should be there is something else: nothing waits for it, and nothing steps over it as if the model were whole."""
    source, u = two_ranks(tmp), f"{tmp}/u"
    lib.write(f"{u}/b.safetensors", safefile.write({"w": W}))
    for kind, path in strange(tmp).items():
        for place in (f"{source}/rank_0/net_rank_0-1_2.safetensors", f"{u}/a.safetensors", f"{u}/param_name_map.json",
                      f"{u}/model.safetensors.index.json", f"{tmp}/strategy/t.ckpt"):
            os.symlink(path, place)
            refused(u if "/u/" in place else source, parts=[place, kind])
            os.unlink(place)
        if kind == "a link that leads nowhere":
            continue
        for option in ("strategy", "names=hf,recipe", "rename", "to", "with", None):
            if (kind, option) != ("directory", "with"):
                refused(path if option is None else source, *[f"{option}={path}"] * (option is not None), parts=[path])


if __name__ == "__main__":
    lib.main()
