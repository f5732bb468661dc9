"""Runs the benchmarks and prints their table: `./dev bench [NAME ...]`."""

import argparse
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "common"))

import harness

NAMES = ("first_output", "peak_memory", "call", "models", "proxy", "python")


def load(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE / name / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all without one")
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--torch-env", type=Path, default=Path("build/torch-env"))
    parser.add_argument("--results", type=Path, default=Path("build/bench"))
    parser.add_argument("--repetitions", type=int, default=30)
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")

    found = sorted(options.torch_env.glob("lib/python3*/site-packages/torch"))
    if not found:
        raise SystemExit(f"no torch in {options.torch_env}: ./dev torch-env makes it")
    place = harness.Place(options.build.resolve(), found[0], options.results.resolve(), options.repetitions)
    rows = []
    for name in options.names or NAMES:
        print(f"{name} ...", file=sys.stderr)
        rows += load(name).bench(place)

    facts = harness.about(place)
    print(harness.HEADING)
    for row in rows:
        print(row.text())
    print(f"\n{facts['hardware']['cpu']}, {facts['hardware']['cpus']} CPUs, {facts['versions']['system']}, "
          f"Penstock {facts['versions']['penstock']}, torch {facts['versions']['torch']}, "
          f"{facts['versions']['compiler']}; medians")
    return 0


if __name__ == "__main__":
    sys.exit(main())
