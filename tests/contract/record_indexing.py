"""Records libtorch's indexing, scattering, joining and converting: python record_indexing.py."""

import torch

from operator_recording import OperatorRecording, dtype_name
from record_order import FLOATS, INTEGERS, layouts, make

aten = torch.ops.aten
T = torch.tensor
MORE = [torch.bool, torch.complex64, torch.complex128]


def some(sizes, dtype, seed: int = 0) -> torch.Tensor:
    if dtype.is_complex:
        return torch.complex(make(sizes, torch.float32, seed).nan_to_num(1, 2, 3),
                             make(sizes, torch.float32, seed + 1).nan_to_num(1, 2, 3)).to(dtype)
    made = make(sizes, dtype, seed)
    return made.nan_to_num(1.5, 3, -3) if dtype.is_floating_point else made


def index_lists() -> list:
    """Indices of a tensor of sizes [4, 5, 3]."""
    mask = make([4], torch.bool, 3)
    return [
        [T([0, 3, -1, 0])],
        [T([1, 2], dtype=torch.int32)],
        [None, T([[0, 4], [-5, 2]])],
        [None, None, T([2, 0])],
        [T([0, 1]), T([2, 3])],
        [None, T([4, 0]), T([1, 2])],
        [T([0, 1]), None, T([2, 0])],
        [T([[0], [1]]), T([2, 3, 4])],
        [T([3]), None, T([[0, 1], [2, 2]])],
        [T([0, 1, 2]), T([2, 3, 4]), T([0, 1, 2])],
        [mask],
        [make([4, 5], torch.bool, 5)],
        [None, make([5], torch.bool, 2)],
        [make([4, 5, 3], torch.bool, 6)],
        [torch.zeros(4, dtype=torch.bool)],
        [mask.to(torch.uint8), None, T([1])],
        [T([], dtype=torch.int64)],
        [T(2)],
        [T(1), None, T(-1)],
        [T([[0, 1], [2, 3]]).t(), None],
        # Refused.
        [T([4])],
        [None, T([-6])],
        [T([0.5])],
        [T([0, 1]), T([0, 1, 2])],
        [T([True, False])],
        [None, None, None, T([0])],
    ]


def shapes_of(dtype, seed: int) -> list:
    return [some([4, 5, 3], dtype, seed), some([3, 5, 4], dtype, seed).permute(2, 1, 0),
            some([8, 5, 6], dtype, seed)[::2, :, 1::2], some([5, 4, 3], dtype, seed).transpose(0, 1)]


def record_index(to: OperatorRecording) -> None:
    for number, x in enumerate(shapes_of(torch.float32, 0)):
        for indices in index_lists():
            to.add("index", lambda: aten.index(x, indices), {"self": x}, lists={"indices": indices})
            if number == 3:
                continue
            for accumulate in (False, True):
                try:
                    sizes = aten.index(x, indices).shape
                except (RuntimeError, IndexError):
                    sizes = []
                for given in (some(sizes, torch.float32, 8), T(2.0))[: 2 if number == 0 else 1]:
                    to.add("index_put", lambda: aten.index_put(x, indices, given, accumulate),
                           {"self": x, "values": given}, lists={"indices": indices}, accumulate=accumulate)
    for number, dtype in enumerate([*FLOATS, *INTEGERS, *MORE]):
        x, indices = some([5, 6], dtype, number), [T([4, 0, 4, 1])]
        to.add("index", lambda: aten.index(x, indices), {"self": x}, lists={"indices": indices})
        for accumulate in (False, True):
            given = some([4, 6], dtype, number + 3)
            to.add("index_put", lambda: aten.index_put(x, indices, given, accumulate), {"self": x, "values": given},
                   lists={"indices": indices}, accumulate=accumulate)
    for sizes in ([0, 4], [4, 0]):
        x = torch.zeros(sizes)
        for indices in ([T([0, 1])], [T([], dtype=torch.int64)], [None, T([0])]):
            to.add("index", lambda: aten.index(x, indices), {"self": x}, lists={"indices": indices})
    x = some([6, 4], torch.float32)
    for values in (torch.randn(3, 3), torch.randn(2, 4, dtype=torch.float64)):
        indices = [T([1, 2])]
        to.add("index_put", lambda: aten.index_put(x, indices, values), {"self": x, "values": values},
               lists={"indices": indices}, accumulate=False)


