"""The Python package beside torch's own: a call of the small model, and a process up to its first result."""

import json
import os
import time
from pathlib import Path

import harness

HERE = Path(__file__).resolve().parent
PYTHON = harness.ROOT / "build/python-env/bin/python"


def bench(place):
    torch_python = next(parent for parent in place.torch.parents if (parent / "bin/python").exists()) / "bin/python"
    package = place.build / "packages/torch-2.15/add.pt2"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pythons = {"ours": PYTHON, "peer": torch_python}

    def call(side, *more):
        return harness.run([str(pythons[side]), str(HERE / "call.py"), side, str(package), *more], env=environment)

    outputs = {side: place.scratch / f"python.{side}.f32" for side in pythons}
    for side, path in outputs.items():
        call(side, "--blocks", "1", "--output", str(path))
    harness.require_close("python", harness.read_floats(outputs["ours"]), harness.read_floats(outputs["peer"]), 1e-6)

    def process(side):
        begin = time.perf_counter_ns()
        call(side, "--once")
        return time.perf_counter_ns() - begin

    repetitions = max(place.repetitions // 3, 5)
    calls = harness.in_turn({side: lambda side=side: json.loads(call(side)) for side in pythons}, repetitions, warm_up=1)
    starts = harness.in_turn({side: lambda side=side: process(side) for side in pythons}, repetitions, warm_up=1)
    samples = {side: [took for times in rounds for took in times] for side, rounds in calls.items()}
    harness.write_results(place, "python", "ns", {**{f"call, {side}": times for side, times in samples.items()},
                                                  **{f"first result, {side}": times for side, times in starts.items()}})
    ours, peer = (harness.median(samples[side]) / 1000 for side in ("ours", "peer"))
    first, first_peer = (harness.median(starts[side]) / 1e6 for side in ("ours", "peer"))
    return [
        harness.Row("Python: a call of `x*y+y` on 8x64 floats", "us", ours, peer, 0.5),
        harness.Row("Python: import, load and first result, the process as a whole", "ms", first, first_peer, 1 / 20),
    ]
