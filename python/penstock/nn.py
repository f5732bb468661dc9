"""A compiled model as a module of torch. Imports torch."""

from __future__ import annotations

import typing

import torch

from ._core import Model, load

__all__ = ["Module"]


class Module(torch.nn.Module):
    """A `torch.nn.Module` whose forward is a compiled model.

    Runs on torch's current stream, so `torch.cuda.stream` and `torch.cuda.graph` mean what they mean for other modules;
    for the latter, call it with these shapes before the capture. It has no backward pass: under `torch.no_grad` (or
    `inference_mode`) tensors that require grad are taken as they are, else they are an error.
    """

    def __init__(self, source: typing.Any, **options: typing.Any) -> None:
        """`source`: a `penstock.Model`, or what `penstock.load` takes, with its options."""
        super().__init__()
        self._penstock_model = source if isinstance(source, Model) else load(source, **options)

    @property
    def model(self) -> Model:
        """The loaded model."""
        return self._penstock_model

    def forward(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        """One inference, with tensors of torch."""
        if torch.is_grad_enabled():
            return self._penstock_model.call_torch(*args, **kwargs)
        return self._penstock_model.call_torch_detached(*args, **kwargs)

    def extra_repr(self) -> str:
        return f"model={self._penstock_model.name!r}, device='{self._penstock_model.device}'"
