"""Installs into a temporary prefix and uses what is there, as a program of someone else would.

    python3 tests/install/install_test.py --build build/release consumer|exports|headers
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    print("$", *command)
    print(result.stdout + result.stderr)
    if result.returncode != 0:
        raise SystemExit(f"ended with {result.returncode}")
    return result.stdout


def install(options, prefix):
    run(options.cmake, "--install", options.build, "--prefix", prefix)


def test_consumer(options, scratch):
    """The prefix is moved after the installation: nothing in it may name where it was."""
    install(options, scratch / "installed")
    prefix = scratch / "moved"
    (scratch / "installed").rename(prefix)
    build = scratch / "build"
    packages = options.build / "packages/torch-2.15"
    # The generator of our own build is there; CMake's default, make, may not be.
    run(options.cmake, "-G", "Ninja", "-S", ROOT / "tests/install/consumer", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={options.compiler}")
    run(options.cmake, "--build", build)
    # The convolution needs oneDNN, which has to be found in the prefix.
    for name in ("add", "conv"):
        run(build / "consumer", packages / f"{name}.pt2", packages / f"{name}.inputs.safetensors",
            packages / f"{name}.outputs.safetensors")
    run(prefix / "bin/penstock", "run", packages / "add.pt2", "--inputs", packages / "add.inputs.safetensors")
    for file in (prefix / options.libdir / "cmake").rglob("*.cmake"):
        if str(ROOT) in file.read_text():
            raise SystemExit(f"{file} names the source tree")


def test_exports(options, scratch):
    """Exported names are ours, so that none meets one of another library in the process."""
    library = next(path for path in (options.build / "lib").glob("libpenstock.so*") if not path.is_symlink())
    names = []
    for line in run(options.nm, "-DC", "--defined-only", library).splitlines():
        address_and_kind, _, name = line.partition(" ")[2].partition(" ")
        names.append(name)
    ours = ("penstock::", "typeinfo for penstock::", "typeinfo name for penstock::", "vtable for penstock::")
    strangers = [name for name in names if not name.startswith(ours)]
    if strangers:
        raise SystemExit("exported: " + ", ".join(strangers))
    if not any(name.startswith("penstock::Model::load(") for name in names):
        raise SystemExit("Model::load is not exported")
    hidden = ("base", "system", "tensor", "package", "cpu", "io", "shim", "model", "session")
    inner = [name for name in names if name.startswith(tuple(f"penstock::{space}::" for space in hidden))]
    if inner:
        raise SystemExit("exported, but internal: " + ", ".join(inner))


def test_headers(options, scratch):
    """Each public header compiles by itself, with warnings as errors."""
    for header in sorted((ROOT / "include/penstock").glob("*.hpp")):
        unit = scratch / "unit.cpp"
        unit.write_text(f"#include <penstock/{header.name}>\n#include <penstock/{header.name}>\n")
        run(options.compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror",
            f"-I{ROOT / 'include'}", unit)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--libdir", default="lib")
    parser.add_argument("test", choices=("consumer", "exports", "headers"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        globals()[f"test_{options.test}"](options, Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
