"""Records libtorch's attention on the CPU: python record_attention.py."""

import torch

from recording import Recording, contiguous, tensor


def heads_inside(sizes: list) -> list:
    """[batch, heads, length, depth] as models make it: a transposed [batch, length, heads, depth]."""
    batch, heads, length, depth = sizes
    return [length * heads * depth, depth, heads * depth, 1]


def gaps(sizes: list) -> list:
    """Between rows only: libtorch misreads elements that do not follow one another."""
    return contiguous([*sizes[:-1], sizes[-1] + 3])


LAYOUTS = {"plain": contiguous, "heads": heads_inside, "gaps": gaps}


def record(to: Recording, dtype: str, sizes: list, keys: int, layout: str = "plain", mask: list | None = None,
           hidden_below: float | None = None, causal: bool = False, scale: float | None = None,
           mask_dtype: str | None = None, heads: int | None = None) -> None:
    """`heads` of key and value, where they have fewer than the query."""
    case = {"dtype": dtype, "causal": causal, "scale": scale, "hidden_below": hidden_below, "tensors": {}}
    if mask_dtype is not None:
        case["mask_dtype"] = mask_dtype
    made = {"mask": None}
    specs = {"query": sizes}
    specs["key"] = specs["value"] = [sizes[0], heads or sizes[1], keys, sizes[3]]
    if mask is not None:
        specs["mask"] = mask
    for name, dims in specs.items():
        strides = contiguous(dims) if name == "mask" else LAYOUTS[layout](dims)
        seed = len(to.cases) * 4 + len(made)
        case["tensors"][name] = {"sizes": dims, "strides": strides, "seed": seed}
        made[name] = tensor(dims, strides, getattr(torch, (name == "mask" and mask_dtype) or dtype), seed)
    if hidden_below is not None:
        made["mask"][made["mask"] < hidden_below] = -float("inf")
    answers = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        made["query"], made["key"], made["value"], 0.0, causal, attn_mask=made["mask"], scale=scale)
    to.add_results(case, answers)


def record_cpu_only() -> None:
    """What PyTorch takes on the CPU, and on a GPU does not."""
    to = Recording("attention_cpu")
    for dtype in ("float64", "bfloat16", "float16"):
        record(to, dtype, [2, 2, 5, 16], 9, mask=[5, 9], mask_dtype="float32")
        record(to, dtype, [2, 2, 5, 16], 9, mask=[2, 1, 1, 9], mask_dtype="float32", hidden_below=0)
        # For float64, libtorch misreads such a mask of one key, and of as many as fill its vectors.
        if dtype != "float64":
            record(to, dtype, [1, 2, 37, 8], 29, mask=[1, 2, 37, 1], mask_dtype="float32", causal=True)
    for dtype in ("float32", "float64", "bfloat16", "float16"):
        record(to, dtype, [2, 6, 5, 8], 9, heads=2)
        record(to, dtype, [1, 4, 37, 21], 29, "heads", heads=1, causal=True, mask=[1, 4, 37, 29])
    to.write()


def main() -> None:
    record_cpu_only()
    to = Recording("attention")
    for dtype in ("float32", "float64", "bfloat16", "float16"):
        for layout in LAYOUTS:
            record(to, dtype, [2, 3, 5, 8], 7, layout)
            record(to, dtype, [1, 2, 37, 21], 29, layout, causal=True)
        record(to, dtype, [1, 2, 5, 16], 9, mask=[5, 9])
        record(to, dtype, [2, 2, 5, 16], 9, mask=[2, 1, 1, 9])
        record(to, dtype, [2, 2, 5, 16], 9, mask=[1, 2, 5, 1], scale=0.5)
        record(to, dtype, [2, 2, 5, 16], 9, mask=[2, 2, 5, 9], causal=True)
        record(to, dtype, [1, 1, 1, 1], 1)
        record(to, dtype, [1, 1, 1, 32], 40)
        record(to, dtype, [0, 2, 3, 4], 5)
    for dtype in ("float32", "float64"):
        # Queries that see few keys, and some that see none.
        record(to, dtype, [1, 2, 70, 4], 11, mask=[70, 11], hidden_below=0.1)
        record(to, dtype, [2, 1, 6, 4], 3, mask=[2, 1, 6, 3], hidden_below=0.6)
        # Few queries, which are taken one by one.
        for length in (1, 2, 4):
            record(to, dtype, [1, 2, length, 19], 31, mask=[length, 31], hidden_below=-0.5)
            record(to, dtype, [1, 2, length, 35], 5, "heads", mask=[1, 2, length, 1], causal=True)
        record(to, dtype, [1, 2, 1, 4], 3, mask=[1, 3], hidden_below=2)
        record(to, dtype, [1, 1, 2, 80], 400, mask=[1, 400], hidden_below=0.9)
    # More keys than are looked at at a time, and more queries.
    record(to, "float32", [1, 1, 3, 4], 500)
    record(to, "float32", [1, 1, 230, 4], 230, causal=True)
    record(to, "float32", [1, 1, 230, 4], 400, "heads", causal=True)
    record(to, "float32", [1, 1, 10, 64], 600, mask=[10, 600], hidden_below=0.9)
    to.write()


if __name__ == "__main__":
    main()
