"""Compiles nvtx_abi.cpp, which compares src/system/nvtx_abi.hpp with the header of NVTX 3.

    python3 tests/abi/nvtx_abi.py --compiler c++ [--include DIR]

DIR has nvtx3/nvToolsExt.h: of a toolkit, or of the wheel nvidia-nvtx. Exits with 77 where it has not.
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
    parser.add_argument("--include", type=Path, default=Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"), "include"))
    options = parser.parse_args()
    if not (options.include / "nvtx3/nvToolsExt.h").is_file():
        print(f"skipped: no nvtx3/nvToolsExt.h in {options.include}")
        return SKIPPED
    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-w", f"-I{ROOT / 'src'}", f"-isystem{options.include}",
               str(ROOT / "tests/abi/nvtx_abi.cpp")]
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
