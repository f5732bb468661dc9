"""Compiles the shim beside the headers of an installed torch and compares every function's type.

    python3 tests/abi/abi.py --compiler c++ --torch-env build/torch-env --include DIR ...

Each file of src/shim and src/cuda_ops that has a table of functions is included whole, so that functions in unnamed
namespaces are seen too. Exits with 77 where there is no torch.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
HEADERS = ("torch/csrc/inductor/aoti_torch/c/shim.h", "torch/csrc/inductor/aoti_torch/c/shim_cpu.h",
           "torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h",
           "torch/csrc/inductor/aoti_torch/generated/c_shim_aten.h",
           "torch/csrc/inductor/aoti_torch/generated/c_shim_cuda.h")
# The function, and behind it what one on CUDA needs.
ENTRY = re.compile(r'entry\("(aoti_torch_\w+)",\s*&([^)]+?)(?:,\s*(?:kOf\w+|\{[^)]*))?\)')

PROLOGUE = """\
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/inductor/aoti_torch/c/shim_cpu.h>
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_aten.h>
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cuda.h>
#include <complex>
#include <cstdint>
#include <type_traits>

// Types that differ in name but are passed and laid out alike.
template <class T> struct Plain { using type = T; };
template <class T> struct Plain<T*> { using type = typename Plain<T>::type*; };
template <> struct Plain<c10::complex<float>> { using type = std::complex<float>; };
template <> struct Plain<c10::complex<double>> { using type = std::complex<double>; };
template <> struct Plain<c10::Half> { using type = std::uint16_t; };
template <> struct Plain<c10::BFloat16> { using type = std::uint16_t; };
static_assert(sizeof(c10::Half) == 2 && sizeof(c10::BFloat16) == 2);

template <class F> struct Signature;
template <class R, class... A> struct Signature<R(A...)> {
  using type = typename Plain<R>::type(typename Plain<A>::type...);
};
template <class R, class... A> struct Signature<R(A...) noexcept> : Signature<R(A...)> {};
template <class Ours, class Theirs>
inline constexpr bool same_abi = std::is_same_v<typename Signature<Ours>::type, typename Signature<Theirs>::type>;
"""


def check_file(source, declared, command):
    """Returns the number of functions compared and what is wrong with them."""
    problems, checks = [], []
    for name, ours in ENTRY.findall(source.read_text()):
        if name not in declared:
            problems.append(f"{source.name}: torch declares no {name}")
            continue
        checks.append(
            f'static_assert(same_abi<std::remove_pointer_t<decltype(&{ours})>, decltype(::{name})>, "{name}");'
        )
    if not checks:
        return 0, problems
    folder = source.parent.name
    text = (PROLOGUE + f'#include "{folder}/{source.name}"\nnamespace penstock::{folder} {{\n' + "\n".join(checks)
            + "\n}\n")
    with tempfile.TemporaryDirectory() as scratch:
        unit = Path(scratch) / "unit.cpp"
        unit.write_text(text)
        result = subprocess.run([*command, str(unit)], capture_output=True, text=True)
    if result.returncode != 0:
        problems.append(result.stderr)
    return len(checks), problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--torch-env", type=Path, default=ROOT / "build/torch-env")
    parser.add_argument("--include", action="append", default=[])
    options = parser.parse_args()

    includes = sorted(options.torch_env.glob("lib/python3*/site-packages/torch/include"))
    if not includes:
        print(f"skipped: no torch headers under {options.torch_env} (./dev torch-env makes it)")
        return SKIPPED
    torch = includes[0]
    text = "".join((torch / header).read_text() for header in HEADERS)
    text += "".join(path.read_text() for path in (torch / "torch/csrc/stable/c").glob("*.h"))
    declared = set(re.findall(r"\baoti_torch_\w+", text))
    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-w", "-DPENSTOCK_BUILDING", "-DUSE_CUDA",
               f"-I{ROOT / 'src'}", f"-I{ROOT / 'include'}", f"-isystem{torch}",
               f"-isystem{torch / 'torch/csrc/api/include'}", *(f"-isystem{path}" for path in options.include)]
    compared, problems = 0, []
    for source in sorted([*(ROOT / "src/shim").glob("*.cpp"), *(ROOT / "src/cuda_ops").glob("*.cpp")]):
        count, wrong = check_file(source, declared, command)
        compared += count
        problems += wrong
    print("\n".join(problems))
    print(f"{compared} functions compared with {torch}")
    return 1 if problems or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
