"""What needs a GPU: `./dev gpu-test --parts python`. Beside torch and CuPy, on their streams and Penstock's."""

import gc
import os
import time

import numpy as np
import pytest

import penstock

if os.environ.get("PENSTOCK_TEST_GPU") != "1":
    pytest.skip("it needs a GPU: ./dev gpu-test", allow_module_level=True)

torch = pytest.importorskip("torch")

SM90 = "2.11-sm90"


@pytest.fixture
def load(package):
    def made(name, **options):
        return penstock.load(package(name, SM90), **options)

    return made


def inputs_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = []
    for spec in model.inputs:
        sizes = [max(dim.min, 2) if dim.symbol else dim.min for dim in spec.dims]
        dtype = getattr(torch, str(spec.dtype))
        tensor = torch.randn(sizes, generator=generator).to(dtype) if dtype.is_floating_point else torch.zeros(sizes, dtype=dtype)
        made.append(tensor.to(str(spec.device)))
    return made


def busy(stream, milliseconds=200):
    """Keeps a stream of torch from going on."""
    with torch.cuda.stream(stream):
        torch.cuda._sleep(int(milliseconds * 1.7e6))


@pytest.mark.parametrize("name", ["add", "mlp", "conv", "attention", "gpt"])
def test_gives_what_torch_gives_on_one_stream(package, load, name):
    if not package(name, SM90).exists():
        pytest.skip("there is no such package")
    theirs = torch._inductor.aoti_load_package(str(package(name, SM90)))
    ours = load(name)
    given = inputs_of(ours)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        expected = torch.utils._pytree.tree_leaves(theirs(*given))
        for _ in range(3):
            made = torch.utils._pytree.tree_leaves(ours.call_torch(*given))
    stream.synchronize()
    for one, other in zip(made, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        scale = other.double().abs().max().item() or 1.0
        assert (one.double() - other.double()).abs().max().item() <= 2e-3 * scale


class TestWhichStream:
    def test_torchs_current_one(self, load):
        model = load("add")
        given = inputs_of(model)
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            assert model(*given).stream.handle == stream.cuda_stream
        assert model(*given).stream.is_default
        with penstock.Stream() as own, torch.cuda.stream(stream):
            assert model(*given).stream == own
        assert model(*given, stream=stream).stream.handle == stream.cuda_stream

    def test_cupys_current_one(self, load):
        cupy = pytest.importorskip("cupy")
        model = load("add")
        arrays = [cupy.asarray(tensor) for tensor in inputs_of(model)]
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            made = model(*arrays)
            assert made.stream.handle == stream.ptr
            expected = arrays[0] * arrays[1] + arrays[1]
            cupy.testing.assert_allclose(made.cupy(), expected, rtol=1e-5)

    def test_ours_is_theirs(self, load):
        model = load("add")
        x, y = inputs_of(model)
        torch.cuda.synchronize()
        own = penstock.Stream()
        theirs = torch.cuda.ExternalStream(own.handle)
        with torch.cuda.stream(theirs):
            made = model(x, y)
            assert made.stream == own
            assert torch.allclose(made.torch(), x * y + y)
        assert penstock.Stream.of(theirs) == own
        cupy = pytest.importorskip("cupy")
        with cupy.cuda.ExternalStream(own.handle):
            assert model(cupy.asarray(x), cupy.asarray(y)).stream == own


class TestOrder:
    def test_a_run_waits_for_its_stream_and_the_host_for_nothing(self, load):
        model = load("add")
        x, y = inputs_of(model)
        stream = torch.cuda.Stream()
        session = model.session()
        with torch.cuda.stream(stream):
            x.fill_(1)
            for _ in range(3):  # Kernels are loaded and memory is there then: CUDA waits for that.
                session.run(x, y).torch() + 0
        torch.cuda.synchronize()
        busy(stream)
        begin = time.perf_counter()
        with torch.cuda.stream(stream):
            x.fill_(2)
            made = session.run(x, y)
            result = made.torch() + 0
        assert time.perf_counter() - begin < 0.1, "it waited for the stream"
        assert not stream.query()
        stream.synchronize()
        assert torch.allclose(result, 2 * y + y)

    def test_a_taker_on_another_stream_waits_for_the_run(self, load):
        model = load("add")
        x, y = inputs_of(model)
        first, second = torch.cuda.Stream(), torch.cuda.Stream()
        for take in (lambda made: made.torch(), torch.from_dlpack):
            torch.cuda.synchronize()
            busy(first)
            with torch.cuda.stream(first):
                x.fill_(3)
                made = model(x, y)
            with torch.cuda.stream(second):
                copy = take(made) + 0
            second.synchronize()
            assert torch.allclose(copy, 3 * y + y)

    def test_the_host_copy_waits_for_the_run(self, load):
        model = load("add")
        x, y = inputs_of(model)
        stream = torch.cuda.Stream()
        torch.cuda.synchronize()
        busy(stream)
        with torch.cuda.stream(stream):
            x.fill_(4)
            made = model(x, y)
        np.testing.assert_allclose(np.asarray(made.cpu()), (4 * y + y).cpu().numpy(), rtol=1e-5)


class TestPartitions:
    def test_keep_the_run_on_their_sms(self, load):
        parts = penstock.SmResource.of_device().split("32,rest")
        context = penstock.GreenContext(parts[0])
        model = load("mlp")
        session, given = model.session(), inputs_of(model)
        torch.cuda.synchronize()
        with context as stream:
            assert len(set(penstock.probe_sms(stream))) <= 32
            for _ in range(3):
                session.run(*given)
            assert session.last_run.replayed
            audit = session.audit(*given, level="graph")
            assert audit.stayed and audit.sm_count == 32 and audit.entries
        outside = session.audit(*given, stream=penstock.Stream())
        assert outside.sm_count > 32

    def test_of_others_are_kept_to(self, load):
        """A stream of a green context of torch's own, where this torch has them."""
        green = getattr(torch.cuda, "GreenContext", None) or getattr(getattr(torch.cuda, "green_contexts", None), "GreenContext", None)
        if green is None or not hasattr(green, "Stream"):
            pytest.skip("this torch has no green contexts")
        model = load("add")
        given = inputs_of(model)
        torch.cuda.synchronize()
        context = green.create(16, 0)
        stream = context.Stream()
        with torch.cuda.stream(stream):
            made = model(*given)
        assert made.stream.handle == stream.cuda_stream and made.stream.in_green_context
        assert made.stream.sm_count < penstock.SmResource.of_device().sm_count
        assert len(set(penstock.probe_sms(stream))) == made.stream.sm_count


class TestModule:
    def test_is_captured_by_torch(self, package):
        module = penstock.nn.Module(package("mlp", SM90))
        (x,) = inputs_of(module.model)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.no_grad():
            module(x)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            made = module(x)
        for value in (0.5, -1.0):
            x.fill_(value)
            graph.replay()
            torch.cuda.synchronize()
            expected = module(x)
            torch.cuda.synchronize()
            assert torch.allclose(made, expected, atol=1e-4)

    def test_follows_torchs_stream(self, package):
        module = penstock.nn.Module(package("add", SM90))
        x, y = inputs_of(module.model)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            made = module(x, y)
        stream.synchronize()
        assert torch.allclose(made, x * y + y)


class TestMistakes:
    def test_devices(self, load):
        model = load("add")
        x, y = inputs_of(model)
        with pytest.raises(penstock.InvalidArgumentError, match=r"it is on cpu.*args\[0\]"):
            model(x.cpu(), y)
        with pytest.raises(penstock.NotFoundError):
            load("add", device="cuda:99")
        with pytest.raises(TypeError, match="can't convert cuda|BufferError|on a CUDA device"):
            try:
                np.asarray(model(x, y))
            except BufferError as error:
                raise TypeError(str(error)) from error

    def test_a_graph_that_is_required_and_cannot_be(self, package):
        path = package("selection", SM90)
        if not path.exists():
            pytest.skip("there is no such package")
        model = penstock.load(path, graphs="require")
        session = model.session()
        given = inputs_of(model)
        with pytest.raises(penstock.UnsupportedError, match="needs the host"):
            session.run(*given, stream=penstock.Stream())


def test_memory_stays_flat_over_10000_calls(load):
    model = load("mlp")
    session, given = model.session(), inputs_of(model)
    stream = torch.cuda.Stream()

    def calls(count):
        with torch.cuda.stream(stream):
            for _ in range(count):
                session.run(*given).torch()
        stream.synchronize()

    calls(1000)
    free = torch.cuda.mem_get_info()[0]
    held = session.memory.held_bytes
    calls(10000)
    gc.collect()
    assert session.memory.held_bytes == held
    assert free - torch.cuda.mem_get_info()[0] < 1 << 20


def test_exports_for_cuda(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.ReLU())
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = penstock.export(module, (torch.randn(4, 16),), path=tmp_path / "model.pt2", devices=("cpu", "cuda"))
    assert [os.path.basename(path) for path in paths] == ["model.cpu.pt2", "model.cuda.pt2"]
    assert all(row.ok for path in paths for row in penstock.verify(path))
    assert next(module.parameters()).device.type == "cpu"


def test_export_puts_each_part_back_on_its_device(tmp_path):
    class Parted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.here, self.there = torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8).cuda()

        def forward(self, x):
            return self.there(self.here(x))

    module = Parted()
    parameters = list(module.parameters())
    penstock.export(module, (torch.randn(4, 8),), path=tmp_path / "model.pt2", devices="cuda")
    assert {tensor.device.type for tensor in module.here.parameters()} == {"cpu"}
    assert {tensor.device.type for tensor in [*module.there.parameters(), *module.there.buffers()]} == {"cuda"}
    assert all(one is other for one, other in zip(module.parameters(), parameters, strict=True))
