#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests: groups of programs, a few at a time, one line a group, and at the end `N passed, N failed`.

usage: run.py --build DIR [GROUP...] [--asan DIR] [--tsan DIR] [-v]

Groups: layers lint unit fuzz property oracle mount mount-long soak clients. --asan DIR adds the suite again with what was built in DIR under sanitizers,
--tsan DIR the mount tests in which threads meet, under ThreadSanitizer. SOAK_SECONDS is how long each soak takes (60).
A test program prints a line "ok NAME" or "FAIL NAME: why" for each test; Criterion's programs print their own synthesis. A
program that prints neither, ends badly without a FAIL, hangs, leaves a mount behind, or makes a sanitizer report, is a failed
test too: nothing is skipped silently.
"""
import argparse
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = {"check": ".venv/check/bin/python", "clients": ".venv/clients/bin/python"}
SYNTHESIS = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) ")
SHOWN = 12  # problems of a group that are printed
LINES, LONGEST = 40, 6000  # lines and characters that are printed of one; a test that hangs tells the stacks of all threads
FAILED = "build/failed"  # where the rest of them is
SLOW = 4  # how much longer a program may take under sanitizers


class Job:
    def __init__(self, group, name, args, timeout, env=None):
        self.group, self.name, self.args, self.timeout, self.env = group, name, args, timeout, env or {}
        self.passed, self.problems, self.seconds = 0, [], 0.0


def python(*args):
    return [PYTHON["check"], *args]


def unit(build):
    programs = sorted(glob.glob("tests/test_*.c"))
    return [Job("unit", os.path.basename(p)[:-2], [f"{build}/{p[:-2]}", "-j1"], 60) for p in programs]


def lint(build):
    return [Job("lint", f"lint {tool}", ["tests/lint.sh", tool, build], 600) for tool in ("gcc", "cppcheck", "clang-tidy")]


def layers(build):
    return [Job("layers", "layers", ["tests/layers.sh", build], 60)]


def fuzz(build):
    programs = sorted(glob.glob("tests/fuzz/fuzz_*.c"))
    copies = {"fuzz_checkpoint": "300"}  # damaged ones of each input: a whole checkpoint takes longer than a file
    names = [os.path.basename(p)[:-2] for p in programs]
    return [Job("fuzz", n, [f"{build}/tests/fuzz/{n}", f"tests/fuzz/corpus/{n[5:]}", copies.get(n, "5000")], 60) for n in names]


def property_test(build):
    return [Job("property", "property", python("tests/property.py", f"{build}/tests/prop_driver", str(os.cpu_count())), 120)]


def oracle(build):
    cases = sorted(os.path.basename(os.path.dirname(p)) for p in glob.glob("tests/oracle/cases/*/expected.json"))
    check = python("tests/oracle/check.py", "-v", "--gatherfs", f"{build}/gatherfs", "tests/oracle/cases")
    return [Job("oracle", f"oracle {n + 1} of 2", check + cases[n::2], 120) for n in range(2)]


def mounts(build):
    return [Job("mount", os.path.basename(p), python(p), 240, {"GATHERFS": f"{build}/gatherfs"}) for p in sorted(glob.glob("tests/mount/test_*.py"))]


def mount(build):
    return [job for job in mounts(build) if job.name[5:-3] not in LONG]


def mount_long(build):
    jobs = [job for job in mounts(build) if job.name[5:-3] in LONG]
    for job in jobs:
        job.group = "mount-long"
    return jobs


def soak(build):
    seconds = int(os.environ.get("SOAK_SECONDS", "60"))
    env = {"SANITIZED": "1"} if os.path.basename(build) in ("asan", "tsan") else {}
    return [Job("soak", "soak", python("tests/mount/soak.py", str(seconds)), seconds + 360, {"GATHERFS": f"{build}/gatherfs", **env})]


def clients(build):
    return [Job("clients", os.path.basename(p), [PYTHON["clients"], p], 900, {"GATHERFS": f"{build}/gatherfs", "WATCHDOG": "300"})
            for p in sorted(glob.glob("tests/clients/test_*.py"))]


GROUPS = {"layers": layers, "lint": lint, "unit": unit, "fuzz": fuzz, "property": property_test, "oracle": oracle, "mount": mount, "mount-long": mount_long,
          "soak": soak, "clients": clients}
LONG = ("as_user", "bombs", "export_resume", "faults_limits", "install", "live_training")  # the mount tests that are not run at every commit
AT_A_TIME = {"unit": 2, "unit (asan)": 2, "mount": 3, "mount-long": 2, "mount (asan)": 2}  # for each processor: these wait much of their time
THREADS = ("cold", "faults", "faults_daemon", "faults_io", "falls", "live", "live_training", "nodes", "reads", "umount")  # the mount tests in which threads meet


def sanitized(build):
    """The suite once more, but for what is in it twice, with reports of every process, the daemons included, going to files that run_job() looks for."""
    jobs = [job for group in (unit, fuzz, property_test, oracle, mounts, soak) for job in group(build) if job.name != "test_as_user.py"]
    for job in jobs:
        job.group, job.timeout = f"{job.group} (asan)", job.timeout * SLOW
        job.env = {**job.env, "SANITIZED": "1", "LAYOUTS": os.environ.get("LAYOUTS", "15000")}
    return jobs


def threaded(build):
    """The mount tests that have something for ThreadSanitizer, and a soak."""
    jobs = [job for job in mounts(build) if job.name[5:-3] in THREADS] + soak(build)
    for job in jobs:
        job.group, job.timeout = f"{job.group} (tsan)", job.timeout * SLOW
        job.env = {**job.env, "SANITIZED": "1"}
    return jobs


def left_mounts(folder):
    """Unmounts what is still mounted below a folder; the mount points."""
    with open("/proc/self/mounts", errors="surrogateescape") as f:
        points = [line.split()[1] for line in f if line.split()[1].startswith(folder + "/")]
    for point in reversed(points):
        subprocess.run(["fusermount3", "-u", "-z", point], stderr=subprocess.DEVNULL)
    return points


def environment(job, folder):
    asan = f"abort_on_error=1:suppressions={ROOT}/tests/asan.supp:log_path={folder}/report" if job.env.get("SANITIZED") else ""
    return {**os.environ, "TMPDIR": folder, "XDG_CACHE_HOME": f"{folder}/cache", "PYTHONPATH": f"{ROOT}/tests", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
            "LSAN_OPTIONS": f"suppressions={ROOT}/tests/lsan.supp:print_suppressions=0", "ASAN_OPTIONS": asan, "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={folder}/report" if asan else "",
            "TSAN_OPTIONS": f"suppressions={ROOT}/tests/tsan.supp:log_path={folder}/report" if asan else "", **job.env}


def execute(job, folder):
    """Exit code and output; None for a program that had to be killed."""
    log = os.path.join(folder, "output")
    with open(log, "wb") as out:
        process = subprocess.Popen(job.args, cwd=ROOT, env=environment(job, folder), stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(job.timeout)
        except subprocess.TimeoutExpired:
            left_mounts(folder)  # a reader that hangs in a mount cannot be killed while it is there
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    with open(log, errors="replace") as f:  # a carriage return ends a line too, as one does that clears a progress bar
        return code, f.read()


def judge(job, code, text):
    """Counts what the program said; the rest of its output belongs to the problems."""
    synthesis = SYNTHESIS.search(text)
    if synthesis:
        tested, job.passed = map(int, synthesis.groups())
        if tested != job.passed or tested == 0 or code != 0:
            job.problems += [f"{job.name}: {text.strip()}"] + [f"{job.name}: another test of it"] * (tested - job.passed - 1)
        return
    job.passed = len(re.findall(r"^ok ", text, re.M))
    job.problems += re.split(r"\n(?=FAIL )", "\n".join(re.findall(r"^FAIL .*(?:\n(?!ok |FAIL |\d+ passed).*)*", text, re.M))) if "FAIL " in text else []
    if code is None:
        job.problems.append(f"{job.name}: no end after {job.timeout} s\n{text[-2000:]}")
    elif (code != 0) != bool(job.problems) or not (job.passed or job.problems):
        job.problems.append(f"{job.name}: exit code {code}, {job.passed} passed\n{text[-2000:]}")


def run_job(job):
    began = time.time()
    folder = tempfile.mkdtemp(prefix="gatherfs-test-")
    os.chmod(folder, 0o711)  # some tests go on as another user
    try:
        judge(job, *execute(job, folder))
        left = left_mounts(folder)
        if left:
            job.problems.append(f"{job.name}: left mounted: {' '.join(left)}")
        for report in glob.glob(f"{folder}/report*"):
            with open(report, errors="replace") as f:
                job.problems.append(f"{job.name}: sanitizer report\n{f.read()[:4000]}")
    except Exception as e:
        job.problems.append(f"{job.name}: {type(e).__name__}: {e}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    job.seconds = time.time() - began
    return job


def shortened(problem, name):
    """What is printed of a problem; all of a long one is in the file `name` below FAILED."""
    start = "\n".join(problem.split("\n")[:LINES])[:LONGEST]
    if start == problem:
        return problem
    os.makedirs(FAILED, exist_ok=True)
    with open(f"{FAILED}/{name}", "w") as f:
        f.write(problem + "\n")
    return f"{start}\n... all {len(problem.splitlines())} lines are in {FAILED}/{name}"


def run_group(name, jobs, workers, verbose):
    began = time.time()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run_job, jobs))
    passed, failed = sum(j.passed for j in jobs), sum(len(j.problems) for j in jobs)
    print(f"{name:18}{passed:5} passed{f', {failed} FAILED' if failed else ''}{time.time() - began:8.1f} s", flush=True)
    for job in jobs if verbose else ():
        print(f"    {job.name:40}{job.passed:5} passed{job.seconds:8.1f} s")
    problems = [problem for job in jobs for problem in job.problems]
    for i, problem in enumerate(problems[:SHOWN], 1):
        print("    " + shortened(problem, "-".join([*re.findall("[a-z]+", name), str(i)])).replace("\n", "\n    "), flush=True)
    if problems[SHOWN:]:
        print(f"    ... and {len(problems) - SHOWN} more", flush=True)
    return passed, failed


def cannot_mount(program):
    """What a first mount says when nothing at all can be mounted here (a container without the right to), or None."""
    point = tempfile.mkdtemp(prefix="gatherfs-test-")
    try:
        done = subprocess.run([program, "mount", "tests/oracle/cases/dtypes/src", point, "-o", "strategy=tests/oracle/cases/dtypes/strategy/src"],
                              cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        subprocess.run(["fusermount3", "-u", point], stderr=subprocess.DEVNULL)
        said = done.stdout.decode(errors="replace")
        return said.strip().splitlines()[-1] if done.returncode == 1 and "cannot mount" in said else None
    finally:
        os.rmdir(point)


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored, under nohup the other: by all that is
    signal.signal(signal.SIGHUP, signal.SIG_DFL)              # started here too, unless it is said otherwise
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default="build")
    ap.add_argument("--asan")
    ap.add_argument("--tsan")
    ap.add_argument("-v", action="store_true", help="a line for each program too")
    ap.add_argument("group", nargs="*")
    a = ap.parse_args()
    refusal = cannot_mount(f"{a.asan or a.tsan or a.build}/gatherfs") if a.asan or a.tsan or {"oracle", "mount", "mount-long", "soak", "clients"} & set(a.group) else None
    if refusal:
        print(f"nothing can be mounted here, so no test was run: {refusal}\n0 passed, 1 failed")
        return 1
    shutil.rmtree(FAILED, ignore_errors=True)
    jobs = [job for group in a.group for job in GROUPS[group](a.build)] + (sanitized(a.asan) if a.asan else []) + \
        (threaded(a.tsan) if a.tsan else [])
    passed = failed = 0
    for name in dict.fromkeys(job.group for job in jobs):
        workers = 1 if name.startswith(("property", "soak")) else os.cpu_count() * AT_A_TIME.get(name, 1)
        p, f = run_group(name, [job for job in jobs if job.group == name], workers, a.v)
        passed, failed = passed + p, failed + f
    for group in a.group:
        if not any(job.group == group for job in jobs):
            print(f"{group}: no tests found")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
