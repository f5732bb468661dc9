"""Loading, calls, their structures, and what comes out."""

import collections
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import conftest
import penstock


def arrays(shape=(8, 64)):
    random = np.random.default_rng(0)
    return tuple(random.standard_normal(shape, np.float32) for _ in range(2))


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_import_takes_neither_torch_nor_numpy():
    code = "import sys, penstock; print('numpy' in sys.modules, 'torch' in sys.modules)"
    assert run_python(code).stdout.split() == ["False", "False"]


def test_all_of_it_is_imported_without_torch_too():
    done = run_python("""
import sys
from penstock import *
print("torch" in sys.modules, callable(aoti_load_package), callable(export), callable(verify))
import penstock
sys.modules["torch"] = None  # As where it is not installed.
print(hasattr(penstock, "nn"))
try:
    penstock.nn
except AttributeError as error:
    print(error)
""")
    assert done.stdout == "False True True True\nFalse\npenstock.nn needs torch, which is not installed here\n", done.stderr


def test_gives_what_the_model_gives(add):
    x, y = arrays()
    np.testing.assert_allclose(np.asarray(add(x, y)), x * y + y, rtol=1e-6)


def test_takes_the_bytes_of_a_file(package):
    for source in (package("add").read_bytes(), bytearray(package("add").read_bytes())):
        x, y = arrays()
        model = penstock.load(source)
        del source
        np.testing.assert_allclose(np.asarray(model(x, y)), x * y + y, rtol=1e-6)


def test_checks_the_digest_that_is_given(package):
    import hashlib

    digest = hashlib.sha256(package("add").read_bytes()).hexdigest()
    assert penstock.load(package("add"), sha256=digest).name == "model"
    with pytest.raises(penstock.InvalidArgumentError, match="not the file that was expected: its SHA-256"):
        penstock.load(package("add"), sha256="0" * 64)


def test_loads_the_model_that_is_named(package):
    first = penstock.load(package("two_models"), "first")
    x = np.ones(first.inputs[0].dims[0].min if first.inputs[0].dims else (), np.float32)
    shape = [dim.min for dim in first.inputs[0].dims]
    x = np.ones(shape, np.float32)
    np.testing.assert_array_equal(np.asarray(first(x)), x + 1)
    second = penstock.load(package("two_models"), model="second")
    np.testing.assert_array_equal(np.asarray(second(x)), x * 3)
    with pytest.raises(penstock.NotFoundError, match="first"):
        penstock.load(package("two_models"), model="third")


