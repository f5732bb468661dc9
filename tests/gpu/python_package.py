"""Builds the Python module with this machine's Python, and runs its tests that need a GPU.

    python3 tests/gpu/python_package.py --built DIR --result FILE

Needs nanobind, pytest, NumPy, torch with CUDA and, for some tests, CuPy; a C++ compiler, and nlohmann's JSON.
"""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import places

NEEDED = ("nanobind", "pytest", "numpy", "torch")


def compile_module(place, source, out):
    """`penstock/_core` of the sources, linked with the library that is there."""
    import nanobind

    inside = Path(nanobind.source_dir())
    work = place.work / "python-objects"
    work.mkdir(parents=True, exist_ok=True)
    flags = ["-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-DNDEBUG", f"-I{nanobind.include_dir()}",
             f"-I{inside.parent / 'ext/robin_map/include'}", f"-I{sysconfig.get_path('include')}",
             f"-I{place.source('include')}", f"-I{place.source('deps/include')}"]
    compiler = os.environ.get("CXX", "c++")

    def compile_one(path):
        made = work / f"{path.stem}.o"
        subprocess.run([compiler, *flags, "-c", str(path), "-o", str(made)], check=True)
        return str(made)

    paths = [*sorted((source / "src").glob("*.cpp")), inside / "nb_combined.cpp"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, paths))
    shutil.copytree(source / "penstock", out, dirs_exist_ok=True)
    module = out / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    libraries = place.root / "lib"
    subprocess.run([compiler, "-shared", *objects, f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-l:libpenstock.so.0",
                    "-Wl,--allow-shlib-undefined", "-o", str(module)], check=True)


def read_results(path):
    """Of pytest's JUnit file."""
    tests = []
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        told = {child.tag: child for child in case}
        result = "skipped" if "skipped" in told else "failed" if told.keys() & {"failure", "error"} else "passed"
        problem = next((told[tag] for tag in ("failure", "error", "skipped") if tag in told), None)
        message = "" if problem is None else (problem.get("message") or "") + "\n" + (problem.text or "")[-1500:]
        tests.append({"name": f"{case.get('classname')}.{case.get('name')}", "result": result,
                      "milliseconds": round(float(case.get("time", 0)) * 1000), "message": message})
    return tests


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"{sys.executable} has no {', '.join(missing)}")
    place = places.Place(options.built.resolve())
    source = Path(place.source("python"))
    out = place.work / "python" / "penstock"
    compile_module(place, source, out)
    report = place.work / "python.xml"
    environment = {**place.environment(), "PYTHONPATH": os.pathsep.join([str(out.parent), os.environ.get("PYTHONPATH", "")]),
                   "PENSTOCK_TEST_GPU": "1"}
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--durations=3", "-p", "no:cacheprovider", f"--junitxml={report}",
                    str(place.source("tests/python/test_gpu.py"))], env=environment)
    options.result.write_text(json.dumps({"tests": read_results(report), "table": None}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
