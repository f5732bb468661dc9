"""TensorRT engines, with a double of TensorRT, beside the stand-in for the CUDA driver, which computes nothing."""

import json

import pytest

import conftest
from test_streams import DRIVER, on_stand_in

DOUBLE = DRIVER.with_name("libpenstock_tensorrt_double_11.so")

pytestmark = pytest.mark.skipif(not DOUBLE.exists(), reason="the double of TensorRT is not built: PENSTOCK_CUDA=OFF")

PLAN = {
    "aux_streams": 1,
    "tensors": [
        {"name": "x", "mode": "input", "shape": [-1, 4], "profiles": [
            {"min": [1, 4], "opt": [2, 4], "max": [8, 4]}, {"min": [9, 4], "opt": [9, 4], "max": [16, 4]}]},
        {"name": "y", "mode": "input", "shape": [4]},
        {"name": "z", "mode": "output", "shape": [-1, 4]},
    ],
    "layers": [{"kind": "affine", "inputs": ["x"], "output": "z", "stream": 1, "scale": 2}],
}

SUPPORT = f"""
DOUBLE = {str(DOUBLE)!r}
def load_engines(name, **options):
    return penstock.load({str(conftest.PACKAGES / "torch-2.15-engines")!r} + f"/{{name}}.pt2", tensorrt=[DOUBLE], **options)
def zeros(*shape):
    return penstock.Tensor(np.zeros(shape, np.float32)).to("cuda:0")
def given(model):
    return [zeros(*[max(dim.min, 1) for dim in spec.dims]) for spec in model.inputs]
PLAN = b"penstock-double\\n" + {json.dumps(PLAN).encode()!r}
"""


def with_engines(code):
    on_stand_in(code, SUPPORT)


def test_engines_of_a_package_are_objects():
    with_engines("""
        model = load_engines("pipeline")
        first = model.custom_objects()["_torchbind_obj0"].get()
        assert isinstance(first, penstock.TensorRTEngine) and first.name == "first"
        assert first == model.custom_objects()["_torchbind_obj0"].get() and len({first, first}) == 1
        assert first != model.custom_objects()["_torchbind_obj1"].get()
        assert first.library == f"TensorRT 11.1.0 ({DOUBLE})", first.library
        x = first.inputs[0]
        assert (x.name, x.dtype, x.shape, x.on_host, x.alias_of) == ("x", penstock.DType.float32, (-1, 4), False, "")
        assert [output.name for output in first.outputs] == ["z", "w"]
        assert first.profile_count == 2 and first.range(1, 0)[0] == (9, 4) and first.run_bytes == 4096
        assert first.aux_stream_count == 0 and "affine z" in first.layer_information()
        assert "first" in repr(first) and first.streamable_weight_bytes == first.weight_budget == 0
        refused(penstock.InvalidArgumentError, "2 profiles", lambda: first.range(2, 0))
        refused(penstock.NotFoundError, "nowhere", lambda: penstock.load(
            PACKAGE.replace("2.11-sm90/add", "2.15-engines/alone"), tensorrt=["/nowhere/libnvinfer.so"]))
    """)


def test_a_stream_is_kept_for_the_runs_that_use_it():
    with_engines("""
        import threading
        model = load_engines("alone")
        engine, inputs = model.custom_objects()["_torchbind_obj0"].get(), given(model)
        ended, problems = threading.Event(), []
        def work():
            stream, session = penstock.Stream(), model.session(graphs="off")
            try:
                while not ended.is_set():
                    session.run(*inputs, stream=stream)
            except penstock.Error as error:
                problems.append(error)
        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers: worker.start()
        for _ in range(300):
            engine.stream = penstock.Stream()
        ended.set()
        for worker in workers: worker.join()
        assert not problems, problems
    """)


