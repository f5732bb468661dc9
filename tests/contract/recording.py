"""What the recorders of this folder share: inputs that C++ can make again, and the files' format.

A recording is NAME.json, a list of cases, with NAME.bin, the answers one after the other, in the
"answer_dtype" of each case and in logical (row-major) order.
"""

import json
import pathlib

import torch

HERE = pathlib.Path(__file__).parent


def values(count: int, seed: int) -> torch.Tensor:
    """Integers from -64 to 63 from a hash of place and seed, the same on every machine."""
    index = torch.arange(count, dtype=torch.int64)
    mixed = (index * 2654435761 + seed * 40503) % 2**32
    mixed = (mixed ^ (mixed >> 15)) * 2246822519 % 2**32
    return (mixed >> 25) - 64


def tensor(sizes: list, strides: list, dtype: torch.dtype, seed: int) -> torch.Tensor:
    """A tensor in a storage of its own. Every value is exact in every dtype, bfloat16 included."""
    extent = 1 + sum((n - 1) * s for n, s in zip(sizes, strides)) if 0 not in sizes else 0
    flat = values(extent, seed)
    flat = flat.to(dtype) / 64 if dtype.is_floating_point else flat.to(dtype)
    return torch.as_strided(flat, sizes, strides)


def contiguous(sizes: list) -> list:
    strides = [1] * len(sizes)
    for i in range(len(sizes) - 2, -1, -1):
        strides[i] = strides[i + 1] * max(sizes[i + 1], 1)
    return strides


class Recording:
    def __init__(self, name: str):
        self.name = name
        self.cases = []
        self.data = b""

    def store(self, answer: torch.Tensor) -> dict:
        """Keeps one answer and tells where."""
        stored = answer.contiguous()
        if stored.dtype in (torch.bfloat16, torch.float16):
            stored = stored.float()
        place = {"answer_dtype": str(stored.dtype).removeprefix("torch."), "offset": len(self.data)}
        self.data += stored.numpy().tobytes()
        return place

    def add(self, case: dict, answer: torch.Tensor) -> None:
        case.update(self.store(answer))
        self.cases.append(case)

    def add_results(self, case: dict, answers: list) -> None:
        """A case with several results, each with the layout that it has."""
        case["results"] = [
            {"dtype": str(one.dtype).removeprefix("torch."), "sizes": list(one.shape),
             "strides": list(one.stride()), **self.store(one)} for one in answers
        ]
        self.cases.append(case)

    def write(self) -> None:
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in self.cases)
        head = json.dumps(f"torch {torch.__version__.split('+')[0]}")
        text = f'{{"recorded_with": {head},\n"cases": [\n{lines}\n]}}\n'
        (HERE / f"{self.name}.json").write_text(text)
        (HERE / f"{self.name}.bin").write_bytes(self.data)
        print(f"{self.name}: {len(self.cases)} cases, {len(self.data) + len(text)} bytes")
