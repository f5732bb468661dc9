"""Operators and classes that are registered in Python, and live objects."""

import gc
import json
import subprocess
import sys
import threading
import weakref
import zipfile

import numpy as np
import pytest

import penstock

FOO = "__torch__.torch.classes.fixtures.Foo foo"


class Foo:
    def __init__(self, state):
        (_, self.x), (_, self.y) = [("x", state[0]), ("y", state[1])]

    def total(self):
        return self.x + self.y


class Queue:
    def __init__(self, state):
        self.items = [np.array(item) for item in state]

    def push(self, item):
        self.items.append(np.array(item))  # A copy: the tensor ends with the call.

    def pop(self):
        return self.items.pop(0)


def registry():
    made = penstock.Registry()
    made.add_class("fixtures.Foo", Foo, state=lambda foo: (foo.x, foo.y), methods={
        "add_tensor(Tensor z) -> Tensor": lambda foo, z: np.asarray(z) * np.float32(foo.total()),
        "combination(Tensor a, int count, float scale) -> Tensor":
            lambda foo, a, count, scale: np.asarray(a) * np.float32(foo.x * count) + np.float32(foo.y * scale),
    })
    made.add_class("fixtures.Queue", Queue, state=lambda queue: list(queue.items), methods={
        "push(Tensor item) -> ()": Queue.push,
        "pop() -> Tensor": Queue.pop,
    })
    takes = lambda foo, x: np.asarray(x) * np.float32(foo.total())  # noqa: E731
    made.add_operator(f"fixtures::takes_foo({FOO}, Tensor x) -> Tensor", takes)
    made.add_operator(f"fixtures::takes_foo_list({FOO}, Tensor x) -> Tensor[]",
                      lambda foo, x: [takes(foo, x) + np.float32(i) for i in range(3)])
    made.add_operator(f"fixtures::takes_foo_pair({FOO}, Tensor x) -> (Tensor, Tensor)",
                      lambda foo, x: (np.asarray(x) * np.float32(foo.x), np.asarray(x) * np.float32(foo.y)))
    made.add_operator("fixtures::nothing(Tensor(a!) x) -> ()", lambda x: None)
    made.add_operator("fixtures::with_generator(Tensor x, Generator? generator=None, *, float scale=0.5) -> Tensor",
                      lambda x, generator, scale: np.asarray(x) * scale + (2 if generator is None else 1))
    made.add_operator("fixtures::add_one(Tensor(a!) x) -> ()", add_one)
    made.add_operator("fixtures::counted(Tensor x) -> (Tensor, int)", lambda x: (np.asarray(x) + 1, x.ndim))
    made.add_operator("fixtures::defaults(Tensor x, int count=2, float scale=1.5, *, bool add=True, str mode=\"twice\", "
                      "int[] steps=[1, 2], ScalarType? dtype=None) -> Tensor", defaults)
    return made


def add_one(x):
    array = np.asarray(x)
    array += 1


def defaults(x, count, scale, add, mode, steps, dtype):
    assert type(count) is int and type(scale) is float and type(add) is bool and mode == "twice"
    total = 0
    for step in steps:
        total = total * 3 + step
    more = count * total + (1 if add else 0)
    made = (np.asarray(x) * scale + more) * 2
    return made.astype(np.float64 if dtype == penstock.DType.float64 else np.float32)


@pytest.mark.parametrize(
    "name",
    ["object_methods", "operator_defaults", "operator_generator", "operator_effects", "operator_folded", "queue"],
)
def test_give_what_libtorch_gives(package, recorded, name):
    model = penstock.load(package(name, "2.15-objects"), registry=registry())
    inputs, expected = recorded(name, "2.15-objects")
    made = model(*inputs)
    for one, other in zip(made if isinstance(made, (tuple, list)) else [made], expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-5)
    if name == "queue":
        for one, other in zip(model(*inputs), recorded(name, "2.15-objects", ".run2")[1], strict=True):
            np.testing.assert_allclose(np.asarray(one), other, rtol=1e-5)


def test_lists_and_tuples_of_results(package, recorded):
    model = penstock.load(package("object_ints", "2.15-objects"), registry=registry())
    (x,), _ = recorded("object_ints", "2.15-objects")
    once, several, pair = model(x)
    np.testing.assert_allclose(np.asarray(once), x * 30, rtol=1e-6)
    assert [np.asarray(one).shape for one in several] == [x.shape] * 3
    np.testing.assert_allclose(np.asarray(pair[1]), x * 40, rtol=1e-6)