class TestStructures:
    Scaled = collections.namedtuple("Scaled", "twice half")

    @pytest.fixture
    def nested(self, package):
        penstock.register_namedtuple(self.Scaled, "penstock.tests.Scaled")
        return penstock.load(package("nested", "2.15-calls"))

    def call(self, model, **changed):
        one = np.ones
        features = changed.get("features", {"u": one(3, np.float32), "v": [one(3, np.float32)]})
        keywords = {"bias": one(4, np.float32), "scale": 3.0, "training": False, **changed.get("keywords", {})}
        for name in changed.get("without", ()):
            del keywords[name]
        return model(one((2, 4), np.float32), features, 7, **keywords)

    def test_takes_any_number_where_one_was(self, nested):
        for scale, training in ((np.float64(3), np.bool_(False)), (3, b"no"), (None, "no")):
            self.call(nested, keywords={"scale": scale, "training": training})

    def test_names_what_is_no_tensor(self, nested):
        with pytest.raises(TypeError, match=r"takes 4 tensors, and 3 were given: .*\['u'\] is a float"):
            self.call(nested, features={"u": 3.0, "v": [np.ones(3, np.float32)]})

    def test_raises_what_a_sequence_raises(self, nested):
        class Lazy(list):
            def __getitem__(self, item):
                raise RuntimeError("not there")

        with pytest.raises(RuntimeError, match="not there"):
            self.call(nested, features={"u": np.ones(3, np.float32), "v": Lazy([np.ones(3, np.float32)])})

    def test_gives_the_structure_of_the_exported_call(self, nested):
        made, count = self.call(nested)
        assert type(made) is collections.OrderedDict and list(made) == ["y", "pair", "scaled", "list"]
        assert type(made["pair"]) is tuple and made["pair"][1] is None
        assert type(made["scaled"]) is self.Scaled
        np.testing.assert_array_equal(np.asarray(made["scaled"].half), np.full((2, 4), 0.5, np.float32))
        assert type(made["list"]) is list and np.asarray(made["list"][0]) == 8
        assert np.asarray(count) == 7

    def test_takes_keywords_in_any_order(self, nested):
        ones = np.ones(4, np.float32)
        features = {"v": [np.ones(3, np.float32)], "u": np.ones(3, np.float32)}
        made, _ = nested(np.ones((2, 4), np.float32), features, 7, training=False, scale=3.0, bias=ones)
        np.testing.assert_array_equal(np.asarray(made["pair"][0]), np.full(3, 2, np.float32))

    @pytest.mark.parametrize("changed, words", [
        ({"features": {"u": np.ones(3, np.float32)}}, r"args\[1\] lacks the key 'v'"),
        ({"features": {"u": np.ones(3, np.float32), "v": np.ones(3, np.float32)}},
         r"args\[1\]\['v'\] is a numpy.ndarray, and the model was exported with a list of 1 there"),
        ({"features": {"u": np.ones(3, np.float32), "v": []}}, r"args\[1\]\['v'\] has 0 items"),
        ({"features": {"u": np.ones(3, np.float32), "v": [np.ones(3, np.float32)], "w": 1}},
         r"args\[1\] has the key 'w'"),
        ({"keywords": {"other": 1}}, r"kwargs has the key 'other'"),
        ({"without": ["bias"]}, r"kwargs lacks the key 'bias'"),
    ])
    def test_says_where_the_structure_is_another(self, nested, changed, words):
        with pytest.raises(TypeError, match=words):
            self.call(nested, **changed)

    def test_says_where_a_tensor_is_wrong(self, nested):
        bad = {"u": np.ones(3, ">f4"), "v": [np.ones(3, np.float32)]}
        with pytest.raises(penstock.InvalidArgumentError, match=r"args\[1\]\['u'\].*big-endian"):
            self.call(nested, features=bad)
        wrong = {"u": np.ones(3, np.float64), "v": [np.ones(3, np.float32)]}
        with pytest.raises(penstock.InvalidArgumentError, match=r"float64\[3\].*args\[1\]\['u'\]"):
            self.call(nested, features=wrong)

    def test_takes_tensors_to_write_to_in_the_same_structure(self, nested):
        made, count = self.call(nested)
        shapes = [(2, 4), (3,), (2, 4), (2, 4), ()]
        y, pair, twice, half, total = (np.empty(shape, np.float32) for shape in shapes)
        counted = np.zeros((), np.int64)
        out = (collections.OrderedDict(y=y, pair=(pair, None), scaled=self.Scaled(twice, half), list=[total]), counted)
        features = {"u": np.ones(3, np.float32), "v": [np.ones(3, np.float32)]}
        given = nested(np.ones((2, 4), np.float32), features, 7, bias=np.ones(4, np.float32), scale=3.0, training=False,
                       out=out)
        assert given[0]["y"] is y and given[0]["pair"][1] is None
        np.testing.assert_array_equal(y, np.asarray(made["y"]))
        np.testing.assert_array_equal(half, np.asarray(made["scaled"].half))
        assert counted == 7

    @pytest.mark.parametrize("twice, words", [
        (np.empty((2, 5), np.float32), r"out3 is .*\(out\[0\]\['scaled'\]\[0\]\)$"),
        (np.empty((2, 4), ">f4"), r"^out\[0\]\['scaled'\]\[0\]: its elements are big-endian"),
        (3, r"^out\[0\]\['scaled'\]\[0\]: a int is no tensor"),
    ])
    def test_says_where_a_tensor_to_write_to_is_wrong(self, nested, twice, words):
        y, pair, half, total = (np.empty(shape, np.float32) for shape in [(2, 4), (3,), (2, 4), ()])
        out = (collections.OrderedDict(y=y, pair=(pair, None), scaled=self.Scaled(twice, half), list=[total]),
               np.zeros((), np.int64))
        with pytest.raises((penstock.InvalidArgumentError, TypeError), match=words):
            self.call(nested, keywords={"out": out})


