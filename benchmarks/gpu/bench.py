"""Measures Penstock beside libtorch's C++ loader on a GPU, and how well a partition isolates: `./dev bench gpu`.

    python3 benchmarks/gpu/bench.py --built DIR --result FILE [--full] [--large] [--only PART...]

Needs a torch with CUDA and a C++ compiler. The questions are in README.md beside this file.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests" / "gpu")]

import picture
import places

# Of these the host's time without graphs counts; of all of them what graphs give.
HOST_MODELS = ("mlp", "gpt2", "resnet18", "mobilenet_v3_small")
MODELS = (*HOST_MODELS, "llama", "bert")
LARGE_MODELS = ("vit_b_16",)  # Takes a minute to compile.
SETTINGS = ("alone", "partitions", "streams")
HOST_TARGET = 0.8
START_TARGET = 0.6
ALONE_TARGET = 1.10
STREAMS_TARGET = 0.1
GRAPH_TARGET = 1.05
# Microseconds beyond what the GPU needs, or that share of it where that is more.
STILL_TARGET, MOVING_TARGET, BEYOND_SHARE = 12, 15, 0.01
# Faster than the loader by so much, without vit_b_16 and with it.
FASTER_TARGETS = {False: 2.1, True: 1.8}
TURNS_TARGET = 1.05
INPUT_SETS = 4  # That penstock_gpu_call has, at other addresses.
PARTS = ("isolation", "turns", "engines", "calls", "graphs", "starts")


def percentile(samples, share):
    ordered = sorted(samples)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def output_of(command, environment, seconds=120):
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(str(command[0])).name} ended with {done.returncode}: {done.stderr[-1500:]}")
    return done.stdout


def environment_of_torch(torch_root):
    """For the peer, which takes the libraries of torch and of its wheels."""
    folders = [torch_root / "lib", *sorted((torch_root.parent / "nvidia").glob("*/lib"))]
    return dict(os.environ, LD_LIBRARY_PATH=os.pathsep.join(map(str, folders)))


class Bench:
    def __init__(self, place, torch_root, full, large):
        self.place, self.torch_root, self.full = place, torch_root, full
        self.folder = place.work / "bench"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ours, self.theirs = place.environment(), environment_of_torch(torch_root)
        self.models = (*MODELS, *LARGE_MODELS) if full or large else MODELS
        self.tests, self.rows, self.samples = [], [], {}
        self.peer = self.folder / "penstock_gpu_peer"
        self.compiling = None

    def begin_peer(self):
        cuda = [path for path in (Path("/usr/local/cuda/include"), self.torch_root.parent / "nvidia/cu13/include")
                if path.is_dir()]
        lib = self.torch_root / "lib"
        # What torch's headers call of the runtime they leave to be linked.
        runtime = next(path for folder in ("/usr/local/cuda/lib64", self.torch_root.parent / "nvidia/cu13/lib")
                       for path in sorted(Path(folder).glob("libcudart.so.1*")))
        command = ["g++", "-O2", "-std=c++20", self.place.source("benchmarks/gpu/peer.cpp"), "-o", self.peer,
                   f"-isystem{self.torch_root}/include", f"-isystem{self.torch_root}/include/torch/csrc/api/include",
                   *(f"-isystem{path}" for path in cuda), f"-L{lib}", "-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu",
                   "-ltorch_cuda", "-lc10", "-lc10_cuda", runtime, f"-Wl,-rpath,{lib}:{runtime.parent}", "-Wl,--allow-shlib-undefined", "-ldl"]
        self.compiling = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, text=True)

    def end_peer(self):
        text, _ = self.compiling.communicate()
        if self.compiling.returncode != 0:
            raise RuntimeError(f"the peer does not compile: {text[-2000:]}")

    def make(self, names):
        """All at once: compiling a package keeps one core busy."""
        environment = dict(os.environ, TORCHINDUCTOR_CACHE_DIR=str(self.place.work / "cache"))

        def make_one(name):
            output_of([sys.executable, self.place.source("benchmarks/gpu/make.py"), self.folder, name], environment, 600)

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(make_one, names))

    def inputs(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def command(self, side, name, blocks, graphs="off"):
        program = [self.place.program("penstock_gpu_call")] if side == "ours" else [self.peer]
        mode = [graphs] if side == "ours" else []
        return [*program, self.folder / f"{name}.pt2", self.folder / f"{name}.{side}.out", blocks, *mode, *self.inputs(name)]

    def run(self, side, name, blocks, graphs="off"):
        printed = output_of(self.command(side, name, blocks, graphs), self.ours if side == "ours" else self.theirs)
        # Of calls, and where there are graphs, of these.
        return {key: value for line in printed.splitlines()[1:] for key, value in json.loads(line).items()}

    def check_outputs(self, name, graphs):
        """Both answers, before anything is measured; with graphs, of ours those of replayed runs too."""
        import torch

        self.run("ours", name, 0, graphs)
        self.run("peer", name, 0)
        ours, peer = (torch.frombuffer(bytearray((self.folder / f"{name}.{side}.out").read_bytes()), dtype=torch.float32)
                      for side in ("ours", "peer"))
        runs = 1 + INPUT_SETS if graphs == "auto" else 1
        error = math.inf
        if ours.numel() == runs * peer.numel():
            error = float((ours.view(runs, -1) - peer).abs().max() / peer.abs().max())
        good = error <= 2e-3
        self.tests.append({"name": f"bench {name}: outputs of {runs} runs agree", "result": "passed" if good else "failed",
                           "milliseconds": 0, "message": "" if good else f"they differ by {error:.2e} of the largest"})
        return good

    def row(self, question, unit, ours, peer, target):
        ratio = ours / peer if peer and ours is not None else None
        self.rows.append({"question": question, "unit": unit, "ours": ours, "peer": peer, "ratio": ratio,
                          "target": target, "met": None if target is None or ratio is None else ratio <= target})
        print(f"{question:60} {ours or 0:10.2f} {peer or 0:10.2f} {unit:4} {ratio or 0:6.2f}  {target or ''}", flush=True)

    def told_of(self, name, rounds, blocks, graphs):
        """What both sides tell, by turns, once their outputs agree."""
        try:
            if not self.check_outputs(name, graphs):
                return None
            told = {side: [] for side in ("ours", "peer")}
            for _ in range(rounds):
                for side, runs in told.items():
                    runs.append(self.run(side, name, blocks, graphs))
            return told
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            self.fail(f"bench {name}", error)
            return None

    def compare_graphs(self, rounds, blocks):
        faster = {}
        for name in self.models:
            told = self.told_of(name, rounds, blocks, "auto")
            if told is None:
                continue

            def median(side, key):
                values = [value for run in told[side] for value in run[key]]
                return percentile(values, 0.5) if values else None

            latency = {side: median(side, "latency_us") for side in told}
            gpu = {side: median(side, "gpu_us") for side in told}
            self.row(f"{name}: call and wait with graphs, p50", "us", latency["ours"], latency["peer"], None)
            self.row(f"{name}: GPU time of the graph", "us", gpu["ours"], gpu["peer"], GRAPH_TARGET if gpu["peer"] else None)
            for label, value, least in (("unchanged addresses", latency["ours"], STILL_TARGET),
                                        ("new addresses", median("ours", "moving_us"), MOVING_TARGET)):
                self.row(f"{name}: beyond the graph's GPU time, {label}", "us", value - gpu["ours"],
                         max(least, gpu["ours"] * BEYOND_SHARE), 1.0)
            captures = max(run["captures"] for run in told["ours"])
            self.row(f"{name}: captures in {min(run['replays'] for run in told['ours'])} replays", "", captures, None, None)
            fixed = {run["fixed"] for run in told["ours"]} - {""}
            if fixed:
                print(f"{name}: takes inputs only where they lay: {'; '.join(sorted(fixed))}", flush=True)
            faster[name] = latency["peer"] / latency["ours"]
        for with_vit, target in FASTER_TARGETS.items():
            ratios = [ratio for name, ratio in faster.items() if with_vit or name not in LARGE_MODELS]
            if ratios and not (with_vit and self.models == MODELS):
                mean = math.exp(-sum(map(math.log, ratios)) / len(ratios))
                label = "with" if with_vit else "without"
                self.row(f"call and wait with graphs, geometric mean of {len(ratios)}, {label} vit_b_16", "of 1", mean, 1.0, 1 / target)

    def take_turns(self, calls):
        told = {setting: json.loads(output_of([self.place.program("penstock_gpu_isolation"), setting, "auto", calls,
                                               self.folder / "resnet18.pt2", self.folder / "storm.pt2",
                                               *self.inputs("resnet18"), "--", *self.inputs("storm")], self.ours, 180))
                for setting in ("alone", "turns")}
        p50 = {setting: percentile(each["latency_us"], 0.5) for setting, each in told.items()}
        self.row("resnet18, two partitions by turns: p50 beside staying in one", "us", p50["turns"], p50["alone"], TURNS_TARGET)
        self.row(f"captures in {calls} calls by turns", "", told["turns"]["captures"], 2, 1.0)

    def time_engines(self, blocks):
        """With a double of TensorRT, whose own enqueue is the peer: it is part of the other two."""
        told = json.loads(output_of([self.place.program("penstock_gpu_engine"),
                                     self.place.packages() / "torch-2.15-engines" / "alone.pt2",
                                     self.place.root / "lib" / "libpenstock_tensorrt_double_11.so", blocks], self.ours, 180))
        own, call, forked = (percentile(told[name], 0.5) for name in ("own", "call", "forked"))
        self.row("a TensorRT engine: its call beside the enqueue alone", "us", call, own, None)
        self.row("a TensorRT engine on a stream of its own: its call beside the enqueue alone", "us", forked, own, None)

    def compare_calls(self, rounds, blocks):
        host_ratios = []
        for name in HOST_MODELS:
            told = self.told_of(name, rounds, blocks, "off")
            if told is None:
                continue
            host = {side: percentile([v for r in runs for v in r["host_us"]], 0.5) for side, runs in told.items()}
            self.row(f"{name}: host time a call", "us", host["ours"], host["peer"], None)
            host_ratios.append(host["ours"] / host["peer"])
            for share, label in ((0.5, "p50"), (0.99, "p99")):
                values = {side: percentile([v for r in runs for v in r["latency_us"]], share) for side, runs in told.items()}
                self.row(f"{name}: call and wait, {label}", "us", values["ours"], values["peer"], None)
            used = {side: max(r["used_bytes"] for r in runs) / 2**20 for side, runs in told.items()}
            self.row(f"{name}: device memory in use", "MiB", used["ours"], used["peer"], 1.0)
        if host_ratios:
            mean = math.exp(sum(map(math.log, host_ratios)) / len(host_ratios))
            self.row(f"host time a call, geometric mean of {len(host_ratios)}", "of 1", mean, 1.0, HOST_TARGET)

    def first_output_ms(self, side):
        start = time.monotonic()
        process = subprocess.Popen([str(part) for part in self.command(side, "mlp", 0)],
                                   env=self.ours if side == "ours" else self.theirs, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        elapsed = (time.monotonic() - start) * 1000
        if process.wait() != 0 or line.strip() != b"first":
            raise RuntimeError(f"{side}: no first output")
        return elapsed

    def compare_starts(self, rounds):
        samples = {"ours": [], "peer": []}
        for _ in range(rounds):
            for side, times in samples.items():
                times.append(self.first_output_ms(side))
        medians = {side: percentile(times, 0.5) for side, times in samples.items()}
        self.row("mlp: start of the process to its first output", "ms", medians["ours"], medians["peer"], START_TARGET)

    def isolate(self, rounds, calls, graphs):
        """The p99 of a setting is its best of the rounds."""
        how = "with graphs" if graphs == "auto" else "call by call"
        kept = {}
        for _ in range(rounds):
            for setting in SETTINGS:
                printed = output_of([self.place.program("penstock_gpu_isolation"), setting, graphs,
                                     calls if setting != "streams" else max(calls // 10, 100),
                                     self.folder / "resnet18.pt2", self.folder / "storm.pt2", *self.inputs("resnet18"), "--",
                                     *self.inputs("storm")], self.ours, 180)
                samples = json.loads(printed)["latency_us"]
                if setting not in kept or percentile(samples, 0.99) < percentile(kept[setting], 0.99):
                    kept[setting] = samples
        p99 = {setting: percentile(samples, 0.99) for setting, samples in kept.items()}
        self.row(f"resnet18 in 64 SMs, storm in the rest, {how}: p99 beside p99 alone", "us", p99["partitions"], p99["alone"], ALONE_TARGET)
        self.row("the same beside p99 on two ordinary streams", "us", p99["partitions"], p99["streams"], STREAMS_TARGET)
        for setting, samples in kept.items():
            self.row(f"resnet18, {setting}, {how}: p50 beside p99", "us", percentile(samples, 0.5), p99[setting], None)
        if graphs == "auto":
            return
        self.samples = {setting: [round(percentile(samples, share / 200), 2) for share in range(201)]
                        for setting, samples in kept.items()}
        (self.place.work / "isolation.svg").write_text(picture.draw(self.samples))

    def fail(self, name, error):
        self.tests.append({"name": name, "result": "failed", "milliseconds": 0, "message": str(error)[-1500:]})
        print(f"{name} failed: {error}", flush=True)

    def save(self, path):
        path.write_text(json.dumps({"tests": self.tests, "table": {"rows": self.rows, "isolation_us": self.samples}}))


def steps_of(bench):
    rounds, blocks = (5, 20) if bench.full else (3, 8)
    yield "making packages", lambda: bench.make([*bench.models, "storm"])
    isolated = 3000 if bench.full else 1000
    yield "isolation", lambda: bench.isolate(3, isolated, "off")
    yield "isolation", lambda: bench.isolate(3, isolated, "auto")
    yield "turns", lambda: bench.take_turns(10000)
    yield "engines", lambda: bench.time_engines(100 if bench.full else 40)
    yield "compiling the peer", bench.end_peer
    yield "calls", lambda: bench.compare_calls(rounds, blocks)
    yield "graphs", lambda: bench.compare_graphs(rounds, blocks)
    yield "starts", lambda: bench.compare_starts(10 if bench.full else 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--large", action="store_true", help="with vit_b_16, as --full does")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    options = parser.parse_args()
    try:
        import torch
    except ImportError as missing:
        raise SystemExit("the peer is libtorch, and there is no torch") from missing
    bench = Bench(places.Place(options.built.resolve()), Path(torch.__file__).parent, options.full, options.large)
    bench.begin_peer()
    for name, step in steps_of(bench):
        if name in PARTS and name not in options.only:
            continue
        start = time.monotonic()
        try:
            step()
        except Exception as error:
            bench.fail(f"bench: {name}", error)
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
        bench.save(options.result)
    return 1 if any(test["result"] == "failed" for test in bench.tests) else 0


if __name__ == "__main__":
    sys.exit(main())