def test_are_live(package, recorded):
    model = penstock.load(package("object_methods", "2.15-objects"), registry=registry())
    (x,), _ = recorded("object_methods", "2.15-objects")
    (handle,) = model.custom_objects().values()
    assert (handle.name, handle.class_name) == ("_torchbind_obj0", "fixtures.Foo")
    assert handle.state == (2, 5) and isinstance(handle.get(), Foo)
    session = model.session()
    np.testing.assert_allclose(np.asarray(session.run(x)[0]), x * 7 + 1, rtol=1e-6)
    handle.get().x = 10
    version = handle.version
    handle.changed()
    assert handle.version == version + 1 and handle.state == (10, 5)
    np.testing.assert_allclose(np.asarray(session.run(x)[0]), x * 15 + 1, rtol=1e-6)
    assert penstock.custom_objects(model).keys() == {"_torchbind_obj0"}
    assert penstock.custom_objects({"a": [model], "b": model}).keys() == {"a.0._torchbind_obj0"}
    del model, session
    assert handle.state == (10, 5)


def test_are_found_wherever_a_model_is(package):
    def loaded():
        return penstock.load(package("object_methods", "2.15-objects"), registry=registry())

    class Plain:
        def __init__(self):
            self._model = loaded()
            self.itself = self
            self.parts = {"a": [loaded()]}
            self.unrelated = (print, np, Plain, self.__init__, np.ones(3), "text", None)

    assert penstock.custom_objects(Plain()).keys() == {"_model._torchbind_obj0", "parts.a.0._torchbind_obj0"}
    first, second, third = loaded(), loaded(), loaded()
    found = penstock.custom_objects({"a": {"b": first}, "a.b": second, "c": Plain(), "d": third})
    assert len(found) == 5 and {"a.b._torchbind_obj0", "a.b._torchbind_obj0#2"} < found.keys()
    assert found["a.b._torchbind_obj0"].get() is not found["a.b._torchbind_obj0#2"].get()


def test_states_are_read_without_their_classes(package):
    (info,) = penstock.Package(package("object_methods", "2.15-objects")).custom_objects()
    assert (info.name, info.class_name, info.state) == ("_torchbind_obj0", "fixtures.Foo", (2, 5))


def test_an_operator_that_is_missing_is_named(package):
    with pytest.raises(penstock.UnsupportedError, match="fixtures::defaults"):
        penstock.load(package("operator_defaults", "2.15-objects"), registry=penstock.Registry())


class TestCycles:
    """Objects that refer to what refers to them by way of the library are collected."""

    def collected(self, make):
        gone = weakref.ref(make())
        gc.collect()
        return gone() is None

    class Runner:
        """Operates on its own: its methods are in the registry of the model that it has."""

        def __init__(self, path):
            self.registry = penstock.Registry()
            self.registry.add_operator("fixtures::nothing(Tensor(a!) x) -> ()", lambda x: None)
            self.registry.add_operator("fixtures::add_one(Tensor(a!) x) -> ()", add_one)
            self.registry.add_operator("fixtures::counted(Tensor x) -> (Tensor, int)", self.counted)
            self.model = penstock.load(path, registry=self.registry)

        def counted(self, x):
            return np.asarray(x) + 1, x.ndim

    def test_of_a_model_and_its_operators(self, package, recorded):
        path = package("operator_effects", "2.15-objects")
        (x,), expected = recorded("operator_effects", "2.15-objects")

        def run(made):
            np.testing.assert_allclose(np.asarray(made.model(x)[0]), expected[0], rtol=1e-6)
            return made

        assert self.collected(lambda: run(self.Runner(path)))

        def without_registry():
            made = run(self.Runner(path))
            del made.registry
            return run(made)

        assert self.collected(without_registry)

        def with_session():
            made = self.Runner(path)
            made.session = made.model.session()
            made.session.run(x)
            del made.model
            gc.collect()
            np.testing.assert_allclose(np.asarray(made.session.run(x)[0]), expected[0], rtol=1e-6)
            return made

        assert self.collected(with_session)

    def test_what_a_model_needs_stays_with_it_alone(self, package, recorded):
        (x,), expected = recorded("operator_effects", "2.15-objects")
        model = self.Runner(package("operator_effects", "2.15-objects")).model
        gc.collect()
        np.testing.assert_allclose(np.asarray(model(x)[0]), expected[0], rtol=1e-6)
        handles = penstock.load(package("object_methods", "2.15-objects"), registry=registry()).custom_objects()
        gc.collect()
        assert handles["_torchbind_obj0"].state == (2, 5)

    def test_of_a_registry(self):
        class Holder:
            pass

        def make():
            holder = Holder()
            holder.registry = penstock.Registry()
            holder.registry.add_operator("ns::op(Tensor x) -> Tensor", lambda x: holder and x)
            return holder

        assert self.collected(make)

    def test_of_a_handle(self, package):
        class Holder:
            pass

        def make():
            holder = Holder()
            registered = registry()
            registered.add_operator("ns::op(Tensor x) -> Tensor", lambda x: holder and x)
            model = penstock.load(package("object_methods", "2.15-objects"), registry=registered)
            (holder.handle,) = model.custom_objects().values()
            return holder

        assert self.collected(make)

    def test_of_an_array_and_a_tensor_in_its_memory(self, package):
        class Array(np.ndarray):
            pass

        def make():
            array = np.ones((64, 128), np.float32).view(Array)
            array.tensor = penstock.Tensor(array)
            return array

        assert self.collected(make)

        def make_output():
            array = np.full((64, 128), 7, np.float32).view(Array)
            array.kept = penstock.load(package("shared"))(array, np.ones((64, 128), np.float32),
                                                         scale=np.array(2, np.float32))
            return array

        assert self.collected(make_output)

    def test_classes_that_were_looked_at_go(self, package):
        model = penstock.load(package("add"))
        x = np.ones((8, 64), np.float32)

        def make():
            made = type("Array", (np.ndarray,), {})
            model(x.view(made), x)
            return made

        assert self.collected(make)


