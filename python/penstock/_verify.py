"""Compares what Penstock makes of a package with what an installed torch makes of it. Imports torch."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
import typing

from ._core import load
from ._errors import Error, InvalidArgumentError

# Largest difference that counts as equal, relative to the largest value of the output: of 8-bit types one unit.
_TOLERANCES = {"float64": 1e-10, "float32": 2e-4, "float16": 5e-3, "bfloat16": 2e-2,
               "complex128": 1e-10, "complex64": 2e-4, "complex32": 5e-3,
               "float8_e4m3fn": 0.125, "float8_e4m3fnuz": 0.125, "float8_e5m2": 0.25, "float8_e5m2fnuz": 0.25,
               "float8_e8m0fnu": 0.5}


@dataclasses.dataclass
class Difference:
    """How one output of Penstock differs from that of torch."""

    name: str
    description: str  #: "float32[2, 4]"
    largest: float    #: Largest absolute difference relative to the largest value; inf where the kinds differ.
    tolerance: float
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Within what counts as equal."""
        return not self.problem and self.largest <= self.tolerance


def verify(path: str | os.PathLike[str], inputs: typing.Sequence[typing.Any] | None = None, *, model: str = "",
           device: typing.Any = None, seed: int = 0, **options: typing.Any) -> list[Difference]:
    """Runs a package here and with the torch that is installed, on the same inputs, and tells how each output differs.

    `inputs` are flat tensors in the order of the model's inputs. Without them, floats are drawn from a normal
    distribution and other inputs are zero, at the smallest sizes that the model takes. `options` are those of `load`.
    """
    import torch

    loaded = load(path, model, device=device, **options)
    if inputs is None:
        inputs = _made_up(loaded, torch, seed)
    # Each gets its own: a model may change its inputs.
    ours = loaded.call_flat([tensor.clone() for tensor in inputs])
    theirs = importlib.import_module("torch._inductor.package").load_package(os.fspath(path), model_name=loaded.name).loader.boxed_run(
        [tensor.clone() for tensor in inputs])
    if str(loaded.device) != "cpu":
        torch.cuda.synchronize()
    if len(ours) != len(theirs):
        raise InvalidArgumentError(f"torch gives {len(theirs)} outputs, and Penstock {len(ours)}")
    return [_compare(name, one, other, torch)
            for name, one, other in zip(loaded.output_names, ours, theirs)]


def _made_up(loaded: typing.Any, torch: typing.Any, seed: int) -> list[typing.Any]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for spec in loaded.inputs:
        sizes = [max(dim.min, min(2, dim.max or 2)) for dim in spec.dims]
        dtype = getattr(torch, str(spec.dtype))
        tensor = torch.randn(sizes, generator=generator).to(dtype) if dtype.is_floating_point else \
            torch.zeros(sizes, dtype=dtype)
        made.append(tensor.to(str(spec.device)))
    return made


def _compare(name: str, ours: typing.Any, theirs: typing.Any, torch: typing.Any) -> Difference:
    if ours is None or theirs is None:
        return Difference(name, "None", 0.0, 0.0, "" if ours is theirs else "one of the two is None")
    dtype = str(theirs.dtype).removeprefix("torch.")
    description = f"{dtype}{list(theirs.shape)}"
    tolerance = _TOLERANCES.get(dtype, 0.0)
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        other = str(ours.dtype).removeprefix("torch.") + str(list(ours.shape))
        return Difference(name, description, float("inf"), tolerance, f"Penstock gives {other}")
    if theirs.numel() == 0:
        return Difference(name, description, 0.0, tolerance)
    wide = torch.complex128 if theirs.is_complex() else torch.float64
    one, other = ours.detach().cpu().to(wide), theirs.detach().cpu().to(wide)
    if not torch.equal(one.isnan(), other.isnan()):
        return Difference(name, description, float("inf"), tolerance, "NaNs are in other places")
    differs = torch.nan_to_num((one - other).abs())
    # Equal infinities have no difference.
    differs = torch.where(one == other, torch.zeros_like(differs), differs)
    scale = torch.nan_to_num(other.abs(), posinf=0.0).max().item() or 1.0
    return Difference(name, description, differs.max().item() / scale, tolerance)


def main(arguments: list[str] | None = None) -> int:
    """The command `penstock verify`. Gives 1 where an output differs."""
    parser = argparse.ArgumentParser(
        prog="penstock verify", description="Compare a package's outputs here with those of an installed torch.")
    parser.add_argument("package", help="a .pt2 file")
    parser.add_argument("--model", default="", help="which model of the package")
    parser.add_argument("--device", help='"cpu" or "cuda:N"; by default what it was compiled for')
    parser.add_argument("--inputs", help="a .npz file with arg0, arg1, ...; by default made-up inputs")
    parser.add_argument("--seed", type=int, default=0, help="of made-up inputs")
    parser.add_argument("--library", action="append", default=[], help="a shared library of operators and classes")
    given = parser.parse_args(arguments)
    try:
        import torch
    except ImportError:
        print("penstock verify: it compares with torch, which is not installed here: pip install torch", file=sys.stderr)
        return 2
    try:
        rows = verify(given.package, _read(given.inputs, torch), model=given.model, device=given.device, seed=given.seed,
                      libraries=given.library)
    except (Error, OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"penstock verify: {error}", file=sys.stderr)
        return 2
    for row in rows:
        verdict = row.problem or f"differs by {row.largest:.2g}, of {row.tolerance:g} allowed"
        print(f"{row.name:8} {row.description:24} {'ok ' if row.ok else 'NO '} {verdict}")
    return 0 if all(row.ok for row in rows) else 1


def _read(path: str | None, torch: typing.Any) -> list[typing.Any] | None:
    if path is None:
        return None
    import numpy

    with numpy.load(path) as stored:
        missing = [f"arg{i}" for i in range(len(stored.files)) if f"arg{i}" not in stored.files]
        if missing:
            raise InvalidArgumentError(f"{path} has no {missing[0]}; name the arrays arg0, arg1, ...")
        return [torch.from_numpy(stored[f"arg{i}"]) for i in range(len(stored.files))]