def test_messages_name_what_python_has(package, add):
    x, y = arrays((64, 8))
    with pytest.raises(penstock.InvalidArgumentError, match=r"numpy\.ascontiguousarray\(array\).*\(args\[0\]\)$"):
        add(x.T, y.T)
    with pytest.raises(penstock.InvalidArgumentError, match=r"\(weights=, --weights\)"):
        penstock.load(package("external"))
    with pytest.raises(penstock.IncompatibleError, match=r"\(device=, --device cpu\)"):
        penstock.load(package("add"), device="cuda:0")
    with pytest.raises(penstock.UnsupportedError, match=r"\(registry=\).*\(libraries=, --library\)"):
        penstock.load(package("operator_effects", "2.15-objects"))
    wide = np.ones((65, 64), np.float32)
    with pytest.raises(penstock.InvalidArgumentError, match=r'size_ranges="ignored" or --size-ranges ignored'):
        penstock.load(package("mlp"))(wide)


def test_writes_to_the_tensor_that_is_given(add):
    x, y = arrays()
    out = np.empty_like(x)
    assert add(x, y, out=out) is out
    np.testing.assert_allclose(out, x * y + y, rtol=1e-6)
    with pytest.raises(penstock.InvalidArgumentError, match="overlaps input arg0"):
        add(x, y, out=x)
    with pytest.raises(penstock.InvalidArgumentError, match=r"^out: its memory is read-only"):
        locked = np.empty_like(x)
        locked.flags.writeable = False
        add(x, y, out=locked)


def test_an_output_that_is_an_input_keeps_it(package):
    shared = penstock.load(package("shared"))
    shape = (64, 128)
    x, y = (np.full(shape, value, np.float32) for value in (1, 2))
    import gc

    flat = []

    def collect(value):
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ():
            collect(one)
        if isinstance(value, penstock.Tensor):
            flat.append(value)

    collect(shared(x, y, scale=np.array(2, np.float32)))
    same = [tensor for tensor in flat if tensor.data_ptr == x.__array_interface__["data"][0]]
    assert same
    array = np.asarray(same[0])
    del x, y, flat, same
    gc.collect()
    np.testing.assert_array_equal(array, np.ones(shape, np.float32))


class Lender:
    """Gives memory that is its capsule's only, and notes when that goes."""

    def __init__(self, shape, value):
        self.shape, self.value, self.is_gone = shape, value, False

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        import weakref

        array = np.full(self.shape, self.value, np.float32)
        weakref.finalize(array, lambda: setattr(self, "is_gone", True))
        return array.__dlpack__()