class TestMistakes:
    def load(self, package, run):
        made = penstock.Registry()
        made.add_operator("fixtures::nothing(Tensor(a!) x) -> ()", lambda x: None)
        made.add_operator("fixtures::add_one(Tensor(a!) x) -> ()", lambda x: None)
        made.add_operator("fixtures::counted(Tensor x) -> (Tensor, int)", run)
        return penstock.load(package("operator_effects", "2.15-objects"), registry=made)

    def test_an_exception_is_the_cause(self, package, recorded):
        def run(x):
            raise ZeroDivisionError("by zero")

        model = self.load(package, run)
        with pytest.raises(penstock.InternalError, match="fixtures::counted.*ZeroDivisionError: by zero") as caught:
            model(*recorded("operator_effects", "2.15-objects")[0])
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        with pytest.raises(penstock.NotFoundError) as other:
            penstock.load("missing.pt2")
        assert other.value.__cause__ is None

    @pytest.mark.parametrize("collects", [True, False])
    def test_a_cycle_keeps_no_argument(self, package, recorded, collects):
        def run(x):
            values = np.asarray(x)

            def add(count):
                return values + 1 if count == 0 else add(count - 1)

            return add(3), 2

        model = self.load(package, run)
        if not collects:
            gc.disable()
        try:
            model(*recorded("operator_effects", "2.15-objects")[0])
        finally:
            gc.enable()

    @pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3)])
    def test_what_is_no_error_ends_the_run_as_itself(self, package, recorded, raised):
        def run(x):
            raise raised

        model = self.load(package, run)
        with pytest.raises(type(raised)) as caught:
            model(*recorded("operator_effects", "2.15-objects")[0])
        assert caught.value is raised

        def create(state):
            raise raised

        made = penstock.Registry()
        made.add_class("fixtures.Foo", create, methods={
            "add_tensor(Tensor z) -> Tensor": lambda foo, z: z,
            "combination(Tensor a, int count, float scale) -> Tensor": lambda foo, a, count, scale: a})
        with pytest.raises(type(raised)):
            penstock.load(package("object_methods", "2.15-objects"), registry=made)

    @pytest.mark.parametrize("given, words", [
        (None, "returned a NoneType instead of a tuple of 2"),
        ((np.ones((3, 4), np.float32),), "returned a tuple of 1 instead of a tuple of 2"),
        ((1.0, 2), "result 0: a float is no tensor"),
        ((np.ones((3, 4), np.float32), 3), "result 1 is 3, and the model was compiled for 2"),
        ((np.ones((3, 4), ">f4"), 2), "big-endian"),
        ((np.ones((3, 4), np.float32), "two"), "result 1 is a str, and no int"),
    ])
    def test_results_are_checked(self, package, recorded, given, words):
        model = self.load(package, lambda x: given)
        with pytest.raises(penstock.Error, match=words):
            model(*recorded("operator_effects", "2.15-objects")[0])

    def test_an_argument_that_is_kept_is_an_error(self, package, recorded):
        kept = []

        def keeps(x):
            kept.append(np.asarray(x))
            return np.asarray(x) + 1, 2

        model = self.load(package, keeps)
        with pytest.raises(penstock.InternalError, match="kept the memory of an argument"):
            model(*recorded("operator_effects", "2.15-objects")[0])
        view = self.load(package, lambda x: (np.asarray(x)[:], 2))
        with pytest.raises(penstock.InternalError, match="returned a view"):
            view(*recorded("operator_effects", "2.15-objects")[0])

    def test_an_argument_may_be_the_result(self, package, recorded):
        model = self.load(package, lambda x: (x, 2))
        made = model(*recorded("operator_effects", "2.15-objects")[0])
        np.testing.assert_array_equal(np.asarray(made[2]), np.asarray(made[1]))

    def test_registrations_are_checked(self):
        made = penstock.Registry()
        with pytest.raises(penstock.InvalidArgumentError, match="schema"):
            made.add_operator("nonsense", lambda: None)
        with pytest.raises(TypeError, match="a int is no function"):
            made.add_operator("ns::op(Tensor x) -> Tensor", 3)
        made.add_operator("ns::op(Tensor x) -> Tensor", lambda x: x)
        with pytest.raises(penstock.InvalidArgumentError, match="ns::op"):
            made.add_operator("ns::op(Tensor x) -> Tensor", lambda x: x)
        assert made.operators == ["ns::op"] and made.classes == []

    def test_a_class_that_cannot_be_made(self, package):
        made = penstock.Registry()

        def create(state):
            raise KeyError("no such part")

        made.add_class("fixtures.Foo", create, methods={"add_tensor(Tensor z) -> Tensor": lambda foo, z: z,
                                                        "combination(Tensor a, int count, float scale) -> Tensor":
                                                            lambda foo, a, count, scale: a})
        with pytest.raises(penstock.Error, match="KeyError.*no such part") as caught:
            penstock.load(package("object_methods", "2.15-objects"), registry=made)
        assert isinstance(caught.value.__cause__, KeyError)


