"""Compiles vendor_abi.cpp, which compares src/cuda_ops with the headers of cuBLASLt and cuDNN.

    python3 tests/abi/vendor_abi.py --compiler c++ [--cuda-include DIR]

Exits with 77 where one of the headers is missing.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--cuda-include", type=Path, default=Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"), "include"))
    options = parser.parse_args()
    for header in ("cublasLt.h", "cudnn.h"):
        if not (options.cuda_include / header).is_file():
            print(f"skipped: no {header} in {options.cuda_include}")
            return SKIPPED
    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-w", f"-I{ROOT / 'src'}",
               f"-isystem{options.cuda_include}", str(ROOT / "tests/abi/vendor_abi.cpp")]
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