def tensors_in(value):
    if isinstance(value, penstock.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [tensor for item in items for tensor in tensors_in(item)]


class TestMemoryOfOthers:
    def test_that_a_capsule_owns_stays_as_long_as_a_tensor_over_it(self):
        lender = Lender((8, 64), 7)
        tensor = penstock.Tensor(lender)
        array = np.asarray(tensor)
        del tensor
        assert not lender.is_gone
        np.testing.assert_array_equal(array, np.full((8, 64), 7, np.float32))
        del array
        assert lender.is_gone

    def test_of_a_buffer_stays_locked_as_long(self):
        memory = bytearray(64)
        tensor = penstock.Tensor(memory)
        with pytest.raises(BufferError):
            memory.extend(b"more")
        del tensor
        memory.extend(b"more")

    def test_stays_as_long_as_an_output_that_lies_in_it(self, package):
        shared = penstock.load(package("shared"))
        shape = (64, 128)
        lender = Lender(shape, 7)
        made = shared(lender, np.ones(shape, np.float32), scale=np.array(2, np.float32))
        assert not lender.is_gone
        same = [tensor for tensor in tensors_in(made) if np.asarray(tensor).ravel()[0] == 7]
        del made
        assert same and not lender.is_gone
        del same
        assert lender.is_gone


class TestTensor:
    def test_goes_to_numpy_and_back_without_a_copy(self, add):
        x, y = arrays()
        made = add(x, y)
        array = np.asarray(made)
        assert array.__array_interface__["data"][0] == made.data_ptr
        assert np.from_dlpack(made).__array_interface__["data"][0] == made.data_ptr
        assert made.numpy().flags.writeable
        again = add(made, y)
        np.testing.assert_allclose(np.asarray(again), array * y + y, rtol=1e-6)
        over = penstock.Tensor(x)
        assert over.data_ptr == x.__array_interface__["data"][0]
        np.testing.assert_array_equal(np.asarray(add(over, y)), array)

    def test_outlives_its_session_and_model(self, package):
        x, y = arrays()
        array = np.asarray(penstock.load(package("add")).session().run(x, y))
        import gc

        gc.collect()
        np.testing.assert_allclose(array, x * y + y, rtol=1e-6)

    def test_says_what_it_is(self, add):
        made = add(*arrays())
        assert (made.shape, made.strides, made.ndim, len(made)) == ((8, 64), (64, 1), 2, 8)
        assert made.dtype == penstock.DType.float32 and str(made.dtype) == "float32"
        assert str(made.device) == "cpu" and made.device == penstock.Device("cpu")
        assert made.stream is None
        assert repr(made) == "<penstock.Tensor float32[8, 64] on cpu>"
        assert made.cpu().data_ptr == made.data_ptr

    def test_is_lent_only_in_the_order_that_is_asked_for(self):
        import ctypes

        class Buffer(ctypes.Structure):
            _fields_ = [("address", ctypes.c_void_p), ("owner", ctypes.c_void_p), ("sizes", ctypes.c_ssize_t * 2),
                        ("rest", ctypes.c_char * 128)]

        def lends(tensor, flags):
            buffer = Buffer()
            try:
                ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(tensor), ctypes.byref(buffer), flags)
            except BufferError:
                return False
            ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
            return True

        simple, strides, c_order, fortran, any_order = 0, 0x18, 0x38, 0x58, 0x98
        array = np.ones((4, 6), np.float32)
        for given, expected in ((array, {simple, strides, c_order, any_order}), (array.T, {strides, fortran, any_order}),
                                (array[:, ::2], {strides}), (array[:0].T, {simple, strides, c_order, fortran, any_order})):
            tensor = penstock.Tensor(given)
            assert {flags for flags in (simple, strides, c_order, fortran, any_order) if lends(tensor, flags)} == expected

    def test_cannot_be_derived_from_or_used_uninitialized(self, add):
        with pytest.raises(TypeError, match="prohibits subclassing"):
            type("Derived", (penstock.Tensor,), {})
        empty = penstock.Tensor.__new__(penstock.Tensor)
        with pytest.raises(BufferError, match="never initialized"):
            memoryview(empty)
        with pytest.raises(penstock.InvalidArgumentError, match=r"args\[0\].*never initialized"):
            add(empty, arrays()[1])

    def test_converts_where_numpy_asks(self, add):
        made = add(*arrays())
        assert np.asarray(made, np.float64).dtype == np.float64
        copied = np.array(made, copy=True)
        assert copied.__array_interface__["data"][0] != made.data_ptr
        assert memoryview(made).shape == (8, 64)

    def test_takes_all_dtypes_that_numpy_has(self, package):
        model = penstock.load(package("dtypes"))
        types = {"bfloat16": None}
        inputs = []
        for spec in model.inputs:
            shape = [dim.min for dim in spec.dims]
            name = types.get(str(spec.dtype), str(spec.dtype))
            inputs.append(np.ones(shape, name) if name else penstock.load(package("dtypes")))
        with pytest.raises(TypeError, match=r"args\[3\]: a .*Model is no tensor"):
            model(*inputs)


