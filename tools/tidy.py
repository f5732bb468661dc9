"""Runs clang-tidy on the sources of the library, the command line tool and the examples.

    python3 tools/tidy.py --build build/release [--since COMMIT] [FILE ...]

A source that passed is not looked at again until it, a header, or the checks change; what passed is
kept in the build folder. With --since only sources that differ from a commit are looked at, or all where the
checkout does not have it. Tests are left out: their macros take most of the time and find least.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "cli", "examples")


def digest(*paths):
    result = hashlib.sha256()
    for path in paths:
        result.update(path.read_bytes())
    return result.hexdigest()


def changed_since(commit):
    """The files that differ from a commit, or None where git does not know it."""
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
    try:
        found = subprocess.run([*git, "diff", "--name-only", commit, "--"], capture_output=True, text=True, check=True)
        root = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return {Path(root.stdout.strip()) / name for name in found.stdout.splitlines()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tidy", default="clang-tidy-14")
    parser.add_argument("--since", metavar="COMMIT")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()

    commands = json.loads((options.build / "compile_commands.json").read_text())
    compiled = sorted({Path(command["file"]) for command in commands})
    files = [path.resolve() for path in options.files] or [
        path for path in compiled if path.relative_to(ROOT).parts[0] in FOLDERS]

    changed = changed_since(options.since) if options.since else None
    if changed is not None:
        files = [path for path in files if path in changed]

    headers = sorted(path for folder in ("include", *FOLDERS) for path in (ROOT / folder).rglob("*.hpp"))
    common = digest(ROOT / ".clang-tidy", *headers)
    passed = options.build / "tidy"
    passed.mkdir(exist_ok=True)

    def stamp(path):
        return passed / hashlib.sha256((common + digest(path) + str(path)).encode()).hexdigest()

    waiting = [path for path in files if not stamp(path).exists()]

    def check(path):
        result = subprocess.run([options.tidy, "-p", str(options.build), "--quiet", str(path)],
                                capture_output=True, text=True)
        if result.returncode == 0:
            stamp(path).touch()
        return path, result

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for path, result in pool.map(check, waiting):
            if result.returncode != 0:
                failed += 1
                print(result.stdout)
                print(result.stderr, file=sys.stderr)
    print(f"{len(files)} sources, {len(waiting)} of them checked now, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
