"""Compiles the models of the benchmark: python make.py FOLDER, with the torch of build/torch-env.

Batch 1, float32, default settings but for a team of threads of any size, so that one package serves one
thread and two. Writes NAME.pt2, NAME.N.raw (inputs) and NAME.json (what the inputs are).
"""

import hashlib
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/corpus"))

FOLDER = Path(sys.argv[1]).resolve()
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(FOLDER / "cache"))

import models
import torch
import torch._inductor
import transformers


def bert():
    config = transformers.BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
                                     intermediate_size=1024, vocab_size=1000)
    inner = models.Hidden(models.liven(transformers.BertModel(config)), 0)
    return models.Case(inner, (), dict(zip(("input_ids", "attention_mask"), models.tokens(1, 128))))


def gpt2():
    config = transformers.GPT2Config(n_embd=256, n_layer=4, n_head=4, vocab_size=1000, n_positions=256)
    inner = models.Hidden(models.liven(transformers.GPT2LMHeadModel(config)), 0)
    return models.Case(inner, (), dict(zip(("input_ids", "attention_mask"), models.tokens(1, 128))))


CASES = {
    "resnet18": lambda: models.vision("resnet18"),
    "mobilenet_v3_small": lambda: models.vision("mobilenet_v3_small"),
    "vit_b_16": lambda: models.vision("vit_b_16"),
    "bert": bert,
    "gpt2": gpt2,
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256((torch.__version__ + transformers.__version__).encode())
    for source in (Path(__file__), Path(models.__file__)):
        digest.update(source.read_bytes())
    stamp = FOLDER / "made-from"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        for old in FOLDER.glob("*.json"):
            old.unlink()
        stamp.write_text(digest.hexdigest())
    for name, make in CASES.items():
        told = FOLDER / f"{name}.json"
        if told.exists():
            continue
        torch.manual_seed(0)
        case = make()
        case.model.eval()
        with torch.no_grad():
            exported = torch.export.export(case.model, case.args, case.kwargs)
            torch._inductor.aoti_compile_and_package(exported, package_path=str(FOLDER / f"{name}.pt2"),
                                                     inductor_configs={"cpp.dynamic_threads": True})
        inputs = []
        for number, tensor in enumerate([*case.args, *case.kwargs.values()]):
            path = FOLDER / f"{name}.{number}.raw"
            path.write_bytes(tensor.contiguous().numpy().tobytes())
            dtype = str(tensor.dtype).removeprefix("torch.")
            inputs.append(f"{path}:{dtype}:{'x'.join(map(str, tensor.shape))}")
        told.write_text(json.dumps(inputs))


main()
