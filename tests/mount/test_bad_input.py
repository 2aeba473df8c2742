# SPDX-License-Identifier: Apache-2.0
"""Bad input is refused at mount, in one line that names the file, the tensor, the field, what was expected and what was found."""
import os

from malformed.headers import HEADERS
from malformed.strategies import STRATEGIES, Any
from mount import lib
from ref import safefile, sharded, strategy_pb
from ref.algebra import Layout

W = ("F32", [2, 4], bytes(32))


def each(cases, check):
    """Runs check(name, case) for all cases; one failure that lists all that went wrong."""
    wrong = []
    for i, (name, case) in enumerate(cases.items()):
        try:
            check(i, name, case)
        except Exception as e:
            wrong.append(f"{name}: {type(e).__name__}: {e}".strip())
    lib.need(not wrong, f"{len(wrong)} of {len(cases)}:\n     " + "\n     ".join(wrong))
    return f"{len(cases)} cases"


def two_ranks(where, tensors=({"w": W}, {"w": W}), layouts=None):
    """rank_0 and rank_1 with these tensors, and their strategy beside them."""
    for rank, named in enumerate(tensors):
        lib.write(f"{where}/src/rank_{rank}/net_rank_{rank}-1_1.safetensors", safefile.write(named, {"format": "ms"}))
    lib.write(f"{where}/strategy/s.ckpt", strategy_pb.encode(0, layouts or {"w": Layout([2], [0, -1])}))
    return f"{where}/src"


def test_headers(tmp):
    """As a file of a unified directory, and as the shard of a rank."""
    def check(i, name, case):
        data, parts = case
        path = lib.write(f"{tmp}/{i}/u/x.safetensors", data)
        lib.refused_mount(os.path.dirname(path), parts=[path, *parts])
        source = two_ranks(f"{tmp}/{i}/r")
        path = lib.write(f"{source}/rank_1/net_rank_1-1_1.safetensors", data)
        lib.refused_mount(source, parts=[path, *parts])
    return each(HEADERS, check)


def test_order_in_the_header_is_free(tmp):
    """No flaw: the JSON may list tensors in another order than their bytes lie, as safetensors' own readers allow."""
    two = {"b": ("F32", [2], bytes(range(8))), "a": ("I8", [3], b"abc")}
    lib.write(f"{tmp}/src/x.safetensors", safefile.write(two, None, ["a", "b"]))
    with lib.Mount(f"{tmp}/src", "part_size=1G") as root:
        lib.same_tensors(lib.tensors_of(root), two)


def test_strategies(tmp):
    def check(i, name, case):
        files, parts = case
        source = two_ranks(f"{tmp}/{i}")
        os.unlink(f"{tmp}/{i}/strategy/s.ckpt")
        for file, data in files.items():
            lib.write(f"{tmp}/{i}/strategy/{file}", data)
        lib.refused_mount(source, parts=parts)
    return each(STRATEGIES, check)


SHARDS = {  # name -> (tensors of rank 0, of rank 1, layouts, what must be said)
    "dtypes that differ": ({"w": W}, {"w": ("I32", [2, 4], bytes(32))}, None, ["rank_1", '"w"', "dtype", "I32", "F32"]),
    "shapes that differ": ({"w": W}, {"w": ("F32", [4, 2], bytes(32))}, None, ["rank_1", '"w"', "shape", "4, 2", "2, 4"]),
    "axes that differ": ({"w": W}, {"w": ("F32", [8], bytes(32))}, None, ["rank_1", '"w"', "8", "2"]),
    "a shape that does not fit the strategy": ({"w": ("F32", [8], bytes(32))}, {"w": W}, None, ["rank_0", '"w"', "8", "2"]),
    "a block that no rank has": ({"w": W}, {"v": W}, {"w": Layout([2], [0, -1]), "v": Layout([2], [-1, -1])}, ['"w"', "rank_1"]),
    "a cut inside a byte": ({"w": ("F4", [2, 3], bytes(3))}, {"w": ("F4", [2, 3], bytes(3))}, {"w": Layout([2], [-1, 0])}, ['"w"', "F4", "byte"]),
    "nothing but accumulators": ({"accu_grads.w": W}, {"accu_grads.w": W}, {"accu_grads.w": Layout([2], [0, -1])}, ["nothing"]),
}