class TestInputs:
    @pytest.mark.parametrize("bad, error, words", [
        (3.0, TypeError, r"args\[1\]: a float is no tensor"),
        ("text", TypeError, r"args\[1\]: a str is no tensor"),
        (None, TypeError, r"args\[1\]: a NoneType is no tensor"),
        ([1.0], TypeError, r"args\[1\]: a list is no tensor"),
        (b"bytes", penstock.InvalidArgumentError, r"args\[1\]: its memory is read-only"),
        (np.ones((8, 64), "f8"), penstock.InvalidArgumentError, "dtype is float64, not float32"),
        (np.ones((8, 64), ">f4"), penstock.InvalidArgumentError, r"args\[1\].*big-endian"),
        (np.ones((8, 32), "f4"), penstock.InvalidArgumentError, "dimension 1 is 32, the model takes 64"),
        (np.ones((8, 64), "f4")[:, ::-1], penstock.InvalidArgumentError, r"args\[1\].*negative stride"),
        (np.ones((8, 64), "U3"), penstock.InvalidArgumentError, r"args\[1\].*which no model takes"),
        (np.ones((8, 64), [("a", "f4")]), penstock.InvalidArgumentError, r"args\[1\]"),
        (np.ones((1,) * 20, "f4"), penstock.InvalidArgumentError, r"args\[1\].*20 dimensions"),
    ])
    def test_are_refused_by_name(self, add, bad, error, words):
        with pytest.raises(error, match=words):
            add(np.ones((8, 64), np.float32), bad)

    def test_are_refused_read_only(self, add):
        x, y = arrays()
        x.flags.writeable = False
        with pytest.raises(penstock.InvalidArgumentError, match=r"args\[0\].*read-only; give a copy"):
            add(x, y)

    def test_are_refused_read_only_through_dlpack(self, add):
        class Lent:
            def __init__(self, array):
                self.array = array

            def __dlpack_device__(self):
                return self.array.__dlpack_device__()

            def __dlpack__(self, **options):
                return self.array.__dlpack__(**options)

        x, y = arrays()
        add(Lent(x), y)
        x.flags.writeable = False
        with pytest.raises(penstock.InvalidArgumentError, match=r"args\[0\]: its memory is read-only"):
            add(Lent(x), y)

    def test_are_counted(self, add):
        with pytest.raises(TypeError, match="takes 2 positional arguments, and 1 was given"):
            add(arrays()[0])

    def test_leave_nothing_behind_when_refused(self, add):
        import resource

        x = np.ones((8, 64), np.float32)
        locked = x.copy()
        locked.flags.writeable = False
        calls = [lambda: add(x, 3.0), lambda: add(x), lambda: add(x, locked), lambda: add(x, np.ones((8, 64))),
                 lambda: add(x, np.ones((8, 32), np.float32)), lambda: add(x, x, other=1), lambda: add(x, x, out=locked),
                 lambda: add(x, x, out=3), lambda: add(x, x, stream=3), lambda: add.update_weights({"no": x}),
                 lambda: penstock.load("no such file"), lambda: penstock.load(b"junk"), lambda: penstock.Tensor(3)]

        def make(count):
            for _ in range(count):
                for call in calls:
                    with pytest.raises((penstock.Error, TypeError)):
                        call()

        make(200)
        before = sys.getrefcount(x), sys.getrefcount(locked)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        make(1000)
        assert (sys.getrefcount(x), sys.getrefcount(locked)) == before
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 1024  # KiB
        x.resize((8, 64), refcheck=True)  # Nobody exports its memory.

    def test_of_strides_that_the_model_does_not_have(self, add):
        x, y = arrays((64, 8))
        with pytest.raises(penstock.InvalidArgumentError, match="stride"):
            add(x.T, y.T)


class TestErrors:
    def test_are_classes_of_one_root(self, package):
        with pytest.raises(penstock.NotFoundError) as caught:
            penstock.load("no/such/file.pt2")
        assert isinstance(caught.value, penstock.Error) and isinstance(caught.value, LookupError)
        assert "no/such/file.pt2" in str(caught.value)
        with pytest.raises(penstock.CorruptError, match="not a zip archive"):
            penstock.load(b"junk")
        with pytest.raises(penstock.CorruptError):
            penstock.load(package("add").read_bytes()[:5000])
        with pytest.raises(penstock.UnsupportedError, match="aoti_torch_cpu_geqrf"):
            penstock.load(package("unsupported_ops"))

    def test_name_files_whose_names_are_no_utf8(self, package, tmp_path):
        import os

        path = os.fsdecode(os.fsencode(tmp_path) + b"/model\xff.pt2")
        with pytest.raises(penstock.NotFoundError) as caught:
            penstock.load(path)
        assert path in str(caught.value)
        pathlib.Path(path).write_bytes(package("add").read_bytes())
        assert penstock.Package(path).name == path
        with pytest.raises(penstock.InvalidArgumentError, match="float64"):
            penstock.load(path)(arrays()[0], np.ones((8, 64)))

    def test_of_options(self, package):
        with pytest.raises(penstock.InvalidArgumentError, match='"auto", "off", "require"'):
            penstock.load(package("add"), graphs="maybe")
        with pytest.raises(TypeError, match='no option "graph"'):
            penstock.load(package("add"), graph="auto")
        with pytest.raises(TypeError, match="a path or the bytes of a file, and no int"):
            penstock.load(3)
        with pytest.raises(penstock.InvalidArgumentError, match="the model is on the CPU"):
            penstock.load(package("add"))(*arrays(), stream=penstock.Stream.from_handle(1))


    @pytest.mark.parametrize("call, words", [
        (lambda path: penstock.load(path, graphs=1), "graphs is a int, and no str"),
        (lambda path: penstock.load(path, tf32_matmul="yes"), "tf32_matmul is a str, and no bool"),
        (lambda path: penstock.load(path, sha256=5), "sha256 is a int, and no str"),
        (lambda path: penstock.load(path, registry=5), "registry is a int, and no penstock.Registry"),
        (lambda path: penstock.load(path, weights=[1]), "weights is a list, and no mapping"),
        (lambda path: penstock.load(path).session(threads="a"), "threads is a str, and no int of 32 bits"),
        (lambda path: penstock.load(path).session(threads=1 << 40), "threads is a int, and no int of 32 bits"),
        (lambda path: penstock.load(path).session().audit(*arrays(), level=3), "level is a int, and no str"),
        (lambda path: penstock.load(path).update_weights({1: arrays()[0]}), "the name of a weight is a int, and no str"),
        (lambda path: penstock.Tensor(arrays()[0]).__dlpack__(dl_device="cpu"), "dl_device is a str, and no pair of ints"),
        (lambda path: penstock.Tensor(arrays()[0]).__dlpack__(max_version=5), "max_version is a int, and no pair"),
        (lambda path: penstock.Registry().add_class("ns.A", list, methods={1: len}), "the schema of a method is a int"),
    ])
    def test_of_types(self, package, call, words):
        with pytest.raises(TypeError, match=words):
            call(package("add"))

    def test_of_objects_that_are_no_good_tensors(self, add):
        class Bad:
            def __init__(self, place):
                self.place = place

            def __dlpack_device__(self):
                if isinstance(self.place, Exception):
                    raise self.place
                return self.place

            __dlpack__ = None

        for place in (5, ("a", 0)):
            with pytest.raises(TypeError, match=r"args\[1\]: the answer of its __dlpack_device__ is a \w+, and no pair"):
                add(arrays()[0], Bad(place))
        with pytest.raises(ZeroDivisionError, match="own words") as caught:
            add(arrays()[0], Bad(ZeroDivisionError("own words")))
        if sys.version_info >= (3, 11):
            assert caught.value.__notes__ == ["penstock: this was raised by args[1]"]


