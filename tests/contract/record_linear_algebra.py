"""Records libtorch's matrix products: python record_linear_algebra.py, with any torch."""

import torch

from recording import Recording, contiguous, tensor

FLOATS = ["float32", "float64", "bfloat16", "float16"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8"]


def transposed(sizes: list) -> list:
    """Strides of a tensor whose last two dimensions are swapped in memory, as a linear weight's are."""
    strides = contiguous(sizes[:-2] + [sizes[-1], sizes[-2]])
    return strides[:-2] + [strides[-1], strides[-2]]


def spread(sizes: list) -> list:
    """Strides with gaps everywhere."""
    return [2 * s + (3 if i < len(sizes) - 1 else 0) for i, s in enumerate(contiguous(sizes))]


def broadcast(sizes: list) -> list:
    return [0] * len(sizes)


LAYOUTS = {"rows": contiguous, "columns": transposed, "gaps": spread, "same": broadcast}


def shapes(op: str, n: int, m: int, p: int, batch: int) -> dict:
    lead = [batch] if op in ("bmm", "baddbmm") else []
    return {"out": lead + [n, p], "mat1": lead + [n, m], "mat2": lead + [m, p]}


def record(to: Recording, op: str, dtype: str, n: int, m: int, p: int, batch: int = 1, layouts: tuple = (),
           self_sizes: list | None = None, alpha: float = 1, beta: float = 1, nan: bool = False) -> None:
    layouts = dict(layouts)
    sizes = shapes(op, n, m, p, batch)
    if op in ("addmm", "baddbmm"):
        sizes["self"] = sizes["out"] if self_sizes is None else self_sizes
    case = {"op": op, "dtype": dtype, "alpha": alpha, "beta": beta, "self_is_nan": nan, "tensors": {}}
    made = {}
    for seed, (name, dims) in enumerate(sizes.items()):
        layout = layouts.get(name, "rows")
        strides = LAYOUTS[layout](dims) if len(dims) > 1 else contiguous(dims)
        case["tensors"][name] = {"sizes": dims, "strides": strides, "seed": seed + len(to.cases)}
        made[name] = tensor(dims, strides, getattr(torch, dtype), seed + len(to.cases))
    if nan:
        made["self"] = torch.full_like(made["self"], float("nan"))
    if op == "mm":
        answer = torch.mm(made["mat1"], made["mat2"])
    elif op == "bmm":
        answer = torch.bmm(made["mat1"], made["mat2"])
    else:
        factors = {"alpha": alpha, "beta": beta}
        if dtype in INTEGERS:
            factors = {"alpha": int(alpha), "beta": int(beta)}
        answer = getattr(torch, op)(made["self"], made["mat1"], made["mat2"], **factors)
    to.add(case, answer)


def main() -> None:
    to = Recording("linear_algebra")
    for dtype in FLOATS + INTEGERS:
        record(to, "mm", dtype, 5, 7, 6)
        record(to, "mm", dtype, 4, 9, 3, layouts=[("mat2", "columns")])
        record(to, "addmm", dtype, 5, 8, 9, self_sizes=[9], layouts=[("mat2", "columns")])
        record(to, "addmm", dtype, 3, 4, 5, alpha=2, beta=-3)
        record(to, "bmm", dtype, 4, 5, 3, batch=3)
        record(to, "baddbmm", dtype, 3, 4, 5, batch=2, self_sizes=[1, 5], alpha=3, beta=2)
        record(to, "addmm", dtype, 3, 0, 4, beta=2)
        record(to, "mm", dtype, 3, 0, 4)
    for dtype in ("float32", "bfloat16"):
        for mat1 in LAYOUTS:
            for mat2 in LAYOUTS:
                for out in ("rows", "columns", "gaps"):
                    layouts = [("mat1", mat1), ("mat2", mat2), ("out", out), ("self", mat1)]
                    record(to, "addmm", dtype, 3, 5, 4, layouts=layouts, alpha=0.5, beta=0.25)
    for dtype in FLOATS:
        for self_sizes in ([7], [1], [6, 1], [1, 7], [6, 7], [], [1, 1]):
            record(to, "addmm", dtype, 6, 5, 7, self_sizes=self_sizes)
        for self_sizes in ([2, 1, 4], [3, 1], [1, 3, 4], [4], [2, 3, 4]):
            record(to, "baddbmm", dtype, 3, 2, 4, batch=2, self_sizes=self_sizes, beta=0.5)
        for layout in ("columns", "gaps", "same"):
            layouts = [("mat1", layout), ("mat2", layout), ("out", "columns")]
            record(to, "bmm", dtype, 3, 6, 4, batch=4, layouts=layouts)
        for n, m, p in ((1, 33, 17), (17, 33, 1), (1, 1, 1), (1, 40, 1), (20, 1, 20), (0, 3, 4), (3, 4, 0)):
            for mat2 in ("rows", "columns"):
                record(to, "addmm", dtype, n, m, p, self_sizes=[p], layouts=[("mat2", mat2)])
        record(to, "addmm", dtype, 4, 5, 6, beta=0, nan=True)
        record(to, "addmm", dtype, 4, 0, 6, beta=0, nan=True)
        record(to, "baddbmm", dtype, 2, 3, 4, batch=2, beta=0, nan=True)
        record(to, "bmm", dtype, 3, 0, 2, batch=2)
        record(to, "bmm", dtype, 3, 2, 2, batch=0)
    # Large enough for what is chosen for large products.
    for dtype, n, m, p in (("float32", 34, 1000, 40), ("bfloat16", 33, 1000, 40), ("float16", 32, 1100, 40)):
        for mat2 in ("rows", "columns"):
            for out in ("rows", "columns"):
                layouts = [("mat2", mat2), ("out", out)]
                record(to, "addmm", dtype, n, m, p, self_sizes=[p], layouts=layouts)
        record(to, "addmm", dtype, n, m, p, alpha=0.5, beta=2, layouts=[("self", "columns")])
        record(to, "addmm", dtype, n, m, p, beta=0, nan=True, layouts=[("mat1", "columns")])
        record(to, "mm", dtype, n, m, p, layouts=[("mat1", "gaps"), ("mat2", "same"), ("out", "gaps")])
    record(to, "bmm", "float32", 20, 400, 12, batch=12, layouts=[("mat2", "columns"), ("out", "columns")])
    record(to, "baddbmm", "bfloat16", 20, 300, 12, batch=6, self_sizes=[20, 12], alpha=0.5)
    to.write()


if __name__ == "__main__":
    main()
