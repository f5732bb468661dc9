"""Checks that the sources keep the order that docs/architecture.md draws, and that prose names what exists.

    python3 tests/layout/layout.py [ROOT]
"""

import os
import re
import sys
from pathlib import Path

# Who may include whom: a folder only those that are named with it here, besides itself.
ALLOWED = {
    "base": set(),
    "system": {"base"},
    "tensor": {"base", "system"},
    "package": {"base", "system"},
    "cuda": {"base", "system", "tensor"},
    "cpu": {"base", "system", "tensor"},
    "io": {"base", "system", "tensor", "package"},
    "shim": {"base", "system", "tensor", "cuda", "cpu"},
    "objects": {"base", "system", "tensor", "package", "cuda", "shim"},
    "tensorrt": {"base", "system", "tensor", "package", "cuda", "shim", "objects"},
    "model": {"base", "system", "tensor", "package", "cuda", "cpu", "io", "shim", "objects", "tensorrt"},
    "session": {"base", "system", "tensor", "package", "cuda", "cpu", "io", "shim", "objects", "model"},
    # A library of its own, with the operators on CUDA. Of cpu it has what is about shapes.
    "cuda_ops": {"base", "system", "tensor", "cuda", "cpu", "shim"},
}

# A vendor's headers and the folders that may know of them.
VENDORS = {
    r"zip(conf)?\.h|libdeflate\.h": {"src/package", "src/io", "tests"},
    r"zlib\.h": {"src/package", "tests"},
    r"nlohmann/": {"src/package", "src/io", "cli", "python", "tests"},
    r"oneapi/|dnnl": {"src/cpu"},
    r"Eigen/": {"src/cpu", "tests"},
    r"Zydis/": {"src/package"},
    r"openssl/": {"src/package"},
    r"fmt/": {"src", "cli", "tests"},
    r"CLI/": {"cli"},
    r"nanobind/": {"python"},
    r"gtest/|gmock/": {"tests"},
    r"benchmark/": {"benchmarks"},
    r"(torch|ATen|c10)/": {"benchmarks", "tests/isolation", "tests/packages"},
    r"cublas|cudnn\.|cupti|cuda(_runtime)?\.h": {"tests/abi"},
}

PUBLIC_LINES = 250
SOURCE_LINES = 400
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)

# What is made in the folder of the project, and the seeds of fuzz targets, which may be anything.
NOT_OURS = {"build", ".git", ".cache", "tests/fuzz/corpus"}
# Paths that are made, not kept.
MADE = ("build/", "/")
PROSE_PATH = re.compile(r"^[\w.-]+(/[\w.*-]+)+/?$")


def project_files(root):
    """The files of the project."""
    paths = []
    for folder, folders, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        folders[:] = [name for name in folders
                      if name != "__pycache__" and (inside / name).as_posix() not in NOT_OURS]
        paths += [inside / name for name in names if not name.endswith(".pyc")]
    return sorted(paths)


def is_within(path, folder):
    return path.as_posix().startswith(folder + "/")


def check_arrows(path, includes):
    """Includes of our own point down."""
    if path.parts[0] == "src":
        folder = path.parts[1]
        if folder not in ALLOWED:
            yield f"{path}: src/{folder} is in no layer; give it one in tests/layout/layout.py"
            return
        for quote, name in includes:
            target = name.split("/")[0]
            if quote == '"' and target != folder and target not in ALLOWED[folder]:
                yield f"{path}: {folder} may not include {name}"
    elif path.parts[0] in ("include", "cli", "examples", "python"):
        for quote, name in includes:
            if name.split("/")[0] in ALLOWED:
                yield f"{path}: may include only <penstock/...> of the library, not {name}"


def check_vendors(path, includes):
    for _, name in includes:
        for pattern, folders in VENDORS.items():
            if re.match(pattern, name) and not any(is_within(path, folder) for folder in folders):
                yield f"{path}: {name} belongs to {', '.join(sorted(folders))}"