class TestCudaArrayInterface:
    """What needs no CUDA: nothing looks at the memory before a run."""

    @staticmethod
    def of(**changed):
        class Array:
            pass

        array = Array()
        array.__cuda_array_interface__ = {"shape": (4, 6), "typestr": "<f4", "data": (1 << 20, False), "version": 3, **changed}
        return array

    def test_is_read(self):
        tensor = penstock.Tensor(self.of())
        assert (tensor.shape, tensor.strides, str(tensor.dtype), str(tensor.device), tensor.data_ptr) == \
            ((4, 6), (6, 1), "float32", "cuda:0", 1 << 20)
        assert penstock.Tensor(self.of(strides=(4, 16))).strides == (1, 4)
        assert str(penstock.Tensor(self.of(typestr="|b1")).dtype) == "bool"
        assert str(penstock.Tensor(self.of(typestr="<c16")).dtype) == "complex128"
        assert str(penstock.Tensor(self.of(), device="cuda:1").device) == "cuda:1"
        with pytest.raises(penstock.InvalidArgumentError, match="memory of CUDA"):
            penstock.Tensor(self.of(), device="cpu")

    @pytest.mark.parametrize("changed, error, words", [
        ({"typestr": "<f0", "strides": (4, 4)}, penstock.InvalidArgumentError, '"<f0", which no model takes'),
        ({"typestr": "<f16"}, penstock.InvalidArgumentError, '"<f16", which no model takes'),
        ({"typestr": "<f1"}, penstock.InvalidArgumentError, '"<f1", which no model takes'),
        ({"typestr": "<fx"}, penstock.InvalidArgumentError, '"<fx", which no model takes'),
        ({"typestr": ""}, penstock.InvalidArgumentError, "which no model takes"),
        ({"typestr": ">f4"}, penstock.InvalidArgumentError, "this machine's order"),
        ({"data": (1 << 20, True)}, penstock.InvalidArgumentError, "read-only"),
        ({"mask": object()}, penstock.InvalidArgumentError, "it has a mask"),
        ({"strides": (5, 3)}, penstock.InvalidArgumentError, "no multiples of its elements"),
        ({"data": 5}, TypeError, "data of its __cuda_array_interface__ is a int, and no pair"),
        ({"shape": None}, TypeError, "shape of its __cuda_array_interface__ is a NoneType, and no tuple of ints"),
    ])
    def test_is_refused(self, changed, error, words):
        with pytest.raises(error, match=words):
            penstock.Tensor(self.of(**changed))


