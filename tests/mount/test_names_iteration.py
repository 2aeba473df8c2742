# SPDX-License-Identifier: Apache-2.0
"""-o names= of a checkpoint of MindSpore Transformers 2.x: several ranks, with copies of slices and without, whole, as ranks, and live."""
import json
import os
import random

import numpy as np

from mount import lib
from mount.test_names import NAMINGS, cut, save_ms, sets, shows, with_config
from ref import iterations, safefile, sharded
from ref.algebra import Layout
from ref.families import Family, as_files

SEED = int(os.environ.get("SEED", "1"))
COUNTERS = {"epoch_num", "step_num", "global_step", "loss_scale", "global_batch_size"}


def with_state(arrays):
    """Parameters and the two moments of each, whose elements are other ones."""
    return {**arrays, **{f"adam_m.{n}": np.bitwise_not(a) for n, a in arrays.items()}, **{f"adam_v.{n}": a ^ 21 for n, a in arrays.items()}}


def of_hugging_face(family):
    return as_files(family.hf, family.dtype)


def drawn(kind, rng):
    """Namings of a family with a random model each."""
    for names, values, of in NAMINGS[kind]:
        yield names, values, of, Family(rng, kind, rng.choice(["BF16", "F32", "F16"]), num_hidden_layers=rng.choice([1, 3]))


def from_an_iteration(tmp, kind):
    rng = random.Random(SEED)
    for n, (names, values, of, family) in enumerate(drawn(kind, rng)):
        model, hf = cut(rng, family, with_state(of(family))), of_hugging_face(family)
        lib.need(any(p > 1 for la in model.layouts.values() for p in la.parts()), "a weak test")
        at = f"{tmp}/{n}"
        config = with_config(at, family)
        for unique in (False, True):
            source = iterations.save(model, f"{at}/{unique}", 20, unique)
            what = f"{kind} {names} {family.config} unique {unique}"
            try:
                said = shows(source, hf, "names=hf", config, *sets(values), index="hf")
                lib.need(any("optimizer state" in s for s in said), f"no warning: {said}")
                shows(source, as_files(with_state(of(family)), family.dtype), f"names={names}", config, *sets(values))
                for other, to in [(o, t) for o, others, t in NAMINGS[kind] if not others and o != "mcore-train"]:
                    shows(source, as_files(with_state(to(family)), family.dtype), f"names={other}", config, *sets(v for v in values if "interleaved" in v))
            except Exception as e:
                raise AssertionError(f"{what}: {e}") from e


def test_llama(tmp):
    from_an_iteration(tmp, "llama")


def test_qwen2(tmp):
    from_an_iteration(tmp, "qwen2")


def test_qwen3(tmp):
    from_an_iteration(tmp, "qwen3")


def test_qwen3_moe(tmp):
    from_an_iteration(tmp, "qwen3_moe")


def test_deepseek_v3(tmp):
    from_an_iteration(tmp, "deepseek_v3")


def test_fused_from_plain(tmp):
    """An iteration with the names of inference as what training has, moments included; whole, and as the ranks of another strategy."""
    rng = random.Random(SEED)
    for n, (kind, dtype) in enumerate((("qwen3", "BF16"), ("qwen3_moe", "F32"))):
        family = Family(rng, kind, dtype, num_hidden_layers=2, tie_word_embeddings=False)
        infer, train = with_state(family.mcore()), family.mcore_train(family.config.get("use_interleaved_weight_layout_mlp", True))
        target = cut(rng, family, train)
        strategy, config = target.save_strategy(f"{tmp}/{n}/target"), with_config(f"{tmp}/{n}", family)
        want = as_files(train, dtype)
        for unique in (False, True):
            source = iterations.save(cut(rng, family, infer), f"{tmp}/{n}/{unique}", 7, unique)
            with lib.Mount(source, "names=mcore-train", config) as root:
                got = lib.tensors_of(root)
                lib.same_tensors({t: v for t, v in got.items() if not t.startswith("adam_")}, want, f"{kind} unique {unique}")
                lib.equal(set(got), {p + t for t in want for p in ("", "adam_m.", "adam_v.")}, "names")
                inverted = as_files({t: np.bitwise_not(a) for t, a in train.items()}, dtype)
                lib.same_tensors({t[7:]: v for t, v in got.items() if t.startswith("adam_m.")}, inverted, "the first moment")
                lib.equal(json.loads(lib.read(f"{root}/common.json"))["step_num"], 7, "common.json")
            with lib.Mount(source, "names=mcore-train", "filter=adam_", f"to={strategy}", config) as root:
                for rank, own in target.ranks().items():
                    name, = (f for f in os.listdir(f"{root}/rank_{rank}") if f.endswith(".safetensors"))
                    got = safefile.read_file(f"{root}/rank_{rank}/{name}")[0]
                    lib.equal(set(got) - set(own), COUNTERS, f"rank {rank}: beside the parameters")
                    lib.same_tensors({t: v for t, v in got.items() if t in own}, own, f"{kind} unique {unique}: rank {rank}")