def test_what_is_set_is_taken_up_by_the_next_run():
    with_engines("""
        model, stream = load_engines("alone"), penstock.Stream()
        engine = model.custom_objects()["_torchbind_obj0"].get()
        session, inputs = model.session(graphs="off"), given(model)
        def engine_streams():
            entries = session.audit(*inputs, stream=stream).entries
            return {entry.stream for entry in entries if "enqueueV3" in entry.name}
        assert engine.stream is None and engine_streams() == {stream.handle}
        own = penstock.Stream()
        engine.stream, handle = own, own.handle
        del own
        import gc; gc.collect()
        assert engine.stream.handle == handle and engine_streams() == {handle}
        engine.stream = None
        assert engine.stream is None and engine_streams() == {stream.handle}
        refused(TypeError, "stream", lambda: setattr(engine, "stream", 7))
        assert engine.profile is None
        engine.profile = 0
        assert engine.profile == 0
        refused(penstock.InvalidArgumentError, "no profile 9", lambda: setattr(engine, "profile", 9))
        engine.profile = None
        engine.profiling = True
        session.run(*inputs, stream=stream)
        assert engine.profiling and engine.layer_times[0][0] == "affine z"
        engine.output_allocator = engine.reused_outputs = True
        assert engine.output_allocator and engine.reused_outputs
        assert engine.communicator is None
        refused(penstock.UnsupportedError, "collectives", lambda: setattr(engine, "communicator", 4096))
    """)


def test_weight_budgets_and_communicators():
    with_engines("""
        model = load_engines("streamed")
        engine, collective = (model.custom_objects()[f"_torchbind_obj{i}"].get() for i in range(2))
        assert engine.streamable_weight_bytes == 1 << 20 and engine.weight_budget == 1 << 19
        engine.weight_budget = 1 << 17
        assert engine.weight_budget == 1 << 17
        refused(penstock.InvalidArgumentError, "budget of 1 bytes", lambda: setattr(engine, "weight_budget", 1))
        collective.communicator = 4096
        assert collective.communicator == 4096
        collective.communicator = None
        assert collective.communicator is None
    """)


def test_a_plan_is_a_model(tmp_path):
    path = tmp_path / "model.plan"
    path.write_bytes(b"penstock-double\n" + json.dumps(PLAN).encode())
    with_engines(f"""
        import hashlib, pathlib
        path, digest = {str(path)!r}, hashlib.sha256(PLAN).hexdigest()
        for source in (path, pathlib.Path(path), PLAN):
            model = penstock.load_engine(source, tensorrt=[DOUBLE], sha256=digest)
        assert [spec.name for spec in model.inputs] == ["x", "y"] and model.output_names == ["z"]
        assert model.inputs[0].dims[0].max == 16 and str(model.device) == "cuda:0"
        x, y = zeros(3, 4), zeros(4)
        for made in (model(x, y), model(y=y, x=x), model(x, y=y)):
            assert [output.shape for output in made] == [(3, 4)]
        refused(TypeError, "no input is called \\"w\\"", lambda: model(x, w=y))
        refused(TypeError, "input x is given twice", lambda: model(x, x=x))
        refused(TypeError, "input x is not given", lambda: model(y=y))
        refused(penstock.InvalidArgumentError, "1..16", lambda: model(zeros(17, 4), y))
        assert isinstance(model.custom_objects()["engine"].get(), penstock.TensorRTEngine)
        assert model.custom_objects()["engine"].state == PLAN
        refused(penstock.InvalidArgumentError, "run on CUDA", lambda: penstock.load_engine(path, device="cpu"))
        refused(penstock.InvalidArgumentError, "digest|SHA-256",
                lambda: penstock.load_engine(path, tensorrt=[DOUBLE], sha256="0" * 64))
        refused(penstock.IncompatibleError, "refuses it", lambda: penstock.load_engine(b"junk", tensorrt=[DOUBLE]))
        refused(penstock.NotFoundError, "nowhere", lambda: penstock.load_engine("/nowhere/a.plan"))
        refused(TypeError, "a path or the bytes", lambda: penstock.load_engine(7))
    """)
