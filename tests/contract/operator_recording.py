"""Recordings of operators that take and give any number of tensors of any dtype and strides.

NAME.json has a list of tensors and a list of cases. A tensor is its dtype, sizes, strides, offset (in
elements), and the place and number of its storage's bytes in NAME.bin. A case has the operator's name,
its tensors (by number) and other arguments by name, and either what it gave or the first line of its
error.
"""

import json
import pathlib

import torch

HERE = pathlib.Path(__file__).parent


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class OperatorRecording:
    def __init__(self, name: str):
        self.name = name
        self.cases = []
        self.data = b""
        self.places = {}
        self.tensors = {}

    def place(self, data: bytes) -> int:
        """Where `data` lies; equal bytes are stored once. Elements may be read where they lie, so each
        storage begins at a multiple of 16."""
        if data not in self.places:
            self.data += b"\0" * (-len(self.data) % 16)
            self.places[data] = len(self.data)
            self.data += data
        return self.places[data]

    def number(self, tensor: torch.Tensor | None, whole: bool = True) -> int | None:
        """The tensor over its whole storage, or only its elements in row-major order."""
        if tensor is None:
            return None
        stored = tensor if whole else tensor.clone(memory_format=torch.contiguous_format)
        storage = stored.untyped_storage()
        data = bytes(torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes())
        if not whole:
            data = data[: stored.numel() * stored.element_size()]
        described = json.dumps([dtype_name(tensor.dtype), list(tensor.shape), list(tensor.stride()),
                                stored.storage_offset() if whole else 0, self.place(data), len(data)],
                               separators=(",", ":"))
        return self.tensors.setdefault(described, len(self.tensors))

    def add(self, op: str, call, tensors: dict, *, exact: bool = True, ties: bool = True, lists: dict | None = None,
            **arguments) -> None:
        """Records call(). Tensors may be None; `lists` are lists of tensors. Where not `exact`, values are
        compared with a tolerance; where not `ties`, the answer is one of several and only values count."""
        case = {"op": op, **arguments}
        case |= {name: False for name, value in (("exact", exact), ("ties", ties)) if not value}
        case["tensors"] = {name: self.number(tensor) for name, tensor in tensors.items()}
        for name, items in (lists or {}).items():
            case[name] = [self.number(tensor) for tensor in items]
        try:
            answers = call()
        except (RuntimeError, IndexError, TypeError) as error:
            # Dtypes have other names there.
            case["error"] = str(error).splitlines()[0].partition(", got Float")[0]
        else:
            answers = (answers,) if isinstance(answers, torch.Tensor) else answers
            case["answers"] = [self.number(answer.detach(), False) for answer in answers]
        self.cases.append(case)

    def write(self) -> None:
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in self.cases)
        head = json.dumps(f"torch {torch.__version__.split('+')[0]}")
        tensors = ",\n".join(self.tensors)
        text = f'{{"recorded_with": {head},\n"tensors": [\n{tensors}\n],\n"cases": [\n{lines}\n]}}\n'
        (HERE / f"{self.name}.json").write_text(text)
        (HERE / f"{self.name}.bin").write_bytes(self.data)
        print(f"{self.name}: {len(self.cases)} cases, {len(self.data) + len(text)} bytes")
