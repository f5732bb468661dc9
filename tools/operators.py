"""Writes docs/operators.md: every function that torch's headers declare for model libraries, and whether
Penstock has it.

    build/torch-env/bin/python tools/operators.py [--check]

needs the headers of a torch (./dev torch-env). With --check nothing is written: exits with 1 where the page
is not what would be written, with 77 where there is no torch.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/operators.md"
HEADERS = {
    "CPU operators": ["inductor/aoti_torch/generated/c_shim_cpu.h", "inductor/aoti_torch/c/shim_cpu.h"],
    "CUDA operators": ["inductor/aoti_torch/generated/c_shim_cuda.h"],
    "Operators of any device": ["inductor/aoti_torch/generated/c_shim_aten.h"],
    "Tensors, scalars, guards and others": ["inductor/aoti_torch/c/shim.h"],
}
ENTRY = re.compile(r'"(aoti_\w+)"')
DECLARED = re.compile(r"\b(aoti_(?:torch|record)_\w+)\s*\(")
SKIPPED = 77

INTRODUCTION = """\
# Functions that model libraries may call

A model library calls PyTorch's C functions; Penstock answers those marked "yes". A package that needs another one is refused when it is loaded, with all the missing names; `penstock inspect FILE` tells them before. Real models need few of these.

Made by `build/torch-env/bin/python tools/operators.py` from the headers of torch {version} and the tables in `src/shim` and `src/cuda_ops`; a test compares it with what the library answers. What answers have in common with PyTorch's at the edges (infinities, ties, wrong indices) and what not is in [operator-notes.md](operator-notes.md). Backward functions are for training, which compiled inference packages do not contain.
"""


def declared_functions(torch):
    groups = {}
    for group, headers in HEADERS.items():
        text = "".join((torch / header).read_text() for header in headers)
        names = set(DECLARED.findall(re.sub(r"//[^\n]*", "", text)))
        # Macros that spell names end in "aoti_torch_" and the like.
        groups[group] = sorted(name for name in names if name not in ("aoti_torch_", "aoti_torch_item_"))
    return groups


def page(torch, version):
    ours = set()
    for source in [*(ROOT / "src/shim").glob("*.cpp"), *(ROOT / "src/cuda_ops").glob("*.cpp")]:
        ours.update(ENTRY.findall(source.read_text()))
    # How the names of a device begin is no name.
    ours.discard("aoti_torch_cuda_")
    lines = [INTRODUCTION.format(version=version)]
    known = set()
    for group, names in declared_functions(torch).items():
        names = [name for name in names if name not in known]
        known.update(names)
        answered = sum(name in ours for name in names)
        lines.append(f"## {group}: {answered} of {len(names)}\n\n| function | answered |\n|---|---|")
        lines += [f"| `{name}` | {'yes' if name in ours else 'no'} |" for name in names]
        lines.append("")
    others = sorted(name for name in ours - known if name.startswith("aoti_"))
    if others:
        lines.append("## Of older or newer versions\n\n| function | answered |\n|---|---|")
        lines += [f"| `{name}` | yes |" for name in others]
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--torch-env", type=Path, default=ROOT / "build/torch-env")
    options = parser.parse_args()
    found = sorted(options.torch_env.glob("lib/python3*/site-packages/torch"))
    if not found:
        print(f"skipped: no torch under {options.torch_env} (./dev torch-env makes it)")
        return SKIPPED
    version = re.search(r"__version__ = '([\d.]+)", (found[0] / "version.py").read_text())[1]
    text = page(found[0] / "include/torch/csrc", version)
    if options.check:
        if PAGE.read_text() != text:
            print(f"{PAGE.relative_to(ROOT)} is out of date: run tools/operators.py")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
