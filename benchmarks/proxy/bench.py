import json
import os
import random

import harness

BLOCKS = 100
CALLS = 200
CALLS_MORE = 100  # of nothing_often


def bench(place):
    random.seed(0)
    values = place.scratch / "x16.f32"
    harness.write_floats(values, [random.random() for _ in range(16)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    packages = place.build / "packages/torch-2.15-objects"

    def call(program, package, mode=None, blocks=BLOCKS):
        result = place.scratch / f"{program}.{package}.f32"
        command = [place.program(program), packages / f"{package}.pt2", values, result, blocks, CALLS]
        return json.loads(harness.run(command + ([mode] if mode else []), env=environment))

    for package in ("nothing_once", "nothing_often"):
        call("bench_proxy_ours", package, "run", blocks=1)
        call("bench_proxy_peer", package, blocks=1)
        harness.require_close("proxy", harness.read_floats(place.scratch / f"bench_proxy_ours.{package}.f32"),
                              harness.read_floats(place.scratch / f"bench_proxy_peer.{package}.f32"), 1e-6)

    programs = {
        "ours, 1 call": lambda: call("bench_proxy_ours", "nothing_once", "run"),
        "peer, 1 call": lambda: call("bench_proxy_peer", "nothing_once"),
        "ours, 101 calls": lambda: call("bench_proxy_ours", "nothing_often", "run"),
        "peer, 101 calls": lambda: call("bench_proxy_peer", "nothing_often"),
        "100 direct calls": lambda: call("bench_proxy_ours", "nothing_once", "direct"),
    }
    rounds = harness.in_turn(programs, max(place.repetitions // 2, 5), warm_up=1)
    samples = {name: [time for times in values for time in times] for name, values in rounds.items()}
    harness.write_results(place, "proxy", "ns", samples)
    median = {name: harness.median(values) for name, values in samples.items()}
    ours = (median["ours, 101 calls"] - median["ours, 1 call"]) / CALLS_MORE
    peer = (median["peer, 101 calls"] - median["peer, 1 call"]) / CALLS_MORE
    direct = median["100 direct calls"] / CALLS_MORE
    return [
        harness.Row("a call of a custom operator that does nothing", "ns", ours, peer, 0.3),
        # Beside a function that takes no time, 1000 ns are what is aimed at.
        harness.Row("what it costs beyond the function alone, beside 1 us", "ns", ours - direct, 1000, 1),
    ]
