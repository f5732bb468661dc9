"""`torch._inductor.aoti_load_package` with Penstock in its place."""

from __future__ import annotations

import os
import typing

from ._core import Model, ObjectHandle, Package, Registry, load
from ._errors import InvalidArgumentError, NotFoundError


def aoti_load_package(path: typing.Any, run_single_threaded: bool = False, device_index: int = -1, *,
                      num_runners: int = 1, use_stream_affinity: bool = False, registry: Registry | None = None,
                      libraries: typing.Sequence[str | os.PathLike[str]] = (),
                      tensorrt: typing.Sequence[str | os.PathLike[str]] = ()) -> AOTICompiledModel:
    """Loads a package as `torch._inductor.aoti_load_package` does, and gives what that gives, run by Penstock.

    Takes tensors of torch and gives tensors of torch. `path` is a path or a file that is open for reading.
    `run_single_threaded`, `num_runners` and `use_stream_affinity` are taken and change nothing: a call has a session of
    its own for as long as it takes, however many there are at once. `registry`, `libraries` and `tensorrt`, which torch
    does not have, are those of `penstock.load`: torch knows the operators and classes of the process, Penstock those given here.
    """
    del run_single_threaded, num_runners, use_stream_affinity
    source = path.read() if hasattr(path, "read") else path
    device = None
    if any(model.device == "cuda" for model in Package(source).models):
        device = f"cuda:{device_index if device_index >= 0 else _current_device()}"
    model = load(source, device=device, registry=registry, libraries=libraries, tensorrt=tensorrt)
    return AOTICompiledModel(AOTIModelPackageLoader(model))


def _current_device() -> int:
    import torch

    return int(torch.cuda.current_device())


class AOTIModelPackageLoader:
    """What torch calls the loader of a compiled model."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def get_custom_objs(self) -> dict[str, typing.Any]:
        """The live objects of the package by name: of a class that is registered in Python the object itself, else a
        `penstock.ObjectHandle`."""
        def plain(handle: ObjectHandle) -> typing.Any:
            return handle if handle.get() is None else handle.get()

        return {name: plain(handle) for name, handle in self.model.custom_objects().items()}

    def get_metadata(self) -> dict[str, str]:
        """What the package states of itself."""
        return self.model.metadata

    def get_call_spec(self) -> list[str]:
        """How inputs and outputs are built."""
        return list(self.model.call_spec)

    def get_constant_fqns(self) -> list[str]:
        """The names of weights and buffers in PyTorch."""
        return [constant.name for constant in self.model.constants]

    def load_constants(self, constants_map: typing.Mapping[str, typing.Any], use_inactive: bool = False,
                       check_full_update: bool = False, user_managed: bool = False, allow_h2d_copy: bool = False) -> None:
        """Replaces weights. They are copied, also where torch would hold the caller's memory (`user_managed`)."""
        del user_managed, allow_h2d_copy
        if use_inactive:
            raise InvalidArgumentError("use_inactive: Penstock makes a version beside the one in use at every update")
        detached = {name: tensor.detach() if hasattr(tensor, "detach") else tensor
                    for name, tensor in constants_map.items()}
        self.model.update_weights(detached, full=check_full_update)

    def update_constant_buffer(self, tensor_map: typing.Mapping[str, typing.Any], use_inactive: bool,
                               validate_full_updates: bool, user_managed: bool = False) -> None:
        """The same, by names in PyTorch too, where torch wants those of the code that it generated."""
        self.load_constants(tensor_map, use_inactive, validate_full_updates, user_managed)

    @staticmethod
    def load_metadata_from_package(model_package_path: str, model_name: str) -> dict[str, str]:
        """What a model of a package states of itself, which is not loaded for it."""
        for model in Package(model_package_path).models:
            if model.name == model_name:
                return model.metadata
        raise NotFoundError(f'{model_package_path} has no model "{model_name}"')

    def run(self, inputs: typing.Sequence[typing.Any]) -> list[typing.Any]:
        """One inference on flat tensors. Those that require grad are taken without their history, as torch does."""
        return self.model.call_flat(list(inputs), detach=True)

    def boxed_run(self, inputs: list[typing.Any]) -> list[typing.Any]:
        """The same; `inputs` is empty afterwards."""
        taken = list(inputs)
        inputs.clear()
        return self.model.call_flat(taken, detach=True)


class AOTICompiledModel:
    """A loaded model, called as the exported module was."""

    def __init__(self, loader: AOTIModelPackageLoader) -> None:
        self.loader = loader
        self._penstock_model = loader.model

    def __call__(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        return self._penstock_model.call_torch_detached(*args, **kwargs)

    def get_metadata(self) -> dict[str, str]:
        """What the package states of itself."""
        return self.loader.get_metadata()

    def get_constant_fqns(self) -> list[str]:
        """The names of weights and buffers in PyTorch."""
        return self.loader.get_constant_fqns()

    def load_constants(self, constants_map: typing.Mapping[str, typing.Any], *, check_full_update: bool,
                       user_managed: bool = False, allow_h2d_copy: bool = False) -> None:
        """Replaces weights: see `AOTIModelPackageLoader.load_constants`."""
        self.loader.load_constants(constants_map, False, check_full_update, user_managed, allow_h2d_copy)

    def __deepcopy__(self, memo: dict[int, typing.Any] | None) -> AOTICompiledModel:
        return AOTICompiledModel(self.loader)
