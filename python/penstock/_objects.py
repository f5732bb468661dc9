"""Finds the live objects of all compiled parts of something larger."""

from __future__ import annotations

import typing

from ._core import Model, ObjectHandle


def custom_objects(root: typing.Any) -> dict[str, ObjectHandle]:
    """The live objects of every Penstock model within `root`, by the place of the model and the name of the object.

    `root` is a `penstock.Model`, a `penstock.nn.Module`, a module of torch that has some among its children or its
    attributes, an exported program or its graph module, or a list, tuple or dict of these. A model that is met twice is
    told once. Objects of a model at the root have their plain names, others "encoder.blocks.0._torchbind_obj0".
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
            found[f"{place}.{name}" if place else name] = handle
        return
    children = _children(value)
    if not children:
        return
    seen.add(id(value))
    for name, child in children:
        _walk(child, f"{place}.{name}" if place and name else place or name, found, seen)


def _children(value: typing.Any) -> list[tuple[str, typing.Any]]:
    if isinstance(value, dict):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(str(index), item) for index, item in enumerate(value)]
    wrapped = getattr(value, "_penstock_model", None)
    if isinstance(wrapped, Model):
        return [("", wrapped)]
    children: list[tuple[str, typing.Any]] = []
    # Of torch's modules; torch itself is not needed to see that.
    if callable(getattr(value, "named_children", None)):
        children += list(value.named_children())
        children += [(name, item) for name, item in vars(value).items()
                     if not name.startswith("_") and _may_hold(item)]
    # Of an exported program.
    if hasattr(value, "graph_module") and hasattr(value, "graph_signature"):
        children.append(("", value.graph_module))
        children += [(str(name), item) for name, item in getattr(value, "constants", {}).items() if _may_hold(item)]
    return children


def _may_hold(value: typing.Any) -> bool:
    return isinstance(value, (Model, dict, list, tuple)) or hasattr(value, "_penstock_model")
