"""Records libtorch's operators of complex numbers on the CPU: python record_complex.py."""

import torch

from operator_recording import OperatorRecording

aten = torch.ops.aten


def layouts(sizes: list, dtype: torch.dtype):
    yield torch.randn(sizes).to(dtype)
    yield torch.randn(sizes[::-1]).to(dtype).t()
    yield torch.randn([sizes[0], 2 * sizes[1]]).to(dtype)[:, 1::2]


def main() -> None:
    torch.manual_seed(0)
    to = OperatorRecording("complex")
    for dtype in (torch.complex64, torch.complex128):
        for self in layouts([3, 4], dtype):
            self = self + 1j * torch.randn(3, 4).to(dtype)
            for name in ("abs", "angle"):
                to.add(name, lambda: getattr(aten, name)(self), {"self": self}, exact=False)
    inf, nan = float("inf"), float("nan")
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        self = torch.tensor([[-1.5, 0, -0.0], [nan, -inf, inf]], dtype=dtype)
        for one in (self, self.t(), self[:, ::2]):
            to.add("abs", lambda: aten.abs(one), {"self": one})
            if dtype in (torch.float32, torch.float64):
                to.add("angle", lambda: aten.angle(one), {"self": one}, exact=False)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        self = torch.tensor([-3, 0, 7, torch.iinfo(dtype).min]).to(dtype)
        to.add("abs", lambda: aten.abs(self), {"self": self})
    for dtype in (torch.float32, torch.float64):
        for magnitude in layouts([3, 4], dtype):
            for turn in (torch.randn(3, 4).to(dtype), torch.randn(4).to(dtype), torch.randn(3, 1).to(dtype)):
                call = lambda: aten.polar(magnitude, turn)
                to.add("polar", call, {"abs": magnitude, "angle": turn}, exact=False)
    to.add("polar", lambda: aten.polar(torch.ones(2), torch.ones(3)), {"abs": torch.ones(2), "angle": torch.ones(3)})
    for dtype in (torch.float16, torch.float32, torch.float64):
        whole = torch.randn(3, 6).to(dtype)
        for self in (whole[:, 2:4], whole[:, :2], whole[1:, 4:], whole.view(3, 3, 2).transpose(0, 1), whole[0, :2],
                     whole[:0, :2], whole, whole[:, 1:3], whole[:, ::3], torch.randn(2, 5).to(dtype)[:, :2],
                     whole[0, 0]):
            if dtype != torch.float16:
                to.add("view_as_complex", lambda: aten.view_as_complex(self), {"self": self})
    to.add("view_as_complex", lambda: aten.view_as_complex(torch.ones(2).int()), {"self": torch.ones(2).int()})
    for dtype in (torch.complex64, torch.complex128):
        for self in layouts([3, 4], dtype):
            for other in (*layouts([3, 4], dtype), torch.randn(4).to(dtype), torch.randn(3, 4),
                          torch.randn(3, 1).double(), torch.tensor(1.5, dtype=torch.float64)):
                tensors = {"self": self * (1 + 2j), "other": other}
                to.add("mul_Tensor", lambda: aten.mul.Tensor(*tensors.values()), tensors, exact=False)
                to.add("add_Tensor", lambda: aten.add.Tensor(*tensors.values(), alpha=0.5), tensors, exact=False,
                       alpha=0.5)
    for dtype in (torch.float32, torch.bfloat16):
        tensors = {"self": torch.randn(3, 4).to(dtype), "other": torch.randn(3, 1).to(dtype)}
        to.add("mul_Tensor", lambda: aten.mul.Tensor(*tensors.values()), tensors, exact=False)
        to.add("add_Tensor", lambda: aten.add.Tensor(*tensors.values(), alpha=1), tensors, exact=False, alpha=1)
    for dtype in (torch.complex64, torch.complex128):
        for self in layouts([3, 4], dtype):
            to.add("view_as_real", lambda: aten.view_as_real(self), {"self": self})
        self = torch.tensor(1 + 2j, dtype=dtype)
        to.add("view_as_real", lambda: aten.view_as_real(self), {"self": self})
    for case in to.cases:
        # What is refused counts, not how libtorch says it.
        if "error" in case:
            case["error"] = ""
    to.write()


if __name__ == "__main__":
    main()
