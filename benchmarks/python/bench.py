"""The Python package beside torch's own: a call of the small model, and a process up to its first result."""

import json
import os
import time
from pathlib import Path

import harness

HERE = Path(__file__).resolve().parent
PYTHON = harness.ROOT / "build/python-env/bin/python"


def on_gpu(place, torch_python):
    """A call of mlp by both in one process, on one stream; no rows where torch has no GPU."""
    asks = "import torch; print(torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0))"
    if harness.run([str(torch_python), "-c", asks]).strip() != "True":
        return []
    site = harness.run([str(PYTHON), "-c", "import penstock; print(penstock.__path__[0])"]).strip()
    beside = place.scratch / "python"
    beside.mkdir(exist_ok=True)
    if not (beside / "penstock").exists():
        (beside / "penstock").symlink_to(site)
    environment = {**os.environ, "PYTHONPATH": str(beside)}
    package = place.build / "packages/torch-2.11-sm90/mlp.pt2"
    command = [str(torch_python), str(HERE / "call.py"), "both", str(package), "--shapes", "64x64"]
    rounds = [json.loads(harness.run(command, env=environment)) for _ in range(3)]
    samples = {side: [took for one in rounds for took in one[side]] for side in ("ours", "peer")}
    harness.write_results(place, "python_gpu", "ns", {f"call, {side}": times for side, times in samples.items()})
    ours, peer = (harness.median(samples[side]) / 1000 for side in ("ours", "peer"))
    return [harness.Row("Python: a call of mlp on the GPU, tensors of torch", "us", ours, peer, 0.6)]


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
        *on_gpu(place, torch_python),
    ]
