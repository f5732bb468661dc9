"""What the benchmarks share: running programs in turn, percentiles, JSON lines and the closing table."""

import json
import os
import platform
import re
import struct
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Place:
    """Where programs are, and where results go."""

    build: Path
    torch: Path
    results: Path
    repetitions: int
    scratch: Path = field(init=False)

    def __post_init__(self):
        self.results.mkdir(parents=True, exist_ok=True)
        self.scratch = self.results / "scratch"
        self.scratch.mkdir(exist_ok=True)

    def program(self, name):
        return str(self.build / "bin" / name)


@dataclass
class Row:
    """A line of the table: a question, our figure beside the peer's, and the ratio that was aimed at."""

    question: str
    unit: str
    ours: float
    peer: float
    target: float

    @property
    def ratio(self):
        return self.ours / self.peer

    def text(self):
        def ratio(value):
            return f"1/{1 / value:.0f}" if value < 0.1 else f"{value:.2f}"

        verdict = "" if self.ratio <= self.target else " (missed)"
        return (f"| {self.question} | {self.ours:.3g} {self.unit} | {self.peer:.3g} {self.unit} "
                f"| {ratio(self.ratio)} | {ratio(self.target)}{verdict} |")


HEADING = "| | Penstock | libtorch | ratio | aimed at, at most |\n|---|---|---|---|---|"


def percentile(samples, share):
    ordered = sorted(samples)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def median(samples):
    return percentile(samples, 0.5)


def read_floats(path):
    data = Path(path).read_bytes()
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def write_floats(path, values):
    Path(path).write_bytes(struct.pack(f"<{len(values)}f", *values))


def read_npz_floats(path, name):
    """The numbers of a float32 array, and its sizes."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(name + ".npy")
    length = struct.unpack("<H", data[8:10])[0]
    header = data[10 : 10 + length].decode()
    if "'<f4'" not in header:
        raise SystemExit(f"{path}: {name} is not float32")
    sizes = [int(size) for size in re.search(r"'shape': \(([^)]*)\)", header)[1].split(",") if size.strip()]
    body = data[10 + length :]
    return list(struct.unpack(f"<{len(body) // 4}f", body)), sizes


def write_npz_floats(path, name, values, sizes):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(sizes)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name + ".npy", data + struct.pack(f"<{len(values)}f", *values))


def require_close(what, ours, theirs, tolerance):
    if len(ours) != len(theirs) or not ours:
        raise SystemExit(f"{what}: {len(ours)} numbers beside {len(theirs)}")
    for a, b in zip(ours, theirs):
        if not abs(a - b) <= tolerance:  # not so for a NaN either
            raise SystemExit(f"{what}: {a} beside {b}; nothing is measured")


def run(command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {result.returncode}\n{result.stderr}")
    return result.stdout


def measure(place, output, command):
    """One process: when its first output came and when it ended, in ns, and its peak memory in KiB."""
    result = json.loads(run([place.program("bench_measure"), output, *command]))
    if result["status"] != 0 or result["first_output_ns"] < 0:
        raise SystemExit(f"{command[0]} ended with {result['status']}")
    return result


def in_turn(programs, repetitions, warm_up=2):
    """Runs A B A B ...; `programs` maps names to functions that give one sample."""
    samples = {name: [] for name in programs}
    for repetition in range(-warm_up, repetitions):
        for name, program in programs.items():
            sample = program()
            if repetition >= 0:
                samples[name].append(sample)
    return samples


def about(place):
    """The machine and the versions that a result belongs to."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    version = re.search(r"__version__ = '([^']+)'", (place.torch / "version.py").read_text())
    compiler = re.search(r"CMAKE_CXX_COMPILER:\w+=(.*)", (place.build / "CMakeCache.txt").read_text())
    os_release = re.search(r'PRETTY_NAME="([^"]*)"', Path("/etc/os-release").read_text())
    return {
        "versions": {
            "penstock": run([place.program("penstock"), "--version"]).split()[-1],
            "torch": version[1] if version else "unknown",
            "compiler": run([compiler[1], "--version"]).splitlines()[0] if compiler else "unknown",
            "system": os_release[1] if os_release else "unknown",
            "kernel": platform.release(),
        },
        "hardware": {"cpu": cpu[1] if cpu else "unknown", "cpus": os.cpu_count()},
    }


def write_results(place, name, unit, samples):
    facts = about(place)
    with open(place.results / f"{name}.jsonl", "w") as file:
        for program, values in samples.items():
            record = {
                "benchmark": name,
                "program": program,
                "unit": unit,
                "p50": percentile(values, 0.5),
                "p99": percentile(values, 0.99),
                "min": min(values),
                "repetitions": len(values),
                **facts,
            }
            file.write(json.dumps(record) + "\n")
