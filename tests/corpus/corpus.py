"""Compiles real models with torch, runs the packages with `penstock run`, and compares with libtorch.

    python tests/corpus/corpus.py --cli build/release/bin/penstock --work build/corpus [--full] [NAME...]

needs torch, torchvision, transformers and safetensors: `./dev torch-env`. Packages are kept in the work
folder and compiled again when this folder or torch changes. Ends with 1 where a row is not ok.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Largest error relative to the largest output.
LIMITS = {"float32": 2e-4, "float64": 1e-10, "bfloat16": 2e-2, "float16": 5e-3, "complex64": 2e-4}
SMALLEST = 1e-3


def short(dtype):
    return str(dtype).removeprefix("torch.")


def is_trivial(tensor):
    """An output that a wrong runtime would get right: the same everywhere, or nothing but tiny numbers and NaN. One
    without elements is compared by its sizes alone."""
    import torch

    values = tensor.flatten()
    if values.numel() == 0:
        return False
    if values.is_floating_point() or values.is_complex():
        values = values.to(torch.complex128 if values.is_complex() else torch.float64)
        values = values[values.isfinite()]
        if values.numel() == 0 or float(values.abs().max()) < SMALLEST:
            return True
    elif not bool(values.any()):
        return True
    return tensor.numel() > 1 and bool((values == values[0]).all())


def trivial_problems(number, expected, allowed):
    """What is wrong with the reference outputs of one run. `allowed` names those ("1.out2" of the second run) that
    a model really makes trivial; naming another one is a mistake."""
    problems = []
    for key in sorted(expected):
        name = f"{number}.{key}"
        if is_trivial(expected[key]) and name not in allowed:
            problems.append(f"run {number}, {key}: the reference is constant or tiny")
        elif name in allowed and not is_trivial(expected[key]):
            problems.append(f"run {number}, {key}: the reference is not trivial, as the model says it is")
    return problems


def error_of(given, expected):
    """The largest error relative to the largest output, or what is wrong otherwise."""
    import torch

    if given.dtype != expected.dtype or given.shape != expected.shape:
        return None, f"{short(given.dtype)}{list(given.shape)}, not {short(expected.dtype)}{list(expected.shape)}"
    if expected.numel() == 0:
        return 0.0, ""
    if not (expected.is_floating_point() or expected.is_complex()):
        wrong = int((given != expected).sum())
        return (0.0, "") if wrong == 0 else (None, f"{wrong} of {expected.numel()} differ")
    wide = torch.complex128 if expected.is_complex() else torch.float64
    a, b = given.to(wide), expected.to(wide)
    odd = ~b.isfinite()
    if not torch.equal(odd, ~a.isfinite()) or not torch.equal(a[odd].nan_to_num(7.0), b[odd].nan_to_num(7.0)):
        return None, "NaN or infinity where there should be none, or none where there should be"
    a, b = a[~odd], b[~odd]
    if b.numel() == 0:
        return 0.0, ""
    scale = float(b.abs().max())
    error = float((a - b).abs().max()) / (scale or 1.0)
    limit = LIMITS[short(expected.dtype)]
    return error, "" if error <= limit else f"over {limit:g}"


def expected_outputs(loaded, model, args, kwargs):
    """What libtorch makes of the package, or the model itself where oneDNN has no such layer for this processor
    (LSTM of 16-bit types without AVX-512): libtorch has no other way then. And the name of which it is."""
    from torch.utils._pytree import tree_leaves

    try:
        return tree_leaves(loaded(*args, **kwargs)), "libtorch"
    except RuntimeError as error:
        if "could not create a primitive" not in str(error):
            raise
    return tree_leaves(model(*args, **kwargs)), "eager"


# A team of threads of any size, so that one package serves every comparison.
CONFIGS = {"cpp.dynamic_threads": True}


def make_package(name, make, folder, configs=CONFIGS):
    """Compiles one model, and writes its inputs and what libtorch makes of them. Returns what run_package needs to
    know: how many "runs" there are, and which outputs are "trivial"."""
    import torch
    import torch._inductor
    from safetensors.torch import save_file
    from torch.utils._pytree import tree_leaves, tree_map

    def clone(value):
        return value.clone() if isinstance(value, torch.Tensor) else value

    torch.manual_seed(0)
    case = make()
    case.model.eval()
    args, kwargs = tree_map(clone, (case.args, case.kwargs))
    with torch.no_grad():
        exported = torch.export.export(case.model, args, kwargs, dynamic_shapes=case.dynamic_shapes)
        package = folder / f"{name}.pt2"
        torch._inductor.aoti_compile_and_package(exported, package_path=str(package), inductor_configs=configs)
        for number, (args, kwargs) in enumerate([(case.args, case.kwargs), *case.more]):
            # Loaded anew each time: a model may change its buffers, and each run of ours is a process.
            loaded = torch._inductor.aoti_load_package(str(package))
            inputs = tree_leaves(tree_map(clone, (args, kwargs)))
            save_file({f"arg{i}": t.contiguous() for i, t in enumerate(inputs)},
                      folder / f"{name}.{number}.inputs.safetensors")
            outputs, beside = expected_outputs(loaded, case.model, tree_map(clone, args), tree_map(clone, kwargs))
            save_file({f"out{i}": t.detach().clone(memory_format=torch.contiguous_format)
                       for i, t in enumerate(outputs)}, folder / f"{name}.{number}.expected.safetensors")
    return {"runs": 1 + len(case.more), "trivial": sorted(case.trivial), "beside": beside}


def run_package(cli, name, runs, folder, device="cpu", allowed=()):
    """Returns (missing functions, largest error, what is wrong) of a package that was made; `allowed` as in
    trivial_problems."""
    from safetensors.torch import load_file

    package = folder / f"{name}.pt2"
    told = subprocess.run([cli, "inspect", package, "--json"], capture_output=True, text=True)
    if told.returncode != 0:
        return [], None, told.stderr.strip()
    needs = json.loads(told.stdout)["models"][0]["needs"]
    if needs["missing_functions"]:
        return needs["missing_functions"], None, "refused"
    worst, problems = 0.0, []
    for number in range(runs):
        stem = folder / f"{name}.{number}"
        command = [cli, "run", package, "--device", device, "--inputs", f"{stem}.inputs.safetensors",
                   "--outputs", f"{stem}.outputs.safetensors"]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode != 0:
            problems.append((ran.stderr.strip().splitlines() or ["no message"])[-1])
            continue
        given, expected = load_file(f"{stem}.outputs.safetensors"), load_file(f"{stem}.expected.safetensors")
        if given.keys() != expected.keys():
            problems.append(f"outputs {sorted(given)}, not {sorted(expected)}")
            continue
        problems += trivial_problems(number, expected, allowed)
        for key in expected:
            error, problem = error_of(given[key], expected[key])
            if error is not None:
                worst = max(worst, error)
            if problem:
                problems.append(f"run {number}, {key}: {problem}")
    return [], worst, "; ".join(problems)


def fingerprint():
    import torch

    digest = hashlib.sha256(torch.__version__.encode())
    for path in (HERE / "corpus.py", HERE / "models.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cli", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--full", action="store_true", help="more models, and more of them in bfloat16")
    parser.add_argument("--list", action="store_true", help="only print the names of the models")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((options.work / "cache").resolve()))

    sys.path.insert(0, str(HERE))
    import models

    cases = models.FULL if options.full or options.names else models.SHORT
    unknown = [name for name in options.names if name not in cases]
    if unknown:
        parser.error(f"no model is called {', '.join(unknown)}; there are {', '.join(cases)}")
    names = options.names or list(cases)
    if options.list:
        print("\n".join(names))
        return 0

    current = fingerprint()
    header = f"{'model':30} {'missing functions':34} {'largest error':>14} {'seconds':>8}  ok"
    print(header + "\n" + "-" * len(header), flush=True)
    failed = 0
    for name in names:
        start, beside = time.monotonic(), "libtorch"
        stamp = options.work / f"{name}.stamp"
        try:
            kept = json.loads(stamp.read_text()) if stamp.exists() else {}
            if kept.get("fingerprint") != current:
                stamp.unlink(missing_ok=True)
                kept = {"fingerprint": current, **make_package(name, cases[name], options.work)}
                stamp.write_text(json.dumps(kept))
            beside = kept["beside"]
            missing, error, problem = run_package(options.cli.resolve(), name, kept["runs"], options.work,
                                                 allowed=kept["trivial"])
        except Exception as exception:  # A model that torch itself cannot compile is a failed row, not the end.
            missing, error, problem = [], None, f"{type(exception).__name__}: {str(exception).splitlines()[0]}"
        failed += bool(problem)
        names_text = ", ".join(function.removeprefix("aoti_torch_") for function in missing) or "-"
        error_text = "-" if error is None else f"{error:.2e}"
        good = "ok" if beside == "libtorch" else f"ok, beside {beside}: libtorch has no such layer here"
        print(f"{name:30} {names_text:34} {error_text:>14} {time.monotonic() - start:8.1f}  {problem or good}",
              flush=True)
    print(f"\n{len(names) - failed} of {len(names)} ok; "
          f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MiB at most in a run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