def test_shards(tmp):
    def check(i, name, case):
        zero, one, layouts, parts = case
        lib.refused_mount(two_ranks(f"{tmp}/{i}", (zero, one), layouts), parts=parts)
    return each(SHARDS, check)


def test_a_whole_that_overflows(tmp):
    """Each slice is small (it has no bytes: one axis is 0), but the whole has an axis of 2^67."""
    slices = {"w": ("F32", [2**50, 0], b"")}
    layout = Any([2**10, 2**7], [[1, 0], [-1]], nested=True)
    lib.refused_mount(two_ranks(tmp, (slices, slices), {"w": layout}), parts=['"w"'])


def test_missing_rank(tmp):
    """The message names the tensor and the ranks that would hold the block."""
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint", only={0, 2, 3})
    lib.refused_mount(source, parts=["rank_1"])
    lib.refused_mount(model.save(f"{tmp}/alone", only={1, 2, 3}), f"strategy={tmp}/strategy", parts=["rank_0"])


def test_rank_beyond_the_strategy(tmp):
    model = sharded.small()
    model.save_strategy(f"{tmp}/strategy")
    source = model.save(f"{tmp}/checkpoint")
    os.rename(f"{source}/rank_3", f"{source}/rank_4")
    lib.refused_mount(source, parts=["rank_4", "3"])


def test_stages_that_disagree(tmp):
    """A parameter that two stages share has one shape and one dtype."""
    for i, (shape, dtype, parts) in enumerate([([8, 8], "F16", ["8, 8", "8, 4"]), ([8, 4], "BF16", ["BF16", "F16"])]):
        model, other = sharded.pipeline(), sharded.pipeline()
        other.add("embedding", dtype, shape)
        files = {r: (model if r < 2 else other).ranks()[r] for r in range(4)}
        model.save_strategy(f"{tmp}/{i}/strategy")
        lib.refused_mount(model.save(f"{tmp}/{i}/src", files=files), parts=['"embedding"', *parts])


def test_sources_that_are_none(tmp):
    os.mkdir(f"{tmp}/empty")
    lib.write(f"{tmp}/other/readme.txt", "no checkpoint")
    lib.write(f"{tmp}/ckpt/rank_0/net_rank_0-1_1.ckpt", "x")
    lib.write(f"{tmp}/file.bin", "x")
    os.makedirs(f"{tmp}/hollow/rank_0")
    for name, *parts in (("empty", "rank_N", ".safetensors"), ("other", "rank_N", ".safetensors"), ("ckpt", ".ckpt"), ("file.bin", ".safetensors"),
                         ("hollow", ".safetensors"), ("nowhere", "No such file")):
        lib.refused_mount(f"{tmp}/{name}", parts=[f"{tmp}/{name}", *parts])


def test_twice_in_a_unified_directory(tmp):
    for part in ("a", "b"):
        lib.write(f"{tmp}/src/{part}.safetensors", safefile.write({"w": W}))
    lib.refused_mount(f"{tmp}/src", parts=["b.safetensors", '"w"', "a.safetensors"])


def test_names_cannot_forge_a_line(tmp):
    """Control characters of a name do not reach the terminal, and the message stays one line."""
    lib.write(f"{tmp}/src/x.safetensors", safefile.frame({"evil\n\x1b[2Jgatherfs: all is well": {"dtype": "F31", "shape": [], "data_offsets": [0, 4]}}, bytes(4)))
    said = lib.refused_mount(f"{tmp}/src", parts=["\\x0A", "\\x1B"])
    lib.need("\x1b" not in said, "an escape sequence went through")


def test_a_strange_file_of_a_later_step(tmp):
    """A step of which one rank has a named pipe is chosen like any other, and then refused; an earlier one can be asked for."""
    source = two_ranks(f"{tmp}/a")
    os.mkfifo(f"{source}/rank_0/net_rank_0-1_2.safetensors")
    lib.refused_mount(source, "step=1_2", parts=["net_rank_0-1_2.safetensors", "named pipe"])
    with lib.Mount(source, "step=1_1"):
        pass


if __name__ == "__main__":
    lib.main()
