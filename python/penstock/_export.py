"""Makes packages that run on other machines than the one that compiled them. Imports torch."""

from __future__ import annotations

import os
import typing
import warnings

from ._errors import InvalidArgumentError


def _portable(torch: typing.Any) -> dict[str, typing.Any]:
    """The least that machines with AVX2 have, whatever the one that compiles has, and any number of threads."""
    configs: dict[str, typing.Any] = {"cpp.simdlen": 256, "cpp.dynamic_threads": True}
    if hasattr(torch._inductor.config.cpp, "march"):
        configs["cpp.march"] = "x86-64-v3"
    else:
        warnings.warn(f"torch {torch.__version__} compiles for this machine's CPU only; torch 2.13 makes packages for others",
                      stacklevel=3)
    return configs


def _state_of(module: typing.Any) -> list[tuple[typing.Any, bool, dict[str, typing.Any]]]:
    """Of each part whether it trains, and on which devices its own tensors are."""
    return [(part, part.training, {name: tensor.device for name, tensor in [*part._parameters.items(), *part._buffers.items()]
                                   if tensor is not None}) for part in module.modules()]


def _restore(before: list[tuple[typing.Any, bool, dict[str, typing.Any]]]) -> None:
    for part, was_training, homes in before:
        part.training = was_training
        for name, home in homes.items():
            tensor = part._parameters.get(name)
            if tensor is None:
                part._buffers[name] = part._buffers[name].to(home)
            elif tensor.device != home:
                tensor.data = tensor.data.to(home)
                if tensor.grad is not None:
                    tensor.grad.data = tensor.grad.data.to(home)


def export(module: typing.Any, args: tuple[typing.Any, ...], kwargs: dict[str, typing.Any] | None = None, *,
           path: str | os.PathLike[str], dynamic_shapes: typing.Any = None, devices: str | typing.Sequence[str] = "cpu",
           configs: dict[str, typing.Any] | None = None) -> list[str]:
    """Compiles `module` to a package that Penstock and torch load, and gives the paths that were written.

    `module` is a `torch.nn.Module`, put into eval mode and on one device for it, and as it was afterwards; `args` and `kwargs` are what `torch.export` takes, on any
    device; so is `dynamic_shapes`. With several `devices`, such as ("cpu", "cuda"), there is a package for each, and the
    device is put before the extension of `path`: model.cpu.pt2. Compiled for CPUs with AVX2, for any number of threads,
    whatever this machine has; on CUDA for GPUs of this machine's compute capability. `configs` are options of Inductor
    beside these or instead of them.
    """
    import torch
    import torch._inductor
    from torch.utils._pytree import tree_map_only

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"a {type(module).__name__} is no torch.nn.Module")
    wanted = [devices] if isinstance(devices, str) else list(devices)
    if not wanted:
        raise InvalidArgumentError('devices is empty; name "cpu", "cuda" or both')
    stem, extension = os.path.splitext(os.fspath(path))
    if extension != ".pt2":
        raise InvalidArgumentError(f'path is "{os.fspath(path)}"; a package ends in ".pt2"')
    written = []
    before = _state_of(module)
    try:
        module.eval()
        for device in wanted:
            module.to(device)
            placed = tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), (args, kwargs or {}))
            target = f"{stem}.{torch.device(device).type}{extension}" if len(wanted) > 1 else os.fspath(path)
            with torch.no_grad():
                exported = torch.export.export(module, *placed, dynamic_shapes=dynamic_shapes)
                options = {**_portable(torch), **(configs or {})}
                written.append(torch._inductor.aoti_compile_and_package(
                    exported, package_path=target, inductor_configs=options))
    finally:
        _restore(before)
    return written
