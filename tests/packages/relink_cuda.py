"""Links the libraries of CUDA packages anew, for an older system than the one that made them.

    python3 tests/packages/relink_cuda.py FROM TO --headers torch/include [--cuda /usr/local/cuda] [NAME...]

make_cuda.py needs a GPU, and what it makes needs the glibc of that machine and the instructions of its
processor. This script compiles the sources that a package carries with the options that they name
themselves, but for the instruction set (x86-64-v3), puts in the same weights and kernels, and
packs the library in the place of the old one. The result is what a stock torch makes on an older system.

--headers is the folder torch/include of a wheel of the same torch. Needs g++ and binutils; no torch, no GPU.
"""

import argparse
import json
import re
import shlex
import shutil
import struct
import subprocess
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ALIGNMENT = 64
# Linked against by name only: stock libraries need them, and no symbol of theirs is looked for.
NEEDED = {"torch": "libtorch.so", "torch_cpu": "libtorch_cpu.so", "cuda": "libcuda.so.1",
          "torch_cuda": "libtorch_cuda.so"}
# These bring files or instructions of the machine that made the package.
DROPPED = re.compile(r"-m(?!arch=)|-[IL]|-c$|CPU_CAPABILITY_")


def run(command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def options_of(source):
    """The options that a generated source says it was compiled with."""
    command = re.search(r"^// Compile cmd\n// (.*)$", source, re.M)
    if not command:
        raise SystemExit("a generated source does not say how it was compiled: was it made by another torch?")
    options, words = [], iter(shlex.split(command[1])[2:])
    for word in words:
        if word in ("-o", "-include"):
            next(words)
        elif word == "-D":
            definition = next(words)
            if not DROPPED.search(definition):
                options += ["-D", definition]
        elif word.startswith("-") and not DROPPED.match(word):
            options.append(word)
    options = [option for option in options if not option.startswith("-march=")]
    return [*options, "-D", "CPU_CAPABILITY_AVX2", "-march=x86-64-v3", "-mavx2", "-mfma", "-mf16c"]


def symbols_of(library):
    """Address and section of each global symbol of data."""
    found = {}
    for line in run(["readelf", "--dyn-syms", "--wide", library]).splitlines():
        words = line.split()
        if len(words) == 8 and words[4] == "GLOBAL" and words[6].isdigit():
            found[words[7]] = (int(words[1], 16), int(words[6]))
    return found


def sections_of(library):
    """(name, address, offset) of each section, by its number."""
    found = {}
    for line in run(["readelf", "--sections", "--wide", library]).splitlines():
        parts = re.match(r"\s*\[\s*(\d+)\]\s+(\.\S+)\s+\S+\s+([0-9a-f]+)\s+([0-9a-f]+)", line)
        if parts:
            found[int(parts[1])] = (parts[2], int(parts[3], 16), int(parts[4], 16))
    return found


def blocks_of(library):
    """Data that the library holds between a *_start and a *_end: weights and embedded kernels."""
    data, symbols, sections = library.read_bytes(), symbols_of(library), sections_of(library)
    blocks = {}
    for name, (start, section) in symbols.items():
        end = symbols.get(name.removesuffix("_start") + "_end")
        if name.endswith("_start") and end:
            section_name, address, offset = sections[section]
            begin = start - address + offset
            blocks[name.removesuffix("_start")] = (section_name, data[begin:begin + end[0] - start])
    if "_binary_constants_bin" not in blocks:
        raise SystemExit(f"{library.name} does not say where its weights are")
    return blocks


def write_block(path, name, section, data):
    """Assembles data into an object file, as torch does."""
    flags = "aw" if section == ".ldata" else "a"
    contents = path.with_suffix(".bin")
    contents.write_bytes(data)
    source = path.with_suffix(".S")
    source.write_text(f'\t.section\t{section}, "{flags}"\n\t.balign {ALIGNMENT}\n'
                      f"\t.globl\t{name}_start\n{name}_start:\n\t.incbin \"{contents}\"\n"
                      f"\t.globl\t{name}_end\n{name}_end:\n")
    run(["g++", "-c", source, "-o", path])
    return path


def write_needed(folder):
    """Libraries of the right names with nothing in them."""
    for name, soname in NEEDED.items():
        run(["g++", "-shared", "-nostdlib", "-x", "c++", "/dev/null", f"-Wl,-soname,{soname}",
             "-o", folder / f"lib{name}.so"])


def link(library, sources, includes, work):
    objects, options = [], []
    for source in sources:
        options = options_of(source.read_text())
        objects.append(work / f"{source.name}.o")
        run(["g++", source, *options, *includes, "-c", "-o", objects[-1]])
    for name, (section, data) in blocks_of(library).items():
        objects.append(write_block(work / f"{name}.o", name, section, data))
    made = work / "made.so"
    write_needed(work)
    # All of them stay needed, as where torch's own libraries define what is imported.
    run(["g++", *objects, *options, "-shared", "-o", made, "-Wl,--no-as-needed", f"-L{work}",
         "-ltorch", "-ltorch_cpu", "-lcuda", "-ltorch_cuda"])
    return made.read_bytes()


def pack(path, entries):
    """Stored, each entry's data aligned, as torch packs them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (1980, 0, 0, 0, 0, 0))
            padding = -(archive.fp.tell() + 30 + len(name.encode()) + 4) % ALIGNMENT
            info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
            archive.writestr(info, data)


def relink(package, target, includes):
    with tempfile.TemporaryDirectory(prefix="penstock-relink-") as scratch:
        work = Path(scratch)
        with zipfile.ZipFile(package) as archive:
            entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
        files = {}
        for name, data in entries:
            files[name] = work / Path(name).name
            files[name].write_bytes(data)
        [library] = [name for name in files if name.endswith(".so")]
        sources = [files[name] for name in files if name.endswith(".cpp")]
        changed = {library: link(files[library], sources, includes, work)}
        for name, data in entries:
            if name.endswith("_metadata.json"):
                changed[name] = json.dumps(json.loads(data) | {"AOTI_CPU_ISA": "AVX2"}).encode()
        pack(target / package.name, [(name, changed.get(name, data)) for name, data in entries])
    for file in package.parent.glob(f"{package.stem}.*safetensors"):
        shutil.copyfile(file, target / file.name)
    print(package.name, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--headers", type=Path, required=True)
    parser.add_argument("--cuda", type=Path, default=Path("/usr/local/cuda"))
    options = parser.parse_intermixed_args()
    headers = options.headers.resolve()
    includes = [f"-I{headers}", f"-I{headers}/torch/csrc/api/include", f"-I{options.cuda}/include"]
    packages = [options.source / f"{name}.pt2" for name in options.names] or sorted(options.source.glob("*.pt2"))
    options.target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda package: relink(package, options.target, includes), packages))


if __name__ == "__main__":
    main()
