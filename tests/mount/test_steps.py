# SPDX-License-Identifier: Apache-2.0
"""One step serves all ranks: the newest that all needed ranks have, or the one that -o step= names."""
import os

from mount import lib
from mount.rankviews import warnings
from ref import sharded
from ref.algebra import Layout


def model(seed):
    return sharded.Model(seed).add("w", "F32", [4, 4], Layout([2], [0, -1])).add("b", "F32", [4], Layout([2], [-1]))


def series(tmp, steps):
    """A SOURCE with these steps, {step: (seed, ranks)}, and its strategy."""
    for step, (seed, ranks) in steps.items():
        model(seed).save(f"{tmp}/checkpoint", step, only=ranks)
    model(0).save_strategy(f"{tmp}/strategy")
    return f"{tmp}/checkpoint"


def shows(source, seed, *options):
    with lib.Mount(source, *options) as root:
        lib.same_tensors(lib.tensors_of(root), model(seed).whole(), f"{options}")
        return lib.read(f"{root}/.gatherfs/status").decode()


def test_newest_is_a_number(tmp):
    """(10, 20) is newer than (9, 100) and (10, 3), and no text order says so."""
    both = {0, 1}
    shows(series(tmp, {"9_100": (1, both), "10_3": (2, both), "10_20": (3, both)}), 3)


def test_ranks_whose_newest_steps_differ(tmp):
    """Rank 1 has not finished 1_30: the newest step that both have is shown, and steps are never mixed."""
    source = series(tmp, {"1_10": (1, {0, 1}), "1_20": (2, {0, 1}), "1_30": (3, {0})})
    status = shows(source, 2)
    lib.need("1_20" in status and "1_30" in status, f"the status does not tell which step is shown and which is not: {status}")
    lib.refused_mount(source, "step=1_30", parts=['"w"', "rank_1"])


def test_a_step_that_no_rank_shares(tmp):
    source = series(tmp, {"1_10": (1, {0}), "1_20": (2, {1})})
    lib.refused_mount(source, parts=["rank_0"])


def test_redundant_ranks_do_not_hold_a_step_back(tmp):
    """dp2: rank 1 is a replica that lags behind; the step is whole without it."""
    def replicated(seed):
        return sharded.Model(seed).add("w", "F32", [4, 4], Layout([2, 1], [0, -1]))
    replicated(1).save(f"{tmp}/checkpoint", "1_10")
    replicated(2).save(f"{tmp}/checkpoint", "1_20", only={0})
    replicated(1).save_strategy(f"{tmp}/strategy")
    with lib.Mount(f"{tmp}/checkpoint") as root:
        lib.same_tensors(lib.tensors_of(root), replicated(2).whole())


def test_task_suffix(tmp):
    """A restart writes PREFIX_rank_N_1-E_S: of the same step, the later task is newer."""
    source = series(tmp, {"1_10": (1, {0, 1})})
    for rank in (0, 1):
        os.rename(f"{source}/rank_{rank}/net_rank_{rank}-1_10.safetensors", f"{source}/rank_{rank}/net_rank_{rank}_1-1_10.safetensors")
    series(tmp, {"1_10": (2, {0, 1})})
    shows(source, 1)
    shows(source, 1, "step=_1-1_10")


def test_step_forms(tmp):
    both = {0, 1}
    source = series(tmp, {"1_5": (1, both), "1_10": (2, both), "2_3": (3, both)})
    for form, seed in (("1_5", 1), ("-1_5", 1), ("1_10", 2), ("2_3", 3), ("3", 3), ("_10", 2), ("10", 2)):
        shows(source, seed, f"step={form}")
    lib.refused_mount(source, "step=7_7", parts=["7_7"])


def test_files_of_two_trainings(tmp):
    """Which saved one step of some ranks each into one folder: what is shown may be half of the one and half of the other, and says so."""
    source = series(tmp, {"1_10": (1, {0, 1})})
    with lib.Mount(source) as root:
        lib.equal(warnings(root), [], "of one training")
    os.rename(f"{source}/rank_1/net_rank_1-1_10.safetensors", f"{source}/rank_1/other_rank_1-1_10.safetensors")
    for options in ([], ["step=1_10"]):
        with lib.Mount(source, *options) as root:
            said, = warnings(root)
            lib.need("two trainings" in said and "net_rank_0-1_10" in said and "other_rank_1-1_10" in said, f"{options}: {said}")
    code, said, _ = lib.gatherfs("check", source)
    lib.need(code == 0 and "two trainings" in said, f"check: {said}")
    for rank, name in enumerate(("net_rank_0-1_10", "other_rank_1-1_10")):  # names that a training does not give tell nothing
        os.rename(f"{source}/rank_{rank}/{name}.safetensors", f"{source}/rank_{rank}/part{rank}.safetensors")
    with lib.Mount(source) as root:
        lib.equal(warnings(root), [], "with names that are no step's")


def test_junk_is_stepped_over(tmp):
    """Temporary files of a save that runs, other files, and folders that are no rank's."""
    source = series(tmp, {"1_10": (1, {0, 1})})
    for junk in ("rank_0/net_rank_0-1_20.safetensors.tmp", "rank_0/.tmpAbCdEf", "rank_0/tmpqqq", "rank_0/meta.json", "rank_1/notes.txt",
                 "rank_x/net_rank_0-9_9.safetensors", "ranks/a", "rank_2.txt", "note"):
        lib.write(f"{source}/{junk}", "junk")
    shows(source, 1)
    os.makedirs(f"{source}/rank_0/net_rank_0-1_30.safetensors")  # no save leaves that
    lib.refused_mount(source, parts=["net_rank_0-1_30.safetensors", "directory"])


if __name__ == "__main__":
    lib.main()
