"""Records libtorch's arithmetic as packages call it: python record_elementwise.py."""

import torch

from operator_recording import OperatorRecording
from record_indexing import some
from record_order import FLOATS, INTEGERS, layouts, make

aten = torch.ops.aten
COMPLEX = [torch.complex64, torch.complex128]
DTYPES = [*FLOATS, *INTEGERS, torch.bool, *COMPLEX]


def record_two(to: OperatorRecording, x: torch.Tensor, y: torch.Tensor) -> None:
    to.add("mul", lambda: aten.mul.Tensor(x, y), {"self": x, "other": y}, exact=False)
    for alpha in (1.0, -2.0):
        if x.dtype == torch.bool and y.dtype == torch.bool and alpha != 1:
            continue
        to.add("add", lambda: aten.add.Tensor(x, y, alpha=int(alpha)), {"self": x, "other": y}, exact=False,
               alpha=alpha)


def main() -> None:
    to = OperatorRecording("elementwise")
    torch.manual_seed(0)
    for number, first in enumerate(DTYPES):
        for second in DTYPES:
            record_two(to, some([3], first, number), some([3], second, 5))
            # Complex numbers of 16-bit parts are not there.
            if second not in COMPLEX or first not in (torch.float16, torch.bfloat16):
                record_two(to, some([3], first, number), some([], second, 5))
        x = some([2, 3], first, number)
        to.add("add_scalar", lambda: torch.add(x, 0.5, alpha=2), {"self": x}, exact=False, other=0.5, alpha=2.0)
        to.add("mul_scalar", lambda: torch.mul(x, 2.5), {"self": x}, exact=False, other=2.5)
        if first not in FLOATS[2:]:
            to.add("angle", lambda: aten.angle(x), {"self": x}, exact=False)
        if first != torch.bool:
            to.add("abs", lambda: aten.abs(x), {"self": x}, exact=False)
    a, b, c = some([4, 5], torch.complex64), some([5, 4], torch.complex64, 2).t(), some([5], torch.complex64, 3)
    wide = some([2, 4, 5], torch.float32, 4).permute(1, 2, 0)
    for x, y in ((a, b), (b, b), (b, a), (b, c), (a[:, :1], c), (wide, wide), (wide, wide[:, :, :1]),
                 (a[::2, ::2], b[::2, ::2]), (a[:0], c), (a, c[:3])):
        record_two(to, x, y)
    for x in (b, a[::2, ::2], wide, some([], torch.complex128)):
        to.add("abs", lambda: aten.abs(x), {"self": x}, exact=False)
        to.add("angle", lambda: aten.angle(x), {"self": x}, exact=False)
    x = make([12], torch.float32)
    to.add("angle", lambda: aten.angle(x), {"self": x}, exact=False)
    to.add("abs", lambda: aten.abs(x), {"self": x})
    for x, y in ((torch.rand(4, 5), torch.randn(4, 5)), (torch.rand(5, 4).t(), torch.randn(5)),
                 (torch.rand(3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64))):
        to.add("polar", lambda: aten.polar(x, y), {"self": x, "angle": y}, exact=False)
    for x in layouts(torch.float32, 3)[:1]:
        record_two(to, x, x)
    to.write()


if __name__ == "__main__":
    main()
