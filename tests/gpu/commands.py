"""Runs the command `penstock` on this machine's GPU and looks at what it prints.

    python3 tests/gpu/commands.py --built DIR --result FILE
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import places

RUNS = 200


class Command:
    """The program, and where it runs."""

    def __init__(self, place):
        self.place = place

    def json(self, *arguments):
        command = [self.place.program("penstock"), *map(str, arguments), "--json"]
        done = subprocess.run(command, env=self.place.environment(), capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"penstock {arguments[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
        return json.loads(done.stdout)

    def bench(self, package, *more):
        path = self.place.packages() / "torch-2.11-sm90" / f"{package}.pt2"
        return self.json("bench", path, "--device", "cuda", "--warm-up", 50, "--iterations", RUNS, *more)


def require(condition, text):
    if not condition:
        raise AssertionError(text)


def check_doctor(command):
    """doctor names the GPU and the libraries for it"""
    page = command.json("doctor")["cuda"]
    require(page["problem"] == "" and page["devices"], f"no GPU: {page}")
    for library in page["libraries"]:
        # Audits of the process alone need CUPTI, which not every machine has.
        if library["name"] == "CUPTI" and not library["found"]:
            continue
        require(library["found"], f"{library['name']} is missing: {library['advice']} {library['attempts']}")
        require(Path(library["path"]).is_file() and library["version"], f"what was found is not told: {library}")
    return {library["name"]: library["version"] for library in page["libraries"]}


def check_sides(page):
    """What holds for the times of any run: the host is part of a run, and so is the GPU."""
    require(page["runs"] >= RUNS, f"{page['runs']} runs")
    for side in ("enqueue_ms", "gpu_ms", "latency_ms"):
        require(0 < page[side]["min"] <= page[side]["p50"] <= page[side]["p99"] <= page[side]["max"], f"{side}: {page}")
    require(page["enqueue_ms"]["p50"] <= page["latency_ms"]["p50"], f"the host is slower than the run: {page}")
    # The events lie just outside of what the host times.
    require(page["gpu_ms"]["p50"] <= 1.5 * page["latency_ms"]["p50"], f"the GPU is slower than the run: {page}")
    host = page["enqueue_ms"]["p50"] >= 0.8 * page["gpu_ms"]["p50"]
    require(page["bound_by"] == ("host" if host else "gpu"), f"bound by {page['bound_by']}: {page}")
    return {name: page[name] for name in ("runs_in", "runs_per_second", "latency_ms", "enqueue_ms", "gpu_ms", "bound_by")}


def check_bench(command):
    """bench tells both sides of a run"""
    return {package: check_sides(command.bench(package)) for package in ("add", "mlp")}


def check_partition(command):
    """bench runs in a partition"""
    page = command.bench("mlp", "--partition", "25%", "--sessions", 2)
    require(page["runs_in"].endswith("SMs of a partition"), page["runs_in"])
    require(page["runs"] >= 2 * RUNS, f"{page['runs']} runs")
    return check_sides(page)


def check_export(command):
    """bench writes both sides of every run"""
    file = command.place.work / "times.json"
    command.bench("add", "--export-times", file)
    times = json.loads(file.read_text())
    require(len(times) == RUNS, f"{len(times)} runs")
    for run in times:
        require(0 < run["gpuMs"] and 0 < run["enqueueMs"] <= run["latencyMs"], f"{run}")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    command = Command(places.Place(options.built.resolve()))
    tests, table = [], {}
    for check in (check_doctor, check_bench, check_partition, check_export):
        start, message = time.monotonic(), ""
        try:
            table[check.__doc__] = check(command)
        except (AssertionError, KeyError, ValueError, OSError, subprocess.TimeoutExpired) as error:
            message = f"{type(error).__name__}: {error}"
        tests.append({"name": check.__doc__, "result": "failed" if message else "passed",
                      "milliseconds": int((time.monotonic() - start) * 1000), "message": message})
        options.result.write_text(json.dumps({"tests": tests, "table": table}))
    return 1 if any(test["result"] == "failed" for test in tests) else 0


if __name__ == "__main__":
    sys.exit(main())
