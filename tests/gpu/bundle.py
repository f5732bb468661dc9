"""Collects what a GPU run needs, for a machine that has no compiler and none of our libraries: `./dev gpu-bundle`.

    python3 tests/gpu/bundle.py --build build/release --out build/gpu-bundle
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("penstock", "penstock_gpu_tests", "penstock_gpu_audit_tests", "penstock_gpu_op_tests", "penstock_gpu_call", "penstock_gpu_isolation", "penstock_gpu_engine")
LIBRARIES = ("libpenstock.so.0", "libpenstock_cuda.so.0", "libpenstock_tensorrt_double_10.so",
             "libpenstock_tensorrt_double_11.so", "libpenstock_tensorrt_double_rtx.so")
# Those that run; the others are refused without a GPU.
ENGINES = ("alone", "pipeline", "cache", "sized", "shaped", "spread", "streamed", "everything")
SOURCES = ("tests/gpu/*.py", "tests/corpus/*.py", "benchmarks/gpu/*", "benchmarks/common/*.hpp", "include/penstock/*.hpp",
           "python/src/*", "python/penstock/*", "tests/python/*.py", "benchmarks/python/*")
# Every system has these, and its own have to be used: of the C library, of the compiler, of the driver.
OF_THE_SYSTEM = re.compile(r"^(ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s|libcuda)[-.]")
MOST_BYTES = 80 << 20


def needed_by(path):
    """(name, path) of the libraries that a file is linked with, directly or not."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^\s*(\S+) => (\S+) \(", listed, re.M)


def copy_stripped(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "--strip-unneeded", "-o", target, source.resolve()], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    files = [(options.build / "bin" / name, "bin") for name in PROGRAMS if (options.build / "bin" / name).exists()]
    files += [(options.build / "lib" / name, "lib") for name in LIBRARIES]
    for path, folder in files:
        copy_stripped(path, options.out / folder / path.name)
    for path, _ in files:
        for name, found in needed_by(path):
            target = options.out / "lib" / name
            if not OF_THE_SYSTEM.match(name) and not target.exists():
                copy_stripped(Path(found), target)
    # Linking against the library takes its plain name.
    (options.out / "lib" / "libpenstock.so").symlink_to("libpenstock.so.0")
    for pattern in SOURCES:
        for path in sorted(path for path in ROOT.glob(pattern) if path.is_file()):
            target = options.out / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    # What the Python module is compiled with there.
    header = next(Path(folder) / "nlohmann" for folder in ("/usr/local/include", "/usr/include")
                  if (Path(folder) / "nlohmann").is_dir())
    shutil.copytree(header, options.out / "deps/include/nlohmann")
    for path in sorted((ROOT / "tests/contract").glob("*.json")) + sorted((ROOT / "tests/contract").glob("*.bin")):
        target = options.out / "tests/contract" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for folder in ("torch-2.11-sm90", "torch-2.15-sm90-objects"):
        shutil.copytree(options.build / "packages" / folder, options.out / "packages" / folder)
    for name in ENGINES:
        for path in (options.build / "packages/torch-2.15-engines").glob(name + ".*"):
            target = options.out / "packages/torch-2.15-engines" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    described = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    (options.out / "COMMIT").write_text(described.stdout or "unknown\n")
    total = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{options.out}: {total / (1 << 20):.1f} MiB")
    if total > MOST_BYTES:
        raise SystemExit(f"at most {MOST_BYTES >> 20} MiB are wanted")


if __name__ == "__main__":
    main()
