"""What the tests of the Python package share. `./dev test` runs them with the wheel that it made."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = pathlib.Path(os.environ.get("PENSTOCK_TEST_PACKAGES", ROOT / "build/release/packages"))


@pytest.fixture
def package():
    """The path of a test package: package("add"), package("scale", "2.15-objects")."""
    def path(name, torch="2.15"):
        return PACKAGES / f"torch-{torch}" / f"{name}.pt2"

    return path


@pytest.fixture
def add(package):
    import penstock

    return penstock.load(package("add"))


def read_safetensors(path):
    """The tensors of a file by name, as NumPy arrays; of the dtypes that NumPy has."""
    import json

    import numpy as np

    content = pathlib.Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    dtypes = {"F32": "f4", "F64": "f8", "I64": "i8", "I32": "i4", "BOOL": "?", "F16": "f2"}

    def array(entry):
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        return np.frombuffer(content[begin:end], dtypes[entry["dtype"]]).reshape(entry["shape"]).copy()

    return {name: array(entry) for name, entry in header.items()}


@pytest.fixture
def recorded(package):
    """Inputs in order and outputs by name that libtorch had: recorded("queue", "2.15-objects")."""
    def read(name, torch="2.15", run=""):
        stem = str(package(name, torch)).removesuffix(".pt2")
        inputs = read_safetensors(stem + ".inputs.safetensors")
        outputs = read_safetensors(stem + run + ".outputs.safetensors")
        return [inputs[f"arg{i}"] for i in range(len(inputs))], [outputs[key] for key in sorted(outputs)]

    return read
