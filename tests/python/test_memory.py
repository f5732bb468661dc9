"""What keeps the memory of inputs and outputs, and for how long."""

import collections.abc
import ctypes
import multiprocessing
import pathlib

import numpy as np
import pytest

import penstock


def resident_kib():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4


def leaves(value):
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return leaves(list(value.values()))
    return [] if value is None else [value]


def address(tensor):
    return tensor.data_ptr() if callable(tensor.data_ptr) else tensor.data_ptr


@pytest.fixture
def shared(package):
    """Of `shared` the first input is among the outputs."""
    return penstock.load(package("shared"))


@pytest.mark.parametrize("library", ["penstock", "numpy", "torch"])
def test_an_output_in_an_inputs_memory_is_given_again_and_again(shared, library):
    if library == "torch":
        torch = pytest.importorskip("torch")
        state, other, scale = torch.ones(64, 128), torch.ones(64, 128), torch.tensor(2.0)
    else:
        state, other, scale = np.ones((64, 128), np.float32), np.ones((64, 128), np.float32), np.array(2, np.float32)
    session = shared.session()
    where = address(penstock.Tensor(state))

    def steps(state, count):
        for _ in range(count):
            outputs = leaves((session.run_torch if library == "torch" else session.run)(state, other, scale=scale))
            state, *_ = [output for output in outputs if address(output) == where]
            if library == "numpy":
                state = np.asarray(state)
        return state

    state = steps(state, 500)
    before = resident_kib()
    state = steps(state, 15000)
    # Each would keep the one before it: 2 KiB a step, and an end that needs more stack than there is.
    assert resident_kib() - before < 4096
    del state


def test_a_tensor_of_torch_that_is_given_other_memory_leaves_what_was_taken():
    torch = pytest.importorskip("torch")
    given = torch.full((200000,), 7.0)
    taken = penstock.Tensor(given)
    given.data = torch.zeros(5)
    others = [torch.full((200000,), float(number)) for number in range(3)]
    assert (np.asarray(taken) == 7).all() and len(others) == 3


def test_arrays_of_ctypes_are_row_major():
    assert np.asarray(penstock.Tensor((ctypes.c_float * 3)(1, 2, 3))).tolist() == [1, 2, 3]
    rows = ((ctypes.c_int32 * 2) * 3)((1, 2), (3, 4), (5, 6))
    assert np.asarray(penstock.Tensor(rows)).tolist() == [[1, 2], [3, 4], [5, 6]]
    assert penstock.Tensor(multiprocessing.RawArray("f", 8)).shape == (8,)


class Made(collections.abc.Mapping):
    """Weights that are made when they are asked for."""

    def __init__(self, specs, make):
        self.specs, self.make = specs, make

    def __getitem__(self, name):
        return self.make(self.specs[name])

    def __iter__(self):
        return iter(self.specs)

    def __len__(self):
        return len(self.specs)


@pytest.mark.parametrize("library", ["penstock", "torch"])
def test_weights_of_a_mapping_that_makes_them(package, library):
    if library == "torch":
        torch = pytest.importorskip("torch")
        make = lambda shape: torch.full(shape, 3.0)
    else:
        make = lambda shape: penstock.Tensor(np.full(shape, 3, np.float32))
    model = penstock.load(package("mlp"))
    shapes = {constant.name: np.asarray(model.weight(constant.name)).shape for constant in model.constants}
    model.update_weights(Made(shapes, make))
    for name in shapes:
        assert (np.asarray(model.weight(name)) == 3).all(), name


def test_the_truth_of_a_tensor_is_that_of_its_element():
    for value in (False, 0, 0.0, -0.0, 0j):
        assert not penstock.Tensor(np.array([value]))
    for value in (True, 7, -1, 0.5, np.nan, 1j):
        assert penstock.Tensor(np.array(value))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(penstock.Tensor(np.zeros(2)))