def record_scatter(to: OperatorRecording) -> None:
    def both(x, dim, index, source):
        to.add("scatter", lambda: aten.scatter.src(x, dim, index, source),
               {"self": x, "index": index, "src": source}, dim=dim)
        to.add("scatter_value", lambda: aten.scatter.value(x, dim, index, 2.5), {"self": x, "index": index}, dim=dim,
               value=2.5)

    def reduce(x, dim, index, source):
        for kind in ("sum", "prod", "mean", "amax", "amin"):
            for include_self in (True, False):
                to.add("scatter_reduce",
                       lambda: aten.scatter_reduce.two(x, dim, index, source, kind, include_self=include_self),
                       {"self": x, "index": index, "src": source}, dim=dim, reduce=kind, include_self=include_self,
                       exact=False)

    for number, dtype in enumerate([*FLOATS, *INTEGERS, *MORE]):
        x, source = some([4, 5], dtype, number), some([5, 6], dtype, number + 1)
        index = T([[0, 1, 1, 3], [3, 2, 0, 0], [1, 1, 1, 1]])
        both(x, 0, index, source)
        if dtype != torch.bool and not dtype.is_complex:
            reduce(x, 0, index, source)
    index = T([[0, 2], [1, 1], [2, 0]])
    for x, source in ((some([5, 3], torch.float32).t(), some([6, 8], torch.float32)[::2, ::3]),
                      (some([3], torch.float32, 2)[:, None].clone().expand(3, 3).clone(), some([3], torch.float32).expand(3, 3))):
        for dim in (1, -2):
            both(x, dim, index, source)
            both(x, dim, index.to(torch.int32), source)
            both(x, dim, index.t().contiguous().t(), source)
            reduce(x, dim, index, source)
    nan = make([4, 5], torch.float32, 3)
    reduce(nan, 1, T([[0, 1, 1, 4, 4], [2, 2, 2, 2, 2]]), make([4, 5], torch.float32, 4))
    x, one = some([7], torch.float32), torch.ones([])
    reduce(torch.tensor(2.0), 0, T(0), one)
    both(x, 0, T(3), one)
    both(torch.tensor(2.0), 0, T([0]), torch.ones(1))
    both(x, 0, T([], dtype=torch.int64), x)
    y = some([6, 4], torch.float32)
    for index in (T([[6]]), T([[-1]]), T([0]), torch.zeros(7, 4, dtype=torch.int64), torch.zeros(1, 5, dtype=torch.int64)):
        both(y, 0, index, y)
        reduce(y, 0, index, y)
    both(y, 0, T([[0]]), torch.ones(1, 1, dtype=torch.float64))
    both(y, 2, T([[0]]), y)
    for kind in ("max", "min", "median"):
        to.add("scatter_reduce", lambda: aten.scatter_reduce.two(y, 0, T([[0]]), y, kind),
               {"self": y, "index": T([[0]]), "src": y}, dim=0, reduce=kind, include_self=True)
    for dtype in [*FLOATS, *INTEGERS]:
        for x in (some([4, 3], dtype, 1), some([3, 4], dtype, 2).t()):
            for kind in ("prod", "mean", "amax", "amin"):
                for include_self in (True, False):
                    index, source = T([3, 0, 3]), some([3, 3], dtype, 4)
                    to.add("index_reduce",
                           lambda: aten.index_reduce(x, 0, index, source, kind, include_self=include_self),
                           {"self": x, "index": index, "source": source}, dim=0, reduce=kind, include_self=include_self,
                           exact=False)


