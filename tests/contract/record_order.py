"""Records libtorch's scans, sorting and what depends on values: python record_order.py."""

import torch

from operator_recording import OperatorRecording

aten = torch.ops.aten
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def make(sizes, dtype, seed: int = 0, spread: int = 7) -> torch.Tensor:
    """Few values, so that there are equal ones, and NaN, infinity and both zeros where there are such."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-spread, spread + 1, tuple(sizes), generator=generator)
    if dtype == torch.bool:
        return values > 0
    if not dtype.is_floating_point:
        return values.abs().to(dtype) if dtype == torch.uint8 else values.to(dtype)
    made = (values / 2).to(dtype)
    if made.numel() >= 12:
        flat = made.view(-1)
        for place, special in enumerate((float("nan"), -0.0, 0.0, float("inf"), -float("inf"), float("nan"))):
            flat[(place * 5 + seed) % made.numel()] = special
    return made


def layouts(dtype, seed: int) -> list:
    """Tensors of every kind of layout."""
    return [
        make([13], dtype, seed),
        make([4, 5], dtype, seed),
        make([5, 4], dtype, seed).t(),
        make([3, 2, 5], dtype, seed).permute(2, 0, 1),
        make([6, 8], dtype, seed)[1::2, ::3],
        make([6, 6], dtype, seed)[::2, ::2].t(),
        make([4], dtype, seed).expand(3, 4),
        make([2, 3, 2, 2], dtype, seed).to(memory_format=torch.channels_last),
        make([0, 3], dtype, seed),
        make([3, 0], dtype, seed),
        make([1], dtype, seed),
        make([], dtype, seed),
    ]


def record_scans(to: OperatorRecording) -> None:
    for number, dtype in enumerate([*FLOATS, *INTEGERS, torch.bool]):
        for x in layouts(dtype, number) if dtype == torch.float32 else layouts(dtype, number)[:3:2]:
            for dim in sorted({0, -1, x.dim() - 1} - {-1} if x.dim() else {0, -1}):
                for name in ("cumsum", "cumprod"):
                    # Without NaN, after which a scan has nothing more to tell.
                    plain = x.nan_to_num(1.5, 2, -2) if dtype.is_floating_point and x.numel() != 13 else x
                    to.add(name, lambda: getattr(aten, name)(plain, dim), {"self": plain}, exact=False, dim=dim)
                for name in ("cummax", "cummin"):
                    to.add(name, lambda: getattr(aten, name)(x, dim), {"self": x}, dim=dim)
        x = make([3, 5], dtype, number)
        for wanted in (torch.float32, torch.int32, torch.float16):
            if dtype.is_floating_point and not wanted.is_floating_point:
                continue
            x = x.nan_to_num(1.5, 2, -2) if dtype.is_floating_point else x
            to.add("cumsum", lambda: aten.cumsum(x, -1, dtype=wanted), {"self": x}, exact=False, dim=-1,
                   dtype=str(wanted).removeprefix("torch."))
    for dtype in FLOATS:
        for x in (make([13], dtype, 3), make([5, 4], dtype, 4).t().nan_to_num(1, 2, -2), make([], dtype)):
            to.add("logcumsumexp", lambda: aten.logcumsumexp(x, 0), {"self": x}, exact=False, dim=0)
    x = torch.full((2000,), 0.1)
    to.add("cumsum", lambda: aten.cumsum(x, 0), {"self": x}, exact=False, dim=0)
    x = torch.tensor([2**62, 2**62, 2**62])
    to.add("cumsum", lambda: aten.cumsum(x, 0), {"self": x}, dim=0)
    x = torch.randn(3, 2)
    for dim in (2, -3):
        to.add("cumsum", lambda: aten.cumsum(x, dim), {"self": x}, dim=dim)


def record_sorting(to: OperatorRecording) -> None:
    for number, dtype in enumerate([*FLOATS, *INTEGERS, torch.bool, torch.uint16, torch.uint64]):
        several = layouts(dtype, number) if dtype == torch.float32 else layouts(dtype, number)[:3:2]
        for x in several:
            for dim in sorted({0, -1}):
                for descending in (False, True):
                    to.add("sort_stable", lambda: aten.sort(x, stable=True, dim=dim, descending=descending),
                           {"self": x}, dim=dim, descending=descending)
                to.add("sort", lambda: aten.sort(x, dim), {"self": x}, ties=False, dim=dim, descending=False)
        if dtype in (torch.bool, torch.uint16, torch.uint64):
            continue
        for x in several:
            for dim in sorted({0, -1}):
                size = x.shape[dim] if x.dim() else 1
                for k in sorted({0, 1, size // 2, size} if dtype == torch.float32 else {size // 2}):
                    for largest in (False, True):
                        to.add("topk", lambda: aten.topk(x, k, dim, largest, True), {"self": x}, k=k, dim=dim,
                               largest=largest, sorted=True)
        x = make([2, 9], dtype, number)
        to.add("topk", lambda: aten.topk(x, 4, -1, True, False), {"self": x}, k=4, dim=-1, largest=True, sorted=False)
        x = make([9, 2], dtype, number).t()
        for k in (1, 4, 9, 10, 0) if dtype == torch.float32 else (4,):
            for keepdim in (False, True):
                to.add("kthvalue", lambda: aten.kthvalue(x, k, 1, keepdim), {"self": x}, ties=False, k=k, dim=1,
                       keepdim=keepdim)
        for y in (x, x.nan_to_num(1) if dtype.is_floating_point else x, x[:, :0], make([4], dtype)):
            if y.numel() == 0 and not dtype.is_floating_point:
                continue
            to.add("median", lambda: aten.median(y), {"self": y})
            to.add("nanmedian", lambda: aten.nanmedian(y), {"self": y})
    # Both ways of finding the largest, with many equal ones.
    x = make([2, 700], torch.float32, 5)
    for k in (3, 10, 11, 100):
        to.add("topk", lambda: aten.topk(x, k, -1, True, True), {"self": x}, k=k, dim=-1, largest=True, sorted=True)
    x = torch.randn(3, 2)
    for k, dim in ((4, 0), (-1, 0), (1, 2)):
        to.add("topk", lambda: aten.topk(x, k, dim, True, True), {"self": x}, k=k, dim=dim, largest=True, sorted=True)


def record_masks(to: OperatorRecording) -> None:
    for number, dtype in enumerate([*FLOATS, *INTEGERS, torch.bool]):
        for x in layouts(dtype, number) if dtype == torch.float32 else layouts(dtype, number)[:3:2]:
            to.add("nonzero", lambda: aten.nonzero(x), {"self": x})
            mask = make(x.shape, torch.bool, number + 1)
            to.add("masked_select", lambda: aten.masked_select(x, mask), {"self": x, "mask": mask})
    x, row, column = make([4, 5], torch.float32), make([5], torch.bool), make([4, 1], torch.bool, 2)
    for mask in (row, column, make([], torch.bool, 3), make([5, 4], torch.bool, 4).t(), make([3], torch.bool)):
        to.add("masked_select", lambda: aten.masked_select(x, mask), {"self": x, "mask": mask})
        wide = x[0]
        to.add("masked_select", lambda: aten.masked_select(wide, mask), {"self": wide, "mask": mask})
    for size, value in ((3, -1), (40, -1), (0, 0)):
        to.add("nonzero_static", lambda: aten.nonzero_static(x, size=size, fill_value=value), {"self": x}, size=size,
               fill_value=value)
    for dtype in (torch.int32, torch.int64):
        for counts in ([2, 0, 3], [], [0], [-1, 2]):
            repeats = torch.tensor(counts, dtype=dtype)
            to.add("repeat_interleave", lambda: aten.repeat_interleave.Tensor(repeats), {"repeats": repeats})
    source = make([30], torch.float32, 9)
    for x in layouts(torch.float32, 6):
        for mask in (make(x.shape, torch.bool, 7), make([], torch.bool, 3)):
            to.add("masked_scatter", lambda: aten.masked_scatter(x, mask, source),
                   {"self": x, "mask": mask, "source": source})
    x, mask = make([4, 5], torch.float32), torch.ones(4, 5, dtype=torch.bool)
    to.add("masked_scatter", lambda: aten.masked_scatter(x, mask, source[:3]),
           {"self": x, "mask": mask, "source": source[:3]})


def record_search(to: OperatorRecording) -> None:
    for dtype in [*FLOATS, *INTEGERS]:
        edges = torch.tensor([-3, -1, 0, 0, 2, 3]).abs().sort().values.to(dtype)
        for x in (make([4, 5], dtype, 1), make([5, 4], dtype, 2).t(), make([], dtype, 3), make([0], dtype)):
            for right in (False, True):
                for int32 in (False, True) if dtype == torch.float32 else (False,):
                    to.add("bucketize", lambda: aten.bucketize(x, edges, out_int32=int32, right=right),
                           {"self": x, "boundaries": edges}, out_int32=int32, right=right)
            to.add("searchsorted", lambda: aten.searchsorted(edges, x), {"sorted_sequence": edges, "self": x},
                   out_int32=False, right=False)
    # Compared in the type that both are promoted to, which rounds these.
    wide, wide_float = torch.tensor([16777217, 16777219]), torch.tensor([16777216.0, 16777218.0])
    half, whole = torch.tensor([2048, 4096], dtype=torch.float16), torch.tensor([2049, 4097])
    for edges, x in ((wide, wide_float), (wide_float, wide), (half, whole), (whole, half)):
        for right in (False, True):
            to.add("searchsorted", lambda: aten.searchsorted(edges, x, right=right), {"sorted_sequence": edges, "self": x},
                   out_int32=False, right=right)
    rows = make([3, 8], torch.float32, 4).nan_to_num(1).sort(-1).values
    x = make([3, 5], torch.float32, 5)
    unsorted = make([3, 8], torch.float32, 6).nan_to_num(1)
    sorter = unsorted.argsort(-1)
    for side in (None, "left", "right"):
        for sequence, order in ((rows, None), (rows.t().contiguous().t(), None), (unsorted, sorter)):
            to.add("searchsorted", lambda: aten.searchsorted(sequence, x, side=side, sorter=order),
                   {"sorted_sequence": sequence, "self": x, "sorter": order}, out_int32=False, right=False, side=side)
    for value in (0.5, -9.0, 1e9):
        to.add("searchsorted_scalar", lambda: aten.searchsorted.Scalar(rows[0], value), {"sorted_sequence": rows[0]},
               value=value, out_int32=False, right=False)
    edges = torch.tensor([1, 2, 3])
    to.add("searchsorted_scalar", lambda: aten.searchsorted.Scalar(edges, 2.5), {"sorted_sequence": edges}, value=2.5,
           out_int32=False, right=False)
    bad = torch.tensor([0, 1, 2, 3, 4, 5, 6, 8]).expand(3, 8)
    to.add("searchsorted", lambda: aten.searchsorted(rows, x, sorter=bad),
           {"sorted_sequence": rows, "self": x, "sorter": bad}, out_int32=False, right=False)
    for sequence in (rows[:2], rows[None]):
        to.add("searchsorted", lambda: aten.searchsorted(sequence, x), {"sorted_sequence": sequence, "self": x},
               out_int32=False, right=False)
    to.add("bucketize", lambda: aten.bucketize(x, rows), {"self": x, "boundaries": rows}, out_int32=False, right=False)


def main() -> None:
    to = OperatorRecording("order")
    torch.manual_seed(0)
    record_scans(to)
    record_sorting(to)
    record_masks(to)
    record_search(to)
    to.write()


if __name__ == "__main__":
    main()
