"""Streams and partitions, beside a stand-in for the CUDA driver that notes calls and computes nothing."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

import conftest

DRIVER = pathlib.Path(os.environ.get("PENSTOCK_RECORDING_DRIVER",
                                     conftest.ROOT / "build/release/lib/libpenstock_recording_driver.so"))

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="the stand-in for the driver is not built: PENSTOCK_CUDA=OFF")

BEGIN = f"""
import numpy as np, penstock
PACKAGE = {str(conftest.PACKAGES / "torch-2.11-sm90/add.pt2")!r}
def load(**options):
    return penstock.load(PACKAGE, **options)
def inputs(model):
    shapes = [[dim.min for dim in spec.dims] for spec in model.inputs]
    return [penstock.Tensor(np.ones(shape, np.float32)).to("cuda:0") for shape in shapes]
def refused(error, words, work):
    import re
    try:
        work()
    except error as caught:
        assert re.search(words, str(caught)), caught
    else:
        raise AssertionError(words)
"""


def on_stand_in(code, more=""):
    environment = {**os.environ, "PENSTOCK_LIBCUDA": str(DRIVER),
                   "PENSTOCK_CUBLASLT": str(DRIVER.with_name("libpenstock_recording_cublaslt.so"))}
    done = subprocess.run([sys.executable, "-c", BEGIN + more + textwrap.dedent(code)], capture_output=True, text=True,
                          timeout=120, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_goes_to_the_stream_that_is_given():
    on_stand_in("""
        model, own = load(), penstock.Stream()
        session = model.session()
        given = inputs(model)
        made = session.run(*given, stream=own)
        assert made.stream == own and str(made.device) == "cuda:0"
        assert session.stream_waits.fences == 0
        audit = session.audit(*given, stream=own)
        assert audit.stream == own.handle and audit.stayed
        assert all(entry.in_place and entry.stream == own.handle for entry in audit.entries if entry.of_run)
        refused(TypeError, "an int is no stream|a int is no stream", lambda: session.run(*given, stream=own.handle))
        session.run(*given, stream=penstock.Stream.from_handle(own.handle))
        assert session.stream_waits.stream_changes == 0
    """)


def test_anything_that_says_it_is_a_stream_is_one():
    on_stand_in("""
        model, own = load(), penstock.Stream()
        given = inputs(model)
        class Protocol:
            def __cuda_stream__(self): return (0, own.handle)
        class OfTorch:
            cuda_stream = own.handle
        class OfCuPy:
            ptr = own.handle
        class Later:
            def __cuda_stream__(self): return (7, own.handle)
        class Broken:
            def __cuda_stream__(self): return "stream"
        for stream in (own, Protocol(), OfTorch(), OfCuPy()):
            assert penstock.Stream.of(stream) == own
            assert model(*given, stream=stream).stream == own
        refused(penstock.UnsupportedError, "version 7", lambda: model(*given, stream=Later()))
        refused(TypeError, "does not give a pair", lambda: model(*given, stream=Broken()))
        assert own.__cuda_stream__() == (0, own.handle)
    """)


def test_a_thread_may_end_with_a_stream_that_it_entered():
    on_stand_in("""
        import threading
        gone = []
        class Theirs:
            def __cuda_stream__(self): return (0, 5)
            def __del__(self): gone.append(penstock.current_stream())
        thread = threading.Thread(target=lambda: penstock.Stream.of(Theirs()).__enter__())
        thread.start(); thread.join()
        import time
        end = time.monotonic() + 10
        while not gone and time.monotonic() < end:
            time.sleep(0.01)
        assert len(gone) == 1
    """)


def test_without_a_stream_the_entered_one_and_then_the_default():
    on_stand_in("""
        model, own, other = load(), penstock.Stream(), penstock.Stream()
        given, session = inputs(model), model.session()
        assert penstock.current_stream() is None
        assert session.run(*given).stream.is_default and session.stream_waits.fences == 2
        with own:
            assert penstock.current_stream() == own
            assert session.run(*given).stream == own
            with other as entered:
                assert entered == other and session.run(*given).stream == other
                assert session.run(*given, stream=own).stream == own
            assert penstock.current_stream() == own
        assert penstock.current_stream() is None
        import threading
        with own:
            seen = []
            thread = threading.Thread(target=lambda: seen.append(penstock.current_stream()))
            thread.start(); thread.join()
            assert seen == [None]
        refused(penstock.InvalidArgumentError, "order of `with`", lambda: own.__exit__())
    """)


def test_the_current_stream_of_the_library_that_made_the_inputs():
    on_stand_in("""
        import sys, types
        own = penstock.Stream()
        def library(name):
            module = types.ModuleType(name)
            class Stream:
                cuda_stream = ptr = own.handle
            module.cuda = types.SimpleNamespace(current_stream=lambda device=None: Stream(),
                                                get_current_stream=lambda device=None: Stream())
            sys.modules[name] = module
            class Array:
                __module__ = name
                requires_grad = False
                def __init__(self, tensor): self.tensor = tensor
                def __dlpack__(self, **options):
                    assert options["stream"] == -1
                    return self.tensor.__dlpack__(**options)
                def __dlpack_device__(self): return self.tensor.__dlpack_device__()
            return Array
        model = load()
        for name in ("torch", "cupy"):
            array = library(name)
            assert model(*[array(tensor) for tensor in inputs(model)]).stream == own
            del sys.modules[name]
        class Array:
            def __init__(self, tensor): self.tensor = tensor
            @property
            def __cuda_array_interface__(self):
                return {"shape": self.tensor.shape, "typestr": "<f4", "data": (self.tensor.data_ptr, False), "version": 3,
                        "strides": tuple(4 * stride for stride in self.tensor.strides)}
        assert model(*[Array(tensor) for tensor in inputs(model)]).stream.is_default
    """)


def test_partitions():
    on_stand_in("""
        whole = penstock.SmResource.of_device()
        parts = whole.split("32,rest")
        assert parts[0].sm_count == 32 and sum(part.sm_count for part in parts) == whole.sm_count
        assert [part.sm_count for part in whole.split([16, 16])] == [16, 16]
        refused(penstock.InvalidArgumentError, "nonsense", lambda: whole.split("nonsense"))
        context = penstock.GreenContext(parts[0])
        assert context.sm_count == 32 and context.resource.sm_count == 32 and context.handle
        stream = context.create_stream()
        assert stream.sm_count == 32 and stream.in_green_context
        assert penstock.SmResource.of_stream(stream).sm_count == 32
        model = load()
        session, given = model.session(), inputs(model)
        with context as entered:
            assert entered.in_green_context and penstock.current_stream() == entered
            with context as again:
                assert again != entered
            made = session.run(*given)
            assert made.stream == entered
            assert session.audit(*given).sm_count == 32
        assert penstock.current_stream() is None
        both = penstock.GreenContext(whole.split("16,16,rest")[:2])
        assert both.sm_count == 32
        del context, parts
        session.run(*given, stream=stream)
    """)


def test_a_partition_is_entered_by_many_threads():
    on_stand_in("""
        import concurrent.futures, threading
        context = penstock.GreenContext(penstock.SmResource.of_device().split("32,rest")[0])
        both = threading.Barrier(2, timeout=30)
        def work(first):
            with context as stream:
                both.wait()
                if not first:
                    both.wait()
                assert penstock.current_stream() == stream
            assert penstock.current_stream() is None
            if first:
                both.wait()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(work, first) for first in (True, False)]:
                done.result()
        refused(penstock.InvalidArgumentError, "order of `with`", context.__exit__)
        with penstock.Stream():
            refused(penstock.InvalidArgumentError, "order of `with`", context.__exit__)
    """)


def test_graphs():
    on_stand_in("""
        model, own = load(graphs="auto"), penstock.Stream()
        session, given = model.session(), inputs(model)
        session.prepare(stream=own)
        session.run(*given, stream=own)
        assert session.last_run.replayed, session.last_run
        statistics = session.graph_statistics
        assert statistics.captures == 1 and statistics.replays >= 1, (statistics.captures, statistics.replays)
        off = model.session(graphs="off")
        off.run(*given, stream=own)
        assert not off.last_run.replayed and off.last_run.reason
    """)


def test_a_call_of_the_model_has_the_session_of_the_last():
    on_stand_in("""
        model, own = load(graphs="require"), penstock.Stream()
        given = inputs(model)
        for _ in range(2):
            model(*given, stream=own)
        # Another session would have memory of its own.
        held = model(*given, stream=own)
        addresses = [model(*given, stream=own).data_ptr for _ in range(20)]
        assert len(set(addresses)) == 1, addresses
    """)


def test_mistakes():
    on_stand_in("""
        model, own = load(), penstock.Stream()
        given = inputs(model)
        on_host = [np.ones(tensor.shape, np.float32) for tensor in given]
        refused(penstock.InvalidArgumentError, "it is on cpu, the model on cuda:0", lambda: model(*on_host, stream=own))
        model.session(host_inputs="copy").run(*on_host, stream=own)
        refused(penstock.NotFoundError, "cuda:7", lambda: penstock.load(PACKAGE, device="cuda:7"))
        refused(penstock.InvalidArgumentError, "tpu", lambda: penstock.load(PACKAGE, device="tpu"))
        refused(penstock.IncompatibleError, "CUDA device", lambda: penstock.load(PACKAGE, device="cpu"))
        try:
            penstock.Stream.from_handle(0x1234).sm_count
        except penstock.CudaError as error:
            assert error.cuda_result == 400 and "CUDA_ERROR_INVALID_HANDLE" in str(error)
        else:
            raise AssertionError("no error")
        made = model(*given, stream=own)
        refused(BufferError, "on a CUDA device", lambda: memoryview(made))
        refused(BufferError, "own device", lambda: made.__dlpack__(dl_device=(1, 0)))
        assert made.__dlpack_device__() == (2, 0)
        assert made.cpu().shape == made.shape
        made.__dlpack__(stream=-1)
        made.__dlpack__(stream=own.handle)
        made.__dlpack__(stream=1, max_version=(1, 0))
        start, end = penstock.Event(timing=True), penstock.Event(timing=True)
        start.record(own); end.record(own); end.synchronize()
        assert end.is_done and penstock.Event.milliseconds_between(start, end) >= 0
        own.wait_for(start)
        own.synchronize()
        assert own.is_done and not own.is_capturing
    """)


def test_streams_are_left_wherever_they_are_among_the_entered():
    on_stand_in("""
        import asyncio
        first, second = penstock.Stream(), penstock.Stream()
        async def use(stream, before, within):
            await asyncio.sleep(before)
            with stream:
                await asyncio.sleep(within)
        async def main():
            return await asyncio.gather(use(first, 0, .1), use(second, .05, .2), return_exceptions=True)
        out_of_order = asyncio.run(main())
        assert isinstance(out_of_order[0], penstock.InvalidArgumentError) and out_of_order[1] is None, out_of_order
        model = load()
        assert penstock.current_stream() not in (first, second)
        assert model(*inputs(model)).stream not in (first, second)
    """)


@pytest.mark.parametrize("how", ["penstock.Stream().__enter__()", "penstock.current_stream().__exit__()"])
def test_an_operator_leaves_the_streams_as_they_were(how):
    on_stand_in(f"""
        registry = penstock.Registry()
        new = lambda x, dtype=np.float32: penstock.Tensor(np.zeros(x.shape, dtype)).to("cuda:0")
        registry.add_operator("fixtures::add_one(Tensor(a!) x) -> ()", lambda x: {how} and None)
        registry.add_operator("fixtures::counted(Tensor x) -> (Tensor, int)", lambda x: (new(x), 2))
        registry.add_operator("fixtures::defaults(Tensor x, int count=2, float scale=1.5, *, bool add=True, "
                              "str mode=\\"twice\\", int[] steps=[1, 2], ScalarType? dtype=None) -> Tensor",
                              lambda x, *more: new(x, np.float64 if more[-1] == penstock.DType.float64 else np.float32))
        model = penstock.load(PACKAGE.replace("2.11-sm90/add", "2.15-sm90-objects/operators"), registry=registry)
        outer = penstock.Stream()
        with outer:
            model(*inputs(model))
            assert penstock.current_stream() == outer
    """)