def record_cat(to: OperatorRecording) -> None:
    def cat(tensors, dim):
        to.add("cat", lambda: aten.cat(tensors, dim), {}, lists={"tensors": tensors}, dim=dim)

    for x in layouts(torch.float32, 2):
        for dim in {0, -1}:
            cat([x, x], dim)
            cat([x], dim)
    a, b = some([2, 3], torch.float32), some([3, 2], torch.float32).t()
    cat([a, b, torch.zeros(0), a[:0]], 0)
    cat([torch.zeros(0), torch.zeros(0)], 0)
    cat([a, b[:, :1]], 1)
    cat([a, b[:, :1]], 0)
    cat([a, a[None]], 0)
    cat([a, a[0, 0]], 0)
    cat([a, a], 2)
    images = some([2, 3, 2, 2], torch.float32)
    last = images.to(memory_format=torch.channels_last)
    cat([last, images], 1)
    cat([last, last[:1]], 0)
    dtypes = [*FLOATS, torch.uint8, torch.int8, torch.int64, *MORE]
    for first in dtypes:
        for second in dtypes:
            cat([some([2], first), some([3], second, 1)], 0)


def record_copy(to: OperatorRecording) -> None:
    dtypes = [*FLOATS, *INTEGERS, torch.uint16, torch.uint32, torch.uint64, *MORE]
    numbers = [0.0, -0.0, 1.0, -1.0, 0.49, -1.5, 2.5, 3.0, 100.0, 1.0009765625, 1.00048828125, 1.00146484375,
               3.0517578125e-05, 2.98e-08, 1.00390625, 1.01171875, 65504.0, 65519.0, 0.1]
    beyond = [70000.0, 3e38, float("inf"), -float("inf"), float("nan"), 300.0, -300.0, 3e9, 2.0**62, 1e300]
    whole = [0, 1, 2, 127, 100, 77]
    far = [2049, 2051, 16777217, 16777219, 2**31 - 1, -(2**31), 2**53 + 1, -(2**63), -1, -129, 255, 40000]
    for source in dtypes:
        if source == torch.bool:
            x = T([False, True, True])
        elif source.is_floating_point or source.is_complex:
            x = T(numbers + beyond, dtype=torch.float64).to(source)
            if source.is_complex:
                x[:4] += 2j
        else:
            x = T(whole + far, dtype=torch.int64).to(source)
        for target in dtypes:
            y = x
            if not (target.is_floating_point or target.is_complex or target == torch.bool):
                # What C++ does not define is left out.
                y = x[: len(numbers)] if source.is_floating_point or source.is_complex else x
                if target in (torch.uint16, torch.uint32, torch.uint64, torch.uint8) and y.dtype.is_floating_point:
                    y = y[y >= 0]
            to.add("copy", lambda: torch.zeros(y.shape, dtype=target).copy_(y), {"src": y}, dtype=dtype_name(target),
                   sizes=list(y.shape))
    for x in layouts(torch.float32, 3):
        for target in (torch.float32, torch.int32):
            z = x.nan_to_num(1, 2, 3)
            to.add("copy", lambda: torch.zeros(z.shape, dtype=target).copy_(z), {"src": z}, dtype=dtype_name(target),
                   sizes=list(z.shape))
        to.add("clone", lambda: aten.clone(x), {"self": x})
    for sizes, given in (([2, 3], [3]), ([2, 3], [2, 1]), ([2, 3], []), ([2, 0, 3], [3]), ([3], [1])):
        x = some(given, torch.float32)
        for target in (torch.float32, torch.bfloat16):
            to.add("copy", lambda: torch.zeros(sizes, dtype=target).copy_(x), {"src": x}, dtype=dtype_name(target),
                   sizes=sizes)


def main() -> None:
    to = OperatorRecording("indexing")
    torch.manual_seed(0)
    record_index(to)
    record_scatter(to)
    record_cat(to)
    record_copy(to)
    to.write()


if __name__ == "__main__":
    main()