def check_public_header(path, text, includes):
    for quote, name in includes:
        if quote == '"' or ("/" in name and not name.startswith("penstock/")) or name.endswith(".h"):
            yield f"{path}: a public header includes <penstock/...> and the C++ standard library, not {name}"
    comments = sum("//" in line for line in text.splitlines())
    code = sum(1 for _ in interface_lines(text))
    if comments < code:
        yield f"{path}: {comments} comment lines for {code} code lines"


def interface_lines(text):
    """The code lines that a reader of a public header has to understand: a declaration counts once
    however it is broken, and private parts, bodies and enumerators do not."""
    private = False
    in_enum = False
    complete = True
    for line in text.splitlines():
        line = re.sub(r"//.*", "", line).strip()
        if re.match(r"(private|public|protected):|};", line):
            private, in_enum = line.startswith("private"), False
        elif re.search(r"\w", line) and not re.match(r"#|return\b|(namespace|template)\b|(class|struct) \w+;", line):
            if complete and not private and not in_enum:
                yield line
            in_enum = in_enum or (line.startswith("enum ") and line.endswith("{"))
            complete = line.endswith((";", "{", "}"))


def check_size(path, text):
    lines = text.count("\n")
    public = path.parts[0] == "include"
    if public and lines > PUBLIC_LINES:
        yield f"{path}: a public header of {lines} lines; at most {PUBLIC_LINES}"
    if lines > SOURCE_LINES:
        yield f"{path}: {lines} lines; at most {SOURCE_LINES}"


def exists(root, base, name, files):
    name = name.rstrip("/")
    if "*" in name:
        return any((root / base).glob(name)) or any(root.glob(name))
    # Headers are written as they are included, sources from src/ on.
    for start in (base, Path(), Path("include"), Path("src")):
        if (root / start / name).exists():
            return True
    return False


def check_prose(root, path, text, files):
    """Links, `paths` and `./dev commands` of a page are there."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
        if "://" not in target and not target.startswith("mailto:") and not (root / path.parent / target).exists():
            yield f"{path}: the link {target} leads nowhere"
    for word in re.findall(r"`([^`\n]+)`", prose):
        if PROSE_PATH.match(word) and not word.startswith(MADE) and looks_like_ours(root, path, word):
            if not exists(root, path.parent, word, files):
                yield f"{path}: {word} does not exist"
    for word, place in re.findall(r"`~?([\w:~]+)`[^`\n]{0,3}\(`([\w./-]+\.\w+)`", prose):
        source = next((root / start / place for start in (path.parent, Path(), Path("include"), Path("src"))
                       if (root / start / place).is_file()), None)
        if source and not re.search(rf"\b{re.escape(word.split(':')[-1].lstrip('~'))}\b", source.read_text()):
            yield f"{path}: there is no {word} in {place}"
    commands = set(re.findall(r"^  ([a-z-]+) ", (root / "dev").read_text(), flags=re.MULTILINE))
    for command in re.findall(r"\./dev ([a-z][\w-]*)", text):
        if command not in commands:
            yield f"{path}: ./dev {command} is no command"


def looks_like_ours(root, path, word):
    """True for what starts with a folder of the repository, of its sources or beside the page."""
    first = word.split("/")[0]
    return any((root / start / first).is_dir() for start in (Path(), Path("include"), Path("src"), path.parent))


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]).resolve()
    files = project_files(root)
    problems = []
    checked = 0
    for path in files:
        if path.suffix in (".hpp", ".cpp"):
            text = (root / path).read_text()
            includes = INCLUDE.findall(text)
            problems += check_arrows(path, includes)
            problems += check_vendors(path, includes)
            problems += check_size(path, text)
            if path.parts[0] == "include":
                problems += check_public_header(path, text, includes)
            checked += 1
        elif path.suffix == ".md":
            problems += check_prose(root, path, (root / path).read_text(), files)
            checked += 1
    for problem in problems:
        print(problem)
    print(f"{checked} files checked, {len(problems)} problems")
    return 1 if problems or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
