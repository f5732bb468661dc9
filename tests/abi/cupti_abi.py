"""Compiles cupti_abi.cpp, which compares src/cuda/cupti_abi.hpp with the headers of CUPTI.

    python3 tests/abi/cupti_abi.py --compiler c++ [--cupti-include DIR]... [--cuda-include DIR]

Each DIR has the headers of one version: of a toolkit, or of a wheel nvidia-cuda-cupti. Exits with 77 where
there are none.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
RECORDS = {"THEIR_KERNEL": "Kernel", "THEIR_COPY": "Memcpy", "THEIR_PEER_COPY": "MemcpyPtoP", "THEIR_FILL": "Memset",
           "THEIR_CONTEXT": "Context"}


def newest(header, record):
    """The structure that this version's library gives: of those that are not deprecated, the last."""
    found = re.findall(rf"^}} (CUpti_Activity{record}(\d*));", header.read_text(), re.MULTILINE)
    return max(found, key=lambda each: int(each[1] or 1))[0]


def compare(folder, options):
    header = folder / "cupti_activity.h"
    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-w", f"-I{ROOT / 'src'}", f"-isystem{folder}",
               f"-isystem{options.cuda_include}", *(f"-D{name}={newest(header, record)}" for name, record in RECORDS.items()),
               str(ROOT / "tests/abi/cupti_abi.cpp")]
    return subprocess.run(command).returncode


def main():
    toolkit = Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--cuda-include", type=Path, default=toolkit / "include")
    parser.add_argument("--cupti-include", type=Path, action="append", default=[])
    options = parser.parse_args()
    folders = options.cupti_include or [toolkit / "include", toolkit / "extras/CUPTI/include"]
    folders = [folder for folder in folders if (folder / "cupti_activity.h").is_file()]
    if not folders or not (options.cuda_include / "cuda.h").is_file():
        print(f"skipped: no cupti_activity.h and cuda.h in {toolkit}")
        return SKIPPED
    wrong = [folder for folder in folders if compare(folder, options) != 0]
    print(f"{len(folders)} versions compared, {len(wrong)} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
