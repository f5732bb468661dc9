"""What waits for a run on CUDA, beside the stand-in for the driver: on which stream its log has the waits."""

import pytest

from test_streams import on_stand_in, pytestmark  # noqa: F401

MORE = r"""
import os, re, sys, threading, types

def logged(work):
    # What the driver was asked for meanwhile.
    log = os.environ["PENSTOCK_RECORDING_LOG"]
    before = len(open(log).readlines())
    work()
    return open(log).readlines()[before:]

def number(lines, call):
    # The stream that the last such call was for.
    found = [re.findall(r"stream#(\d+)", line)[-1] for line in lines if line.startswith(call)]
    assert found, lines
    return found[-1]

def library(stream, name="torch"):
    # A library of that name, with tensors over those of Penstock.
    module = types.ModuleType(name)
    class Stream:
        cuda_stream = ptr = stream.handle
    module.cuda = types.SimpleNamespace(current_stream=lambda device=None: Stream(),
                                        get_current_stream=lambda device=None: Stream())
    module.Tensor = type("Tensor", (), {})
    module.utils = types.SimpleNamespace(dlpack=types.SimpleNamespace(from_dlpack=lambda capsule: "made"))
    sys.modules[name] = module
    class Array:
        __module__ = name
        requires_grad = False
        def __init__(self, tensor): self.tensor = tensor
        def __dlpack__(self, **options): return self.tensor.__dlpack__(**options)
        def __dlpack_device__(self): return self.tensor.__dlpack_device__()
    return Array
"""


@pytest.fixture
def check(tmp_path, monkeypatch):
    (tmp_path / "log").touch()
    monkeypatch.setenv("PENSTOCK_RECORDING_LOG", str(tmp_path / "log"))
    return lambda code: on_stand_in(code, MORE)


def test_outputs_of_the_default_stream_are_taken_on_threads_without_a_context(check):
    check("""
        model, own = load(), penstock.Stream()
        made = model(*inputs(model))
        assert made.stream.is_default
        def take():
            lines = logged(lambda: made.cpu())
            assert lines[0].startswith("cuEventSynchronize"), lines
            waits = logged(lambda: made.__dlpack__(stream=own.handle))
            assert number(waits, "cuStreamWaitEvent") == number(logged(lambda: model(*inputs(model), stream=own)),
                                                                "cuEventRecord"), waits
            for stream in (None, 1, 2, -1):
                made.__dlpack__(stream=stream)
        take()
        failed = []
        def work():
            try:
                take()
            except BaseException as error:
                failed.append(error)
        thread = threading.Thread(target=work)
        thread.start(); thread.join()
        assert not failed, failed
    """)


def test_a_tensor_that_a_run_wrote_to_is_taken_behind_it(check):
    check("""
        model, own = load(), penstock.Stream()
        given = inputs(model)
        out = penstock.Tensor(np.zeros(given[0].shape, np.float32)).to("cuda:0")
        assert out.stream is None
        run = logged(lambda: model(*given, out=out, stream=own))
        assert out.stream == own
        assert number(logged(out.cpu)[:1], "cuStreamSynchronize") == number(run, "cuEventRecord")
        model(*given, out=out)
        assert out.stream.is_default
        assert logged(out.cpu)[0].startswith("cuEventSynchronize")
    """)


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_a_tensor_over_one_of_another_library_is_taken_behind_its_stream(check, name):
    check(f"""
        model, theirs = load(), penstock.Stream()
        given = inputs(model)
        wrapped = penstock.Tensor(library(theirs, {name!r})(given[0]))
        assert wrapped.stream == theirs and penstock.Tensor(wrapped).stream == theirs
        run = logged(lambda: model(*given, stream=theirs))
        assert number(logged(wrapped.cpu)[:1], "cuStreamSynchronize") == number(run, "cuEventRecord")
        other = penstock.Tensor(library(penstock.Stream.legacy_default(), {name!r})(given[0]))
        assert logged(other.cpu)[0].startswith("cuEventSynchronize")
    """)


def test_weights_are_copied_from_the_device_behind_their_stream(check):
    check("""
        model = penstock.load(PACKAGE.replace("add.pt2", "mlp.pt2"))
        theirs = penstock.Stream()
        run = logged(lambda: load()(*inputs(load()), stream=theirs))
        array = library(theirs)
        ours = {constant.name: penstock.Tensor(np.full(constant.shape, 3, np.float32)).to("cuda:0")
                for constant in model.constants}
        given = {name: array(tensor) for name, tensor in ours.items()}
        lines = logged(lambda: model.update_weights(given, full=True))
        assert lines[0].startswith("cuStreamSynchronize"), lines
        assert number(lines[:1], "cuStreamSynchronize") == number(run, "cuEventRecord"), lines
        for name in ours:
            assert (np.asarray(model.weight(name)) == 3).all()
        model.update_weights(ours)
        penstock.load(PACKAGE.replace("add.pt2", "mlp.pt2"), weights=ours)
        sys.modules["torch"].cuda.current_device = lambda: 0
        compiled = penstock.aoti_load_package(PACKAGE.replace("add.pt2", "mlp.pt2"))
        compiled.load_constants(given, check_full_update=True)
    """)


def test_a_package_in_place_of_torchs_goes_to_its_current_device(check, monkeypatch):
    monkeypatch.setenv("PENSTOCK_RECORDING_GPUS", "2")
    check("""
        library(penstock.Stream())
        sys.modules["torch"].cuda.current_device = lambda: 1
        def device(**options):
            return str(penstock.aoti_load_package(PACKAGE, **options).loader.model.device)
        assert device() == "cuda:1" and device(device_index=0) == "cuda:0"
        model, other = load(), penstock.Stream(1)
        refused(penstock.InvalidArgumentError, "another device than cuda:0",
                lambda: model(*inputs(model), stream=other))
        made = model(*inputs(model), stream=penstock.Stream())
        made.__dlpack__(stream=other.handle)
    """)


def test_torchs_stream_waits_for_a_run_elsewhere_that_gives_it_tensors(check):
    check("""
        model, theirs, own = load(), penstock.Stream(), penstock.Stream()
        given = inputs(model)
        of_torch = [library(theirs)(tensor) for tensor in given]
        taking = number(logged(lambda: model(*given, stream=theirs)), "cuEventRecord")
        making = number(logged(lambda: model(*given, stream=own)), "cuEventRecord")
        session = model.session()
        def waits_of(work):
            lines = logged(work)
            waits = [line for line in lines if line.startswith("cuStreamWaitEvent") and f"of stream#{making} " in line]
            assert len(waits) == 1 and number(waits, "cuStreamWait") == taking, lines
        waits_of(lambda: model.call_torch(*of_torch, stream=own))
        waits_of(lambda: session.run_torch(*of_torch, stream=own))
        waits_of(lambda: model.call_flat(of_torch, stream=own))
        with own:
            waits_of(lambda: model.call_torch(*of_torch))
        # On torch's own stream nothing has to wait.
        for work in (lambda: session.run_torch(*of_torch), lambda: session.run_torch(*of_torch, stream=theirs)):
            work()
            assert not any(line.startswith("cuStreamWaitEvent") for line in logged(work))
    """)
