"""Runs all that can be tested on this machine's GPU and writes one report: `./dev gpu-test`.

    python3 tests/gpu/gpu_test.py --built DIR --report FILE [--quick|--full] [--parts NAME,...] [--limit SECONDS]

DIR is a bundle (`./dev gpu-bundle`) or the folder of a build. A part that fails, hangs or cannot run is written
down as such, and the others go on. Ends with 1 where anything has failed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import places
import programs

PARTS = ("operators", "api", "audit", "commands", "python", "corpus", "memcheck", "bench")
# Seconds that a part may take, in a quick run and in a full one.
LIMITS = {"operators": (90, 600), "api": (150, 900), "audit": (60, 300), "commands": (30, 120), "python": (240, 600), "corpus": (150, 3600),
          "memcheck": (60, 900), "bench": (330, 1800)}
# Small, and one of each kind of work: a package's own kernels, products, convolution, sizes that depend on data.
MEMCHECK = ("add", "folded", "inplace", "aliases", "mlp", "conv", "selection")
MEMCHECK_ALL = "EveryPackage.AnswersAsLibtorch/*"


def output_of(*command, seconds=30):
    """What a program prints; nothing where it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        return done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def machine_facts():
    query = output_of("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader")
    gpus = [dict(zip(("name", "driver", "memory", "compute_capability"), line.split(", ")))
            for line in query.splitlines()]
    nvcc = output_of("nvcc", "--version").splitlines()
    torch = output_of(sys.executable, "-c", "import torch; print(torch.__version__, torch.cuda.is_available())",
                      seconds=120).split()
    return {"gpus": gpus, "system": platform.platform(), "processors": os.cpu_count(),
            "python": platform.python_version(), "nvcc": nvcc[-1] if nvcc else "",
            "torch": torch[0] if torch else "", "torch_has_gpu": torch[1:] == ["True"]}


class Report:
    """The report so far, on disk after every part."""

    def __init__(self, path, facts):
        self.path = path
        self.data = {"began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **facts,
                     "parts": {}, "tests": [], "tables": {}}
        self.write()

    def add(self, part, status, seconds, tests=(), table=None, note=""):
        self.data["parts"][part] = {"status": status, "seconds": round(seconds, 1), "note": note}
        self.data["tests"] += [{"part": part, **test} for test in tests]
        if table is not None:
            self.data["tables"][part] = table
        self.write()
        count = {result: sum(test["result"] == result for test in tests) for result in ("passed", "failed", "skipped")}
        text = ", ".join(f"{number} {result}" for result, number in count.items() if number)
        print(f"{part:12} {status:8} {seconds:7.1f} s  {text or note}", flush=True)
        for test in tests:
            if test["result"] == "failed":
                print(f"    {test['name']}: {test['message'][:600]}", flush=True)

    def write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.data, indent=1) + "\n")
        partial.replace(self.path)


def run_operators(place, options, seconds):
    return programs.run_gtest(place, "penstock_gpu_op_tests", seconds)


def run_api(place, options, seconds):
    return programs.run_gtest(place, "penstock_gpu_tests", seconds)


def run_audit(place, options, seconds):
    return programs.run_gtest(place, "penstock_gpu_audit_tests", seconds)


def run_memcheck(place, options, seconds):
    tool = places.find_program("compute-sanitizer", ["/usr/local/cuda/bin"])
    if not tool:
        raise programs.NotRun("compute-sanitizer is not installed")
    wanted = MEMCHECK_ALL if options.full else ":".join(f"Sm90/EveryPackage.AnswersAsLibtorch/{n}" for n in MEMCHECK)
    command = [tool, "--tool", "memcheck", "--error-exitcode", "97", "--leak-check", "no",
               place.program("penstock_gpu_tests"), f"--gtest_filter={wanted}"]
    done = programs.run(command, place.environment(), seconds, place.log("memcheck"))
    summary = [line for line in done.text.splitlines() if "ERROR SUMMARY" in line]
    if not summary:
        raise programs.NotRun(f"compute-sanitizer did not get to its summary (exit {done.code}): {done.text[-300:]}")
    clean = done.code == 0 and summary[-1].strip().endswith("ERROR SUMMARY: 0 errors")
    return [{"name": "compute-sanitizer memcheck", "result": "passed" if clean else "failed",
             "milliseconds": 0, "message": "" if clean else done.text[-2000:]}], {"summary": summary[-1].strip()}


