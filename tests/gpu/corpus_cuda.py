"""Compiles real models for this GPU with torch, runs them with Penstock, and compares with libtorch.

    python3 tests/gpu/corpus_cuda.py --built DIR --result FILE [--full] [NAME...]

NAME is a model of tests/corpus/models.py, with ".float16" or ".bfloat16" behind it for that dtype.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "corpus")]

import corpus
import places

QUICK = ("gpt2", "bert", "resnet18", "mobilenet_v3_small", "lstm", "sort_topk", "gpt2.bfloat16", "bert.float16",
         "resnet18.float16", "data_dependent", "scatter", "pools", "words")
DTYPES = ("float16", "bfloat16")
# The dtype of a whole model: errors add up over its layers.
LIMITS = {"float32": 2e-3, "float16": 2e-2, "bfloat16": 6e-2}


def cases_of(models):
    cases = dict(models.FULL)
    for name, make in models.FULL.items():
        for dtype in DTYPES:
            if "." not in name:
                cases.setdefault(f"{name}.{dtype}", models.in_dtype(make, dtype))
    return cases


def on_gpu(make):
    """The same model and inputs on the GPU."""
    from torch.utils._pytree import tree_map

    def move(value):
        return value.cuda() if hasattr(value, "cuda") else value

    def made():
        case = make()
        case.model = case.model.cuda()
        case.args, case.kwargs = tree_map(move, (case.args, case.kwargs))
        case.more = [tree_map(move, pair) for pair in case.more]
        return case

    return made


def test(built, name):
    """One model, in a process of this pool."""
    place = places.Place(built)
    start = time.monotonic()
    error = None
    try:
        import models

        folder = place.work / "corpus"
        made = corpus.make_package(name, on_gpu(cases_of(models)[name]), folder, configs={})
        missing, error, problem = corpus.run_package(place.program("penstock"), name, made["runs"], folder,
                                                     device="cuda", allowed=made["trivial"])
        if missing:
            problem = f"functions are missing: {', '.join(missing)}"
    except Exception as exception:
        problem = f"{type(exception).__name__}: {(str(exception).splitlines() or [''])[0]}"
    seconds = time.monotonic() - start
    print(f"{name:30} {'-' if error is None else f'{error:.2e}':>10} {seconds:6.1f}  {problem or 'ok'}", flush=True)
    row = {"name": name, "result": "failed" if problem else "passed", "milliseconds": int(seconds * 1000),
           "message": problem}
    return row, {"model": name, "largest_error": error}


def prepare(environment):
    """In each process: programs of ours find their libraries by the environment."""
    os.environ.update(environment)
    corpus.LIMITS.update(LIMITS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    place = places.Place(options.built.resolve())
    (place.work / "corpus").mkdir(parents=True, exist_ok=True)
    try:
        import models
    except ImportError as missing:
        raise SystemExit(f"the corpus needs {missing.name}") from missing
    names = options.names or (list(cases_of(models)) if options.full else QUICK)
    tests, table = [], []
    workers = max(1, min(6, (os.cpu_count() or 2) // 2))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), prepare, (place.environment(),))
    for done in as_completed([pool.submit(test, place.root, name) for name in names]):
        row, figures = done.result()
        tests.append(row)
        table.append(figures)
        # After every model: the time for this part may end at any of them.
        options.result.write_text(json.dumps({"tests": tests, "table": table}))
    return 1 if any(row["result"] == "failed" for row in tests) else 0


if __name__ == "__main__":
    sys.exit(main())
