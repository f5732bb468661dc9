import json
import os
import random

import harness

BLOCKS = 200
CALLS = 500


def bench(place):
    random.seed(0)
    inputs = [place.scratch / "x.f32", place.scratch / "y.f32"]
    for path in inputs:
        harness.write_floats(path, [random.random() for _ in range(8 * 64)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def call(program, mode, result, blocks=BLOCKS):
        command = [place.program(program), place.build / "packages/torch-2.15/add.pt2", *inputs, place.scratch / result, blocks, CALLS, mode]
        return json.loads(harness.run(command, env=environment))

    call("bench_call_ours", "run", "ours.f32", blocks=1)
    call("bench_call_peer", "pooled", "peer.f32", blocks=1)
    harness.require_close("call", harness.read_floats(place.scratch / "ours.f32"),
                          harness.read_floats(place.scratch / "peer.f32"), 1e-6)

    programs = {
        "Session::run": lambda: call("bench_call_ours", "run", "ours.f32"),
        "peer, default": lambda: call("bench_call_peer", "pooled", "peer.f32"),
        "Session::run_borrowed": lambda: call("bench_call_ours", "run_borrowed", "ours.f32"),
        "peer, run_single_threaded": lambda: call("bench_call_peer", "single", "peer.f32"),
    }
    rounds = harness.in_turn(programs, max(place.repetitions // 2, 10), warm_up=1)
    samples = {name: [time for times in values for time in times] for name, values in rounds.items()}
    harness.write_results(place, "call", "ns", samples)
    median = {name: harness.median(values) for name, values in samples.items()}
    return [
        harness.Row("a call of `x*y+y` on 8x64 floats, `Session::run`", "ns", median["Session::run"],
                    median["peer, default"], 0.5),
        harness.Row("the same, `Session::run_borrowed`", "ns", median["Session::run_borrowed"],
                    median["peer, default"], 0.5),
        harness.Row("the same, beside a peer made with `run_single_threaded`", "ns",
                    median["Session::run_borrowed"], median["peer, run_single_threaded"], 0.5),
    ]
