"""Records libtorch's views, reshapes and fills: python record_views.py."""

import torch

from operator_recording import OperatorRecording, dtype_name
from record_order import FLOATS, INTEGERS, layouts, make

aten = torch.ops.aten


def record_views(to: OperatorRecording) -> None:
    x = make([4, 6], torch.float32)
    for start, length in ((0, 2), (1, 3), (-2, 2), (4, 0), (3, 2), (5, 0), (-5, 1), (0, -1)):
        to.add("narrow", lambda: aten.narrow(x, 0, start, length), {"self": x}, dim=0, start=start, length=length)
    to.add("narrow", lambda: aten.narrow(x.t(), -1, 1, 2), {"self": x.t()}, dim=-1, start=1, length=2)
    for begin, end, step in ((None, None, 1), (1, None, 2), (None, -1, 3), (-3, 100, 1), (3, 1, 1), (-100, 2, 1),
                             (0, 2**63 - 1, 5), (0, 4, 2**40), (0, 4, 0)):
        for dim in (0, -1):
            to.add("slice", lambda: aten.slice(x, dim, begin, end, step), {"self": x}, dim=dim, start=begin, end=end,
                   step=step)
    y = make([2, 3, 4], torch.float32)
    for dims in ([2, 0, 1], [-1, 0, 1], [0, 1, 2], [0, 0, 1], [0, 1, 3]):
        to.add("permute", lambda: aten.permute(y, dims), {"self": y}, dims=dims)
    for z in (y[:, :1], y[:1], y, torch.tensor(1.0)):
        for dim in (0, -1):
            to.add("squeeze_dim", lambda: aten.squeeze.dim(z, dim), {"self": z}, dim=dim)
        to.add("squeeze_dim", lambda: aten.squeeze.dim(z, 1), {"self": z}, dim=1)
    shapes = [[-1], [2, -1], [-1, 1], [1, -1, 1], [4, 3], [3, 4], [2, 2, 3], [6, 2], [12], [24], [8, 3], [], [0], [0, -1],
              [-1, -1], [5, 5], [1, 1, 1], [2, 1, 6]]
    for z in [*layouts(torch.float32, 1), y, y.transpose(0, 1), y[:, 1:], y.expand(2, 3, 4)[:, :, ::2],
              make([3, 1], torch.float32).expand(3, 4), make([1, 4], torch.float32).expand(3, 4)]:
        for shape in shapes:
            try:
                aten.reshape(z, shape)
            except RuntimeError:
                if z.numel() != 20:
                    continue
            to.add("reshape", lambda: aten.reshape(z, shape), {"self": z}, shape=shape)
    for source in (torch.float32, torch.int64, torch.uint8, torch.bfloat16):
        for z in (make([4, 16], source).nan_to_num(1) if source.is_floating_point else make([4, 16], source),
                  make([16], source)[8:], make([16, 4], source).t(), make([4, 6], source)[:, 2:]):
            if source.is_floating_point:
                z = z.clone() if z.is_contiguous() else z
            for target in (torch.int32, torch.float16, torch.float64, torch.int8):
                wide = z.element_size() * (z.shape[-1])
                refused = False
                try:
                    z.view(target)
                except RuntimeError:
                    refused = True
                if not refused and wide:
                    to.add("view_dtype", lambda: z.view(target), {"self": z}, dtype=dtype_name(target))
    for z in (torch.randn(3, 4, dtype=torch.complex64), torch.randn(4, 3, dtype=torch.complex128).t()[1:]):
        to.add("view_as_real", lambda: aten.view_as_real(z), {"self": z})
        pair = torch.view_as_real(z)
        to.add("view_as_complex", lambda: aten.view_as_complex(pair), {"self": pair})
    to.add("view_as_real", lambda: aten.view_as_real(x), {"self": x})
    to.add("view_as_complex", lambda: aten.view_as_complex(x), {"self": x})


def record_fills(to: OperatorRecording) -> None:
    for dtype in [*FLOATS, *INTEGERS, torch.bool, torch.complex64]:
        for value in (0.0, 1.5, 100.0):
            to.add("full", lambda: torch.full([2, 3], value, dtype=dtype), {}, sizes=[2, 3], value=value,
                   dtype=dtype_name(dtype))
            x = torch.zeros(4, 6, dtype=dtype)[::2, ::3]
            to.add("fill", lambda: x.clone().fill_(value), {"self": x}, value=value)
        x = make([3], torch.float32)
        to.add("new_zeros", lambda: x.new_zeros([2, 0, 3], dtype=dtype), {"self": x}, sizes=[2, 0, 3],
               dtype=dtype_name(dtype))
        to.add("new_zeros", lambda: x.new_zeros([2, 3], dtype=dtype), {"self": x}, sizes=[2, 3],
               dtype=dtype_name(dtype))
    to.add("full", lambda: torch.full([], 2.5), {}, sizes=[], value=2.5)
    to.add("new_zeros", lambda: x.new_zeros([2]), {"self": x}, sizes=[2])


def main() -> None:
    to = OperatorRecording("views")
    torch.manual_seed(0)
    record_views(to)
    record_fills(to)
    to.write()


if __name__ == "__main__":
    main()