def test_calls_of_threads_give_what_one_gives(add):
    x, y = arrays()
    expected = x * y + y
    wrong = []

    def work():
        session = add.session()
        for _ in range(200):
            if not np.allclose(np.asarray(session.run(x, y)), expected) or \
                    not np.allclose(np.asarray(add(x, y)), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def ticks():
    """What a thread counts that is let in only where another gives the GIL up: ticks() has the number."""
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.0002)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=count)
    thread.start()
    yield lambda: counted[0]
    stop.set()
    sys.setswitchinterval(interval)
    thread.join()


class TestOtherThreadsGoOn:
    """Each looks from Python's last step before the library's work to the first after it."""

    def test_while_a_package_is_opened(self, package, ticks):
        path = package("mlp")
        before = ticks()
        for _ in range(200):
            penstock.Package(path, sha256="")
            if ticks() > before:
                return
        raise AssertionError("the GIL was held")

    def test_while_a_model_is_loaded(self, package, ticks):
        seen = []

        class Weights(dict):
            def __iter__(self):  # It is read when the package is open already.
                seen.append(ticks())
                return super().__iter__()

        for _ in range(50):
            penstock.load(package("mlp"), weights=Weights())
            if ticks() > seen[-1]:
                return
        raise AssertionError("the GIL was held")

    def test_while_a_model_runs(self, package, ticks):
        session = penstock.load(package("mlp"), size_ranges="ignored").session()
        x = np.ones((20000, 64), np.float32)
        before = ticks()
        for _ in range(50):
            session.run(x)
            if ticks() > before:
                return
        raise AssertionError("the GIL was held")


def test_threads_may_be_the_first_to_import_torch_together(tmp_path):
    (tmp_path / "torch.py").write_text("""
import time, types
time.sleep(0.3)
class Tensor: pass
utils = types.SimpleNamespace(dlpack=types.SimpleNamespace(from_dlpack=lambda capsule: "made"))
""")
    done = run_python(f"""
import faulthandler, sys, threading
sys.path.insert(0, {str(tmp_path)!r})
faulthandler.dump_traceback_later(20, exit=True)
import penstock
tensor = penstock.Tensor(bytearray(8))
made = []
threads = [threading.Thread(target=lambda: made.append(tensor.torch())) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(made)
""")
    assert done.stdout == "['made', 'made']\n", done.stderr


def test_a_session_in_use_by_another_thread_says_so(package):
    registry = penstock.Registry()
    inside, leave = threading.Event(), threading.Event()

    model = penstock.load(package("add"))
    session = model.session()
    # The output is made while the call goes on: a type of Python runs within it.
    class Slow:
        def __dlpack_device__(self):
            inside.set()
            leave.wait(10)
            return (1, 0)

        def __dlpack__(self, **kwargs):
            return np.ones((8, 64), np.float32).__dlpack__()

    thread = threading.Thread(target=lambda: session.run(Slow(), np.ones((8, 64), np.float32)))
    thread.start()
    inside.wait(10)
    try:
        with pytest.raises(penstock.InvalidArgumentError, match="one session a thread"):
            session.run(*arrays())
        for name in ("last_run", "graph_statistics", "stream_waits", "memory"):
            with pytest.raises(penstock.InvalidArgumentError, match="one session a thread"):
                getattr(session, name)
        with pytest.raises(penstock.InvalidArgumentError, match="one session a thread"):
            session.release_memory()
        assert session.threads >= 1
    finally:
        leave.set()
        thread.join()
    assert registry.operators == []
    session.run(*arrays())