def run_script(place, name, arguments, seconds):
    """A script of ours that writes {"tests": [...], "table": ...}."""
    result = place.work / f"{Path(name).stem}.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, place.source(name), "--built", place.root, "--result", result, *arguments]
    done = programs.run(command, place.environment(), seconds, place.log(Path(name).stem))
    told = json.loads(result.read_text()) if result.exists() else {"tests": [], "table": None}
    if done.code == programs.TOO_LONG:
        told["tests"].append({"name": f"the rest of {name}", "result": "skipped", "milliseconds": 0,
                              "message": f"no time was left for it after {seconds:.0f} s"})
    elif done.code != 0 and not any(test["result"] == "failed" for test in told["tests"]):
        told["tests"].append({"name": name, "result": "failed", "milliseconds": 0,
                              "message": f"ended with {done.code}: {done.text[-1500:]}"})
    return told["tests"], told["table"]


def run_commands(place, options, seconds):
    return run_script(place, "tests/gpu/commands.py", [], seconds)


def run_python(place, options, seconds):
    if not options.facts["torch_has_gpu"]:
        raise programs.NotRun("there is no torch with CUDA")
    return run_script(place, "tests/gpu/python_package.py", [], seconds)


def run_corpus(place, options, seconds):
    if not options.facts["torch_has_gpu"]:
        raise programs.NotRun("there is no torch with CUDA")
    return run_script(place, "tests/gpu/corpus_cuda.py", ["--full"] if options.full else [], seconds)


def run_bench(place, options, seconds):
    if not options.facts["torch_has_gpu"]:
        raise programs.NotRun("there is no torch with CUDA")
    return run_script(place, "benchmarks/gpu/bench.py", ["--full"] if options.full else [], seconds)


RUN = {"operators": run_operators, "api": run_api, "audit": run_audit, "commands": run_commands, "python": run_python, "corpus": run_corpus,
       "memcheck": run_memcheck, "bench": run_bench}


def run_part(report, place, options, part, seconds):
    start = time.monotonic()
    tests, table, note, status = [], None, "", "not run"
    try:
        tests, table = RUN[part](place, options, seconds)
        status = "failed" if any(test["result"] == "failed" for test in tests) else "passed"
    except programs.NotRun as why:
        note = str(why)
    except Exception as error:
        status, note = "failed", f"{type(error).__name__}: {error}"
    report.add(part, status, time.monotonic() - start, tests, table, note)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="under 8 minutes; this is what is run without an option")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--limit", type=float, default=0, help="seconds for all of it (quick: 470)")
    options = parser.parse_args()
    unknown = set(options.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    limit = options.limit or (float("inf") if options.full else 470)
    begin = time.monotonic()

    place = places.Place(options.built.resolve())
    options.facts = machine_facts() | {"commit": place.commit()}
    print(json.dumps(options.facts), flush=True)
    report = Report(options.report.resolve(), options.facts)
    for part in PARTS:
        if part not in options.parts.split(","):
            continue
        left = limit - (time.monotonic() - begin)
        seconds = min(LIMITS[part][options.full], left)
        if seconds < 5:
            report.add(part, "not run", 0, note="no time was left for it")
        else:
            run_part(report, place, options, part, seconds)
    failed = [test["name"] for test in report.data["tests"] if test["result"] == "failed"]
    failed += [part for part, told in report.data["parts"].items() if told["status"] == "failed" and part not in failed]
    print(f"{len(report.data['tests'])} tests, {len(failed)} failed; {options.report}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
