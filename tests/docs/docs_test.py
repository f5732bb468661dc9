"""Compiles the C++ blocks of all pages and runs their commands.

    python3 tests/docs/docs_test.py --build build/release snippets|commands

A ```cpp block with a `main` is run in the root of the repository; if a ```text block follows it
directly, that is what it has to print. Other ```cpp blocks are compiled as the body of a function.
In ```sh blocks, lines that start with `build/release/bin/penstock` are run, in the root as well.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
CLI = "build/release/bin/penstock"


def pages():
    found = [*ROOT.glob("*.md")]
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name != "build" and not folder.name.startswith("."):
            found += folder.rglob("*.md")
    return sorted(found)


def blocks(language):
    for page in pages():
        for match in BLOCK.finditer(page.read_text()):
            if match[1] == language:
                yield page.relative_to(ROOT), match[2], match[3]


def run(command, what):
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{what}\n{result.stdout}{result.stderr}\nended with {result.returncode}")
    return result.stdout


def test_snippets(options):
    count = 0
    library = options.build.resolve() / "lib"
    for page, code, expected in blocks("cpp"):
        whole = re.search(r"\bmain\(", code)
        if not whole:
            code = "#include <penstock/penstock.hpp>\n#include <iostream>\nvoid snippet() {\n" + code + "}\n"
        with tempfile.TemporaryDirectory() as scratch:
            unit, program = Path(scratch) / "snippet.cpp", Path(scratch) / "snippet"
            unit.write_text(code)
            command = [options.compiler, "-std=c++20", "-Wall", "-Wextra", f"-I{ROOT / 'include'}", str(unit)]
            link = ["-o", str(program), f"-L{library}", "-lpenstock", f"-Wl,-rpath,{library}"]
            run(command + (link if whole else ["-fsyntax-only"]), f"{page}:\n{code}")
            if whole:
                printed = run([str(program)], f"{page}:\n{code}")
                if expected is not None and printed != expected:
                    raise SystemExit(f"{page}: prints\n{printed}\nnot\n{expected}")
        count += 1
    print(f"{count} snippets")
    return count


def test_commands(options):
    count = 0
    program = str(options.build.resolve() / "bin/penstock")
    with tempfile.TemporaryDirectory() as scratch:
        for page, text, _ in blocks("sh"):
            for line in text.replace("\\\n", " ").splitlines():
                if line.startswith(CLI + " "):
                    # What a command writes goes to /tmp in the pages, and elsewhere here.
                    line = line.replace("/tmp/", scratch + os.sep).replace(CLI, program, 1)
                    run(["sh", "-c", line], f"{page}: {line}")
                    count += 1
    print(f"{count} commands")
    return count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("test", choices=("snippets", "commands"))
    options = parser.parse_args()
    # Pages without any block would mean that none was looked at.
    return 0 if globals()[f"test_{options.test}"](options) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