def test_sessions_run_at_once(package, recorded):
    """Each of two runs waits within an operator until the other is there too."""
    both = threading.Barrier(2, timeout=30)

    def run(x):
        both.wait()
        return np.asarray(x) + 1, 2

    made = penstock.Registry()
    made.add_operator("fixtures::nothing(Tensor(a!) x) -> ()", lambda x: None)
    made.add_operator("fixtures::add_one(Tensor(a!) x) -> ()", lambda x: None)
    made.add_operator("fixtures::counted(Tensor x) -> (Tensor, int)", run)
    model = penstock.load(package("operator_effects", "2.15-objects"), registry=made)
    (x,), _ = recorded("operator_effects", "2.15-objects")
    failed = []

    def work(call):
        try:
            call(x)
        except BaseException as error:
            failed.append(error)

    for calls in ((model, model), (model.session().run, model.session().run), (model.session().run, model)):
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed


def test_operators_run_on_many_threads(package, recorded):
    model = penstock.load(package("operator_effects", "2.15-objects"), registry=registry())
    (x,), expected = recorded("operator_effects", "2.15-objects")
    wrong = []

    def work():
        session = model.session()
        for _ in range(50):
            if not np.allclose(np.asarray(session.run(x)[0]), expected[0]):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_inspect_tells_the_rest_where_an_object_cannot_be_read(package, tmp_path):
    with zipfile.ZipFile(package("object_ints", "2.15-objects")) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    (state,) = folder.glob("data/constants/custom_obj_0")
    state.write_bytes(b"no archive")
    done = subprocess.run([sys.executable, "-m", "penstock", "inspect", str(folder)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 3, done.stderr
    assert "objects       cannot be read: " in done.stdout and "custom_obj_0" in done.stdout, done.stdout
    assert "can run here" in done.stdout
    told = subprocess.run([sys.executable, "-m", "penstock", "inspect", str(folder), "--json"], capture_output=True,
                          text=True, timeout=60)
    assert told.returncode == 3 and json.loads(told.stdout)["models"][0]["custom_objects_problem"]
