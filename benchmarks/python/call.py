"""One side of the Python benchmark: calls a package and prints what each call took, as JSON.

    python call.py ours|peer|both PACKAGE [--blocks N] [--calls N] [--output FILE]
    python call.py ours|peer PACKAGE --once          the first result of a new process

`ours` is Penstock with arrays of NumPy (on CUDA with tensors of torch), `peer` torch._inductor.aoti_load_package with
tensors of torch. `both`, for CUDA, takes them in turn in one process, on one stream, and compares the outputs first.
"""

import argparse
import json
import sys
import time


def arrays(shapes):
    import numpy

    random = numpy.random.default_rng(0)
    return [random.standard_normal(shape, numpy.float32) for shape in shapes]


def ours(path, shapes):
    import penstock

    model = penstock.load(path)
    given = arrays(shapes)
    if model.device.type == "cuda":
        import torch

        given = [torch.from_numpy(array).cuda() for array in given]
        return lambda: model(*given), lambda made: made.cpu()
    return lambda: model(*given), lambda made: made


def peer(path, shapes):
    import torch

    model = torch._inductor.aoti_load_package(path)
    given = [torch.from_numpy(array) for array in arrays(shapes)]
    if model.get_metadata().get("AOTI_DEVICE_KEY") == "cuda":
        given = [tensor.cuda() for tensor in given]
    return lambda: model(*given), lambda made: made.cpu()


def measure(call, blocks, calls, wait=lambda: None):
    """Nanoseconds a call, of each block."""
    times = []
    for _ in range(blocks):
        begin = time.perf_counter_ns()
        for _ in range(calls):
            call()
        wait()
        times.append((time.perf_counter_ns() - begin) / calls)
    return times


def in_turn(path, shapes, blocks, calls):
    """Both on one stream of torch, a block each."""
    import numpy
    import torch

    sides = {"ours": ours(path, shapes), "peer": peer(path, shapes)}
    stream = torch.cuda.Stream()
    times = {name: [] for name in sides}
    with torch.cuda.stream(stream):
        results = [numpy.asarray(to_host(call())) for call, to_host in sides.values() for _ in range(3)]
        for result in results:
            numpy.testing.assert_allclose(result, results[-1], rtol=1e-3, atol=1e-3)
        for _ in range(blocks):
            for name, (call, _) in sides.items():
                times[name] += measure(call, 1, calls, stream.synchronize)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=("ours", "peer", "both"))
    parser.add_argument("package")
    parser.add_argument("--shapes", default="8x64,8x64")
    parser.add_argument("--blocks", type=int, default=50)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--output")
    options = parser.parse_args()
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes.split(",")]
    if options.side == "both":
        print(json.dumps(in_turn(options.package, shapes, options.blocks, options.calls)))
        return 0
    call, to_host = (ours if options.side == "ours" else peer)(options.package, shapes)
    if options.once:
        to_host(call())
        return 0
    if options.output:
        import numpy

        with open(options.output, "wb") as file:
            file.write(numpy.ascontiguousarray(numpy.asarray(to_host(call())), numpy.float32).tobytes())
    measure(call, 2, options.calls)
    print(json.dumps(measure(call, options.blocks, options.calls)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
