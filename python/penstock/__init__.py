"""Runs compiled PyTorch models (AOTInductor packages) without libtorch, on the CUDA stream that its caller gives.

    import numpy, penstock
    model = penstock.load("model.pt2")
    print(numpy.asarray(model(numpy.ones((1, 8), numpy.float32))))

docs/python.md has the whole of it.
"""

import typing

from . import _errors
from ._core import (
    Audit, AuditEntry, ConstantInfo, Device, DimSpec, DType, Event, GraphStatistics, GreenContext, LastRun, Model, ModelInfo,
    ObjectHandle, ObjectInfo, Package, Registry, Requirements, Session, SessionMemory, SmResource, Stream, StreamWaits,
    Tensor, TensorRTEngine, TensorRTTensor, TensorSpec, current_stream, load, load_engine, probe_sms, register_namedtuple,
)
from ._core import version as __version__
from ._errors import (
    CancelledError, CorruptError, CudaError, Error, IncompatibleError, InternalError, InvalidArgumentError, NotFoundError,
    OutOfMemoryError, UnsupportedError,
)
from ._objects import custom_objects

__all__ = [
    "Audit", "AuditEntry", "CancelledError", "ConstantInfo", "CorruptError", "CudaError", "DType", "Device", "DimSpec",
    "Error", "Event", "GraphStatistics", "GreenContext", "IncompatibleError", "InternalError", "InvalidArgumentError",
    "LastRun", "Model", "ModelInfo", "NotFoundError", "ObjectHandle", "ObjectInfo", "OutOfMemoryError", "Package",
    "Registry", "Requirements", "Session", "SessionMemory", "SmResource", "Stream", "StreamWaits", "Tensor",
    "TensorRTEngine", "TensorRTTensor", "TensorSpec", "UnsupportedError", "aoti_load_package", "current_stream",
    "custom_objects", "export", "load", "load_engine", "probe_sms",
    "register_namedtuple", "verify",
]

if typing.TYPE_CHECKING:
    from . import nn as nn
    from ._aoti import aoti_load_package
    from ._export import export
    from ._verify import verify


def __getattr__(name: str) -> typing.Any:
    # What imports torch does so only where it is asked for.
    import importlib

    if name == "nn":
        try:
            return importlib.import_module(".nn", __name__)
        except ModuleNotFoundError as error:
            raise AttributeError(f"penstock.nn needs {error.name}, which is not installed here") from error
    homes = {"aoti_load_package": "._aoti", "export": "._export", "verify": "._verify"}
    if name in homes:
        return getattr(importlib.import_module(homes[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
