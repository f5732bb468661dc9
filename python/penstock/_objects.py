"""Finds the live objects of all compiled parts of something larger."""

from __future__ import annotations

import sys
import types
import typing

from ._core import Model, ObjectHandle


def custom_objects(root: typing.Any) -> dict[str, ObjectHandle]:
    """The live objects of every Penstock model within `root`, by the place of the model and the name of the object.

    `root` is a `penstock.Model`, a `penstock.nn.Module`, a module of torch, an exported program or its graph module, a
    list, tuple or dict, or any object of a Python class that has some of these among its attributes, at any depth. A
    model that is met twice is told once. Objects of a model at the root have their plain names, others
    "encoder.blocks.0._torchbind_obj0"; where two have the same, the second ends in "#2".
    """
    found: dict[str, ObjectHandle] = {}
    _walk(root, "", found, set())
    return found


def _walk(value: typing.Any, place: str, found: dict[str, ObjectHandle], seen: set[int]) -> None:
    if id(value) in seen:
        return
    if isinstance(value, Model):
        seen.add(id(value))
        for name, handle in value.custom_objects().items():
            found[_unused(f"{place}.{name}" if place else name, found)] = handle
        return
    children = _children(value)
    if not children:
        return
    seen.add(id(value))
    for name, child in children:
        _walk(child, f"{place}.{name}" if place and name else place or name, found, seen)


def _unused(name: str, found: dict[str, ObjectHandle]) -> str:
    number = 2
    unused = name
    while unused in found:
        unused, number = f"{name}#{number}", number + 1
    return unused


def _children(value: typing.Any) -> list[tuple[str, typing.Any]]:
    if isinstance(value, dict):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(str(index), item) for index, item in enumerate(value)]
    wrapped = getattr(value, "_penstock_model", None)
    if isinstance(wrapped, Model):
        return [("", wrapped)]
    if not _is_plain(value):
        return []
    children: list[tuple[str, typing.Any]] = []
    attributes = vars(value)
    # Of torch's modules; torch itself is not needed to see that.
    if callable(getattr(value, "named_children", None)):
        children += list(value.named_children())
        attributes = {name: item for name, item in attributes.items() if name not in _of_torch()}
    # Of an exported program.
    if hasattr(value, "graph_module") and hasattr(value, "graph_signature"):
        children.append(("", value.graph_module))
        children += [(str(name), item) for name, item in getattr(value, "constants", {}).items()]
        return children
    return children + list(attributes.items())


def _is_plain(value: typing.Any) -> bool:
    """An object of a Python class with attributes of its own, and no part of Python itself or tensor."""
    return hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType, types.FunctionType,
                                                                 types.MethodType)) and not hasattr(value, "__dlpack__")


def _of_torch() -> typing.Collection[str]:
    """What every module of torch has among its attributes: parameters, children and hooks."""
    torch = sys.modules.get("torch")
    return vars(torch.nn.Module()).keys() if torch is not None else ()
