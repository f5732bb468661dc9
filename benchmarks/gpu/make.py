"""Compiles the models of the GPU benchmark for this machine's GPU, and writes their inputs as raw files.

    python3 benchmarks/gpu/make.py OUT NAME...

Each NAME becomes OUT/NAME.pt2 and OUT/NAME.json, a list of FILE:DTYPE:SIZES. A package that is there is kept.
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch._inductor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "corpus"))

import models


class Product(torch.nn.Module):
    def forward(self, a, b):
        return a @ b


def mlp():
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.GELU(), torch.nn.Linear(32, 10))
    return model, (torch.randn(8, 64),)


def storm():
    """An 8192^3 product in bfloat16: what a partition has to be kept from."""
    return Product(), tuple(torch.randn(8192, 8192).bfloat16() for _ in range(2))


def vision(name):
    return models.vision(name).model, (torch.randn(1, 3, 224, 224),)


class ByPosition(torch.nn.Module):
    """A model whose inputs have names, called without them."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *args):
        return self.model(**dict(zip(self.names, args)))


def of_corpus(name):
    case = getattr(models, name)()
    if case.args:
        return case.model, case.args
    return ByPosition(case.model, tuple(case.kwargs)), tuple(case.kwargs.values())


MAKERS = {"mlp": mlp, "storm": storm}
MAKERS |= {name: partial(of_corpus, name) for name in ("gpt2", "llama", "bert")}
MAKERS |= {name: partial(vision, name) for name in ("resnet18", "mobilenet_v3_small", "vit_b_16")}


def make(out, name):
    torch.manual_seed(0)
    model, args = MAKERS[name]()
    model = model.eval().cuda()
    args = tuple(arg.cuda() for arg in args)
    with torch.no_grad():
        exported = torch.export.export(model, args)
        torch._inductor.aoti_compile_and_package(exported, package_path=str(out / f"{name}.pt2"))
    inputs = []
    for number, arg in enumerate(args):
        path = out / f"{name}.{number}.bin"
        path.write_bytes(arg.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        sizes = "x".join(map(str, arg.shape))
        inputs.append(f"{path}:{str(arg.dtype).removeprefix('torch.')}:{sizes}")
    (out / f"{name}.json").write_text(json.dumps(inputs))


def main():
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        if not (out / f"{name}.json").exists():
            make(out, name)
            print(name, flush=True)


if __name__ == "__main__":
    main()
