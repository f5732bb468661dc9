import json
import math
import os

import harness

NAMES = ("resnet18", "mobilenet_v3_small", "vit_b_16", "bert", "gpt2")
# Calls a block: about as long as each other.
CALLS = {"resnet18": 10, "mobilenet_v3_small": 40, "vit_b_16": 2, "bert": 40, "gpt2": 40}
BLOCKS = 5


def bench(place):
    folder = place.results / "models"
    python = next(parent for parent in place.torch.parents if (parent / "bin/python").exists()) / "bin/python"
    environment = {**os.environ, "CXX": os.environ.get("CXX", "g++")}
    harness.run([python, harness.ROOT / "benchmarks/models/make.py", folder], env=environment)
    rows = []
    ratios = {1: [], 2: []}
    for name in NAMES:
        inputs = json.loads((folder / f"{name}.json").read_text())
        for threads in ratios:
            row, ratio = compare(place, folder, name, threads, inputs)
            rows.append(row)
            ratios[threads].append(ratio)
    for threads, values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        rows.append(harness.Row(f"geometric mean of the five, {threads} thread{'s' * (threads > 1)}", "of 1", mean,
                                1.0, 1.0))
    return rows + load_rows(place, folder)


def command(place, program, folder, name, threads, inputs, blocks):
    return [place.program(program), folder / f"{name}.pt2", place.scratch / f"{program}.f32", blocks, CALLS[name],
            threads, *inputs]


def compare(place, folder, name, threads, inputs):
    programs = {"Session::run": "bench_models_ours", "peer": "bench_models_peer"}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def times(program, blocks=BLOCKS):
        printed = harness.run(command(place, program, folder, name, threads, inputs, blocks), env=environment)
        return [time / 1e6 for time in json.loads(printed.splitlines()[1])]

    for program in programs.values():
        times(program, blocks=1)
    ours, peer = (harness.read_floats(place.scratch / f"{program}.f32") for program in programs.values())
    harness.require_close(name, ours, peer, 2e-4 * max(map(abs, peer)))
    rounds = harness.in_turn({label: lambda program=program: times(program) for label, program in programs.items()},
                             max(place.repetitions // 6, 3), warm_up=0)
    samples = {label: [time for values in lists for time in values] for label, lists in rounds.items()}
    harness.write_results(place, f"models_{name}_{threads}", "ms", samples)
    median = {label: harness.median(values) for label, values in samples.items()}
    row = harness.Row(f"{name}, batch 1, {threads} thread{'s' * (threads > 1)}", "ms", median["Session::run"],
                      median["peer"], 1.1)
    return row, row.ratio


def load_rows(place, folder):
    """Loading vit_b_16: the time until it can run, and the peak memory of the process."""
    inputs = json.loads((folder / "vit_b_16.json").read_text())
    samples = {"ours": [], "peer": []}
    peaks = {"ours": [], "peer": []}
    for _ in range(max(place.repetitions // 6, 3)):
        for label, program in (("ours", "bench_models_ours"), ("peer", "bench_models_peer")):
            line = command(place, program, folder, "vit_b_16", 1, inputs, 0)
            told = place.scratch / "told"
            peaks[label].append(harness.measure(place, told, line)["max_rss_kib"] / 1024)
            samples[label].append(float(told.read_text().splitlines()[0]))
    harness.write_results(place, "models_load", "ms", samples)
    harness.write_results(place, "models_load_memory", "MiB", peaks)
    return [
        harness.Row("loading vit_b_16, 350 MB", "ms", harness.median(samples["ours"]),
                    harness.median(samples["peer"]), 1 / 8),
        harness.Row("peak memory of loading it and running it once", "MiB", harness.median(peaks["ours"]),
                    harness.median(peaks["peer"]), 1.0),
    ]