def test_steps(tmp):
    """step= and steps=all: each iteration has the other names."""
    rng, hf = random.Random(SEED), {}
    for number in (10, 20):
        family = Family(random.Random(number), "qwen3", "BF16", num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=2, hidden_size=4,
                        intermediate_size=6, vocab_size=8, tie_word_embeddings=True)
        iterations.save(cut(rng, family, with_state(family.mcore_train())), f"{tmp}/run", number)
        hf[number] = of_hugging_face(family)
    config = with_config(tmp, family)
    lib.need(hf[10] != hf[20], "a weak test")
    for number, want in hf.items():
        shows(f"{tmp}/run", want, "names=hf", config, f"step={number}", index="hf")
    shows(f"{tmp}/run", hf[20], "names=hf", config, index="hf")
    with lib.Mount(f"{tmp}/run", "steps=all", "names=hf", config) as root:
        for number, want in hf.items():
            lib.wait_for(lambda: f"iteration_{number:08d}" in os.listdir(root), "the iteration")
            lib.same_tensors(lib.tensors_of(f"{root}/iteration_{number:08d}"), want, str(number))


def test_from_fused_to_fused(tmp):
    """One view does not do both; the mount of a mount does, and the message says so."""
    recipe = lib.write(f"{tmp}/toy.recipe", """family toy
names legacy
weave in.turns : (f 1+1) h
of a : f h
of b : f h
names mcore-train
weave one.after.the.other : (1+1 f) h
of a : f h
of b : f h
""")
    a, b = (np.arange(12, dtype=np.uint16).reshape(4, 3) + k for k in (0, 100))
    turns, after = as_files({"in.turns": np.stack([a, b], 1).reshape(8, 3)}, "BF16"), as_files({"one.after.the.other": np.concatenate([a, b])}, "BF16")
    for source, want, names in ((save_ms(f"{tmp}/turns", turns), after, "mcore-train"), (save_ms(f"{tmp}/after", after), turns, "legacy")):
        lib.refused_mount(source, f"names={names}", f"recipe={recipe}", parts=[next(iter(want)), f"mount that mount with names={names}", "names=hf", "fused"])
        with lib.Mount(source, "names=hf", f"recipe={recipe}") as root:
            lib.same_tensors(lib.tensors_of(root), as_files({"a": a, "b": b}, "BF16"), names)
            shows(root, want, f"names={names}", f"recipe={recipe}")


def both_kinds(tmp):
    """A training that went over to the new form: ranks and iterations side by side, with other bytes."""
    old, new = sharded.small(1), sharded.small(2)
    old.save_strategy(f"{tmp}/strategy")
    new.outside.clear()
    new.layouts = {key: Layout(la.dev, la.tensor_map) for key, la in new.layouts.items()}
    iterations.save(new, f"{tmp}/checkpoint", 20)
    old.save(f"{tmp}/checkpoint", step="1_20")
    return f"{tmp}/checkpoint", old.whole(), new.whole()


def test_ranks_and_iterations(tmp):
    """Nothing says which is meant, so the user must; what is named is taken, and nothing else."""
    source, old, new = both_kinds(tmp)
    said = [source, "both rank_N and iteration_N", "step=iteration_N", "step=EPOCH_STEP", "strategy="]
    for options in ([], ["step=20"], ["to=same"]):
        lib.refused_mount(source, *options, parts=said)
    lib.refused("info", source, parts=said)
    shows(source, new, "step=iteration_00000020")
    shows(source, new, "step=iteration_20")
    shows(source, old, "step=1_20")
    shows(source, old, f"strategy={tmp}/strategy")
    shows(f"{source}/iteration_00000020", new)
    lib.refused_mount(source, "step=iteration_00000021", parts=["iteration_00000021", "no such iteration"])
    lib.refused_mount(source, "step=1_21", parts=["1_21"])
    lib.refused_mount(source, "step=iteration_20", f"strategy={tmp}/strategy", parts=["strategy= is of no use"])


def test_all_steps_of_ranks_and_iterations(tmp):
    source, old, new = both_kinds(tmp)
    lib.refused_mount(source, "steps=all", parts=[source, "both rank_N and iteration_N", "strategy=", "links"])
    with lib.Mount(source, "steps=all", f"strategy={tmp}/strategy") as root:
        lib.wait_for(lambda: "1_20" in os.listdir(root), "the step")
        lib.same_tensors(lib.tensors_of(f"{root}/1_20"), old)
    os.mkdir(f"{tmp}/links")
    os.symlink(f"{source}/iteration_00000020", f"{tmp}/links/iteration_00000020")
    with lib.Mount(f"{tmp}/links", "steps=all") as root:
        lib.wait_for(lambda: "iteration_00000020" in os.listdir(root), "the iteration")
        lib.same_tensors(lib.tensors_of(f"{root}/iteration_00000020"), new)
        os.symlink(f"{source}/rank_0", f"{tmp}/links/rank_0")
        lib.wait_for(lambda: "both rank_N and iteration_N" in lib.read(f"{root}/.gatherfs/status").decode(), "a word in the status")
        lib.same_tensors(lib.tensors_of(f"{root}/iteration_00000020"), new, "what was shown")


if __name__ == "__main__":
    lib.main()