def test_memory_and_references_stay_flat_over_10000_calls(add):
    import resource

    x, y = arrays()
    session = add.session()

    def calls(count):
        for _ in range(count):
            session.run(x, y)
            add(x, y)

    calls(2000)
    references = sys.getrefcount(x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls(10000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024  # KiB
    assert sys.getrefcount(x) == references


def test_ctrl_c_while_loading_raises_and_leaves_nothing(package):
    """A thread that is let in by the load interrupts it; the handler runs within the load, where there is no model yet."""
    done = run_python(f"""
import gc, signal, sys, threading, penstock

class Weights(dict):
    def __iter__(self):  # It is read when the package is open already.
        go.release()
        return super().__iter__()

def interrupt():
    go.acquire()
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

def handle(number, frame):
    models.append(sum(type(one) is penstock.Model for one in gc.get_objects()))
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, handle)
sys.setswitchinterval(1000)
models, go = [], threading.Semaphore(0)
for _ in range(50):  # Until the thread is in time.
    thread = threading.Thread(target=interrupt)
    thread.start()
    model = None
    try:
        model = penstock.load({str(package("mlp"))!r}, weights=Weights())
        thread.join()
    except KeyboardInterrupt:
        pass
    thread.join()
    if models and models[-1] == 0:
        print("interrupted")
        break
print(penstock.load({str(package("mlp"))!r}).name)
""")
    assert done.stdout == "interrupted\nmodel\n", done.stdout + done.stderr


def test_weights_are_replaced_while_sessions_run(package):
    model = penstock.load(package("mlp"))
    shape = [max(dim.min, 2) for dim in model.inputs[0].dims]
    x = np.ones(shape, np.float32)
    before = np.array(model(x))
    session = model.session()
    names = [constant.name for constant in model.constants]
    old = {name: np.array(model.weight(name)) for name in names}
    model.update_weights({name: np.zeros_like(weight) for name, weight in old.items()})
    assert not np.asarray(session.run(x)).any()
    model.update_weights(old, full=True)
    np.testing.assert_array_equal(np.asarray(session.run(x)), before)
    with pytest.raises(penstock.InvalidArgumentError, match="no_such"):
        model.update_weights({"no_such": x})
    with pytest.raises(penstock.InvalidArgumentError, match=f'weight "{names[0]}".*read-only'):
        locked = old[names[0]].copy()
        locked.flags.writeable = False
        model.update_weights({names[0]: locked})


def test_weights_are_given_by_name(package):
    stem = pathlib.Path(str(package("external")).removesuffix(".pt2"))
    with pytest.raises(penstock.InvalidArgumentError, match="weight"):
        penstock.load(package("external"))
    assert stem.with_suffix(".weights.safetensors").exists()


def test_options_and_facts_of_sessions(add):
    session = add.session(threads=1)
    assert session.threads == 1
    session.prepare()
    session.prepare([[8, 64], [8, 64]])
    with pytest.raises(penstock.InvalidArgumentError):
        session.prepare([[8, 63], [8, 64]])
    session.run(*arrays())
    assert session.memory.held_bytes >= 0 and session.stream_waits.fences == 0
    assert session.graph_statistics.captures == 0 and not session.last_run.replayed
    session.release_memory()


def test_packages_tell_what_they_have(package):
    opened = penstock.Package(package("two_models"))
    assert [model.name for model in opened.models] == ["first", "second"]
    assert opened.models[0].device == "cpu" and opened.models[0].obstacles == []
    objects = penstock.Package(package("scale", "2.15-objects")) if package("scale", "2.15-objects").exists() else None
    if objects is not None:
        assert isinstance(objects.custom_objects(), list)


def test_a_package_of_another_platform_is_told(package, tmp_path):
    import zipfile

    with zipfile.ZipFile(package("add")) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    (library,) = folder.rglob("*.so")
    content = bytearray(library.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # The machine of its ELF header: AArch64.
    library.write_bytes(content)
    (info,) = penstock.Package(folder).models
    assert any("aarch64" in obstacle.lower() for obstacle in info.obstacles), info.obstacles
    with pytest.raises(penstock.IncompatibleError, match="(?i)aarch64"):
        penstock.load(folder)


def test_is_installed_into_an_environment_that_has_nothing_else(package, tmp_path):
    """The wheel alone: without NumPy, with its command on PATH."""
    import os
    import venv

    wheels = sorted((conftest.ROOT / "build/wheel").glob("penstock-*.whl"))
    if not wheels:
        pytest.skip("there is no wheel: ./dev wheel")
    venv.create(tmp_path, with_pip=True)
    programs = tmp_path / "bin"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])

    def run(*command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(programs / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheels[-1])
    assert run("penstock", "--version") == f"penstock {penstock.__version__}\n"
    code = f"""
import array, penstock
x = memoryview(array.array("f", [3] * 512)).cast("B").cast("f", (8, 64))
print(memoryview(penstock.load({str(package("add"))!r})(x, x))[7, 63], penstock.__file__)
"""
    value, place = run(programs / "python", "-c", code).split()
    assert value == "12.0" and place.startswith(str(tmp_path))


def test_the_command_is_beside_it():
    done = subprocess.run([sys.executable, "-m", "penstock", "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"penstock {penstock.__version__}\n", done.stderr
