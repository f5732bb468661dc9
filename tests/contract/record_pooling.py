"""Records libtorch's pools and paddings on the CPU: python record_pooling.py."""

import torch

from operator_recording import OperatorRecording

aten = torch.ops.aten
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def image(sizes: list, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Values with equal ones among them."""
    return torch.randint(-20, 20, sizes).to(dtype) / 8 if dtype.is_floating_point else torch.randint(0, 9, sizes).to(dtype)


def layouts(sizes: list, dtype: torch.dtype = torch.float32):
    """An image as it is, channels-last, with gaps, and with dimensions in another order."""
    plain = image(sizes, dtype)
    yield plain
    yield plain.to(memory_format=FORMATS[plain.dim()])
    yield image([*sizes[:-1], 2 * sizes[-1]], dtype)[..., ::2]
    yield image([sizes[1], sizes[0], *sizes[2:]], dtype).transpose(0, 1)


def windows(to: OperatorRecording, self: torch.Tensor, spatial: int, kernel: list, stride: list = (), padding: list = (0,),
            dilation: list = (1,), ceil_mode: bool = False, only: str = "") -> None:
    operator = getattr(aten, f"max_pool{spatial}d_with_indices")
    geometry = {"kernel": list(kernel), "stride": list(stride), "padding": list(padding), "ceil_mode": ceil_mode}
    if only != "avg":
        to.add(f"max_pool{spatial}d_with_indices", lambda: operator(self, kernel, stride, padding, dilation, ceil_mode),
               {"self": self}, dilation=list(dilation), **geometry)
    if only == "max":
        return
    operator = getattr(aten, f"avg_pool{spatial}d")
    for include, divisor in ((True, None), (False, None), (True, 5)):
        to.add(f"avg_pool{spatial}d", lambda: operator(self, kernel, stride, padding, ceil_mode, include, divisor),
               {"self": self}, exact=False, count_include_pad=include, divisor=divisor, **geometry)


def adaptive(to: OperatorRecording, self: torch.Tensor, size: list) -> None:
    spatial = len(size)
    average = getattr(aten, f"_adaptive_avg_pool{spatial}d")
    largest = getattr(aten, f"adaptive_max_pool{spatial}d")
    to.add(f"_adaptive_avg_pool{spatial}d", lambda: average(self, size), {"self": self}, exact=False, output_size=size)
    to.add(f"adaptive_max_pool{spatial}d", lambda: largest(self, size), {"self": self}, output_size=size)


def special(to: OperatorRecording) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        for format in (torch.contiguous_format, torch.channels_last):
            self = image([1, 2, 6, 7], dtype).to(memory_format=format)
            self[0, 0, 1, 2] = self[0, 1, 4, 4] = self[0, 1, 0, 0] = float("nan")
            windows(to, self, 2, [3, 2], [1], [1])
            adaptive(to, self, [3, 2])
            empty = torch.full([1, 2, 4, 4], -float("inf"), dtype=dtype).to(memory_format=format)
            windows(to, empty, 2, [3], [2], [1], only="max")
            adaptive(to, empty, [2, 2])
    for sizes in ([0, 2, 5, 5], [2, 2, 0, 5], [5, 5]):
        windows(to, torch.zeros(sizes), 2, [2])
        adaptive(to, torch.zeros(sizes), [2, 2])
    adaptive(to, image([2, 2, 5, 5]), [0, 3])
    adaptive(to, image([2, 2, 5, 5]), [7, 9])
    self = image([1, 1, 5, 6])
    windows(to, self, 2, [2], [2], [2])
    windows(to, self, 2, [7], [1])
    windows(to, self, 2, [2, 2, 2])
    windows(to, self, 2, [0])
    windows(to, self, 2, [2], [0])
    windows(to, self, 2, [2], [1], [-1])
    windows(to, self, 2, [2], [1], [0], [0], only="max")
    # Windows of which no element is in the input.
    for format in (torch.contiguous_format, torch.channels_last):
        for dtype in (torch.float32, torch.bfloat16, torch.int64):
            narrow = image([1, 2, 2, 3], dtype).to(memory_format=format)
            windows(to, narrow, 2, [2], [1], [1], [3], only="max")
            windows(to, narrow, 2, [2, 1], [1], [1, 0], [3, 1], only="max")
    windows(to, image([1, 1, 2, 2, 2]), 3, [2], [1], [1], [3], only="max")
    windows(to, image([1, 1, 6, 6]), 2, [2], [1], [2], [3], only="max")
    windows(to, image([1, 1, 4, 4, 2]), 3, [3], [1], [1], only="avg")
    windows(to, image([1, 1, 6, 6]), 2, [3], [2], [1], ceil_mode=True)
    windows(to, image([1, 1, 6, 6]), 2, [2], [5], [1], ceil_mode=True)


def unpool(to: OperatorRecording, self: torch.Tensor, indices: torch.Tensor, size: list, stride: list = (1, 1, 1),
           padding: list = (0, 0, 0)) -> None:
    tensors = {"self": self, "indices": indices}
    if len(size) < 3:
        to.add("max_unpool2d", lambda: aten.max_unpool2d(self, indices, size), tensors, output_size=size)
    else:
        to.add("max_unpool3d", lambda: aten.max_unpool3d(self, indices, size, stride, padding), tensors,
               output_size=size, stride=list(stride), padding=list(padding))


def unpools(to: OperatorRecording) -> None:
    for dtype in FLOATS:
        for self in layouts([2, 3, 2, 3], dtype):
            unpool(to, self, torch.randint(0, 20, self.shape), [4, 5])
        for self in layouts([1, 2, 2, 2, 3], dtype):
            unpool(to, self, torch.randint(0, 60, self.shape), [3, 4, 5])
    plain = image([2, 3, 6, 4])
    pooled, places = aten.max_pool2d_with_indices(plain, [2, 2])
    unpool(to, pooled, places, [6, 4])
    unpool(to, pooled, places.transpose(0, 1).contiguous().transpose(0, 1), [6, 4])
    unpool(to, pooled[0], places[0], [6, 4])
    unpool(to, image([2, 1, 2, 2]), torch.randint(0, 4, [2, 1, 2, 2]), [4, 1])
    one, place = image([1, 1, 2, 2]), torch.zeros([1, 1, 2, 2], dtype=torch.int64)
    for shift in (-1, 3, 4, 1 << 40):
        unpool(to, one, place + shift, [2, 2])
    unpool(to, one.int(), place, [2, 2])
    unpool(to, one, place.int(), [2, 2])
    unpool(to, one, place[..., :1], [2, 2])
    unpool(to, one, place, [2])
    unpool(to, one, place, [0, 2])
    unpool(to, one, place, [-1, -1])
    unpool(to, one[0, 0], place[0, 0], [2, 2])
    for sizes in ([0, 1, 2, 2], [1, 0, 2, 2], [1, 1, 0, 2]):
        unpool(to, torch.zeros(sizes), torch.zeros(sizes, dtype=torch.int64), [2, 2])
    one, place = one[None], place[None]
    unpool(to, one, place, [1, 2, 2], [0, 1, 1])
    unpool(to, one, place, [1, 2, 2], [1, 1])
    unpool(to, one, place, [1, 2, 2], [1, 1, 1], [0])
    unpool(to, one, place + 4, [1, 2, 2])
    unpool(to, one[0], place[0], [1, 2, 2])


def pads(to: OperatorRecording) -> None:
    def record(self: torch.Tensor, amounts: list, mode: str, value: float | None = None) -> None:
        to.add("pad", lambda: torch.ops.aten.pad(self, amounts, mode, value), {"self": self}, pad=amounts, mode=mode,
               value=value)

    for mode in ("constant", "reflect", "replicate", "circular"):
        value = 3 if mode == "constant" else None
        for self in layouts([2, 3, 4, 5]):
            record(self, [1, 2, 0, 3], mode, value)
            record(self, [-1, 2, 1, -2], mode, value)
            record(self, [-1, 0, -1, -1], mode, value)
        for self in layouts([1, 2, 3, 4, 3]):
            record(self, [1, 2, 0, 3, 2, 1], mode, value)
        for dtype in (torch.float64, torch.bfloat16, torch.float16):
            record(image([2, 3, 5], dtype), [4, 2], mode, value)
        record(image([3, 4]), [2, 1], mode, value)
        record(image([3, 4]), [5, 1], mode, value)
        record(image([3, 4]), [-3, -2], mode, value)
        record(image([2, 3, 4]), [1, 1, 1, 1, 1, 1], mode, value)
        record(image([2, 3, 4]), [1], mode, value)
        if mode == "constant":
            record(image([2, 0, 4]), [1, 2], mode, value)
        record(image([2, 2, 0]), [1, 2], mode, value)
    for dtype in (torch.int64, torch.uint8, torch.bool):
        record(torch.randint(0, 2, [2, 3]).to(dtype), [1, 2, 1, 0], "constant", 1)
    record(image([2, 3]), [1, 0], "constant")
    record(image([2, 3]), [1, 0], "sideways")


def main() -> None:
    torch.manual_seed(0)
    to = OperatorRecording("pooling")
    for dtype in FLOATS:
        for self in layouts([2, 3, 6, 7], dtype):
            windows(to, self, 2, [3, 2], [2, 1], [1, 0], [1, 2], True)
            adaptive(to, self, [4, 3])
        for self in layouts([1, 2, 4, 5, 3], dtype):
            # libtorch averages no 16-bit elements in three dimensions.
            windows(to, self, 3, [2, 3, 2], [1, 2, 1], [1, 1, 0], [1], True,
                    only="max" if dtype in FLOATS[2:] else "")
            adaptive(to, self, [3, 2, 2])
    for dtype in (torch.int64, torch.int32, torch.uint8):
        self = image([1, 2, 6, 7], dtype)
        windows(to, self, 2, [3], [2], [1], only="" if dtype == torch.int64 else "max")
    plain = image([2, 3, 6, 7])
    for self in (plain[0], plain.to(memory_format=torch.channels_last)[0]):
        windows(to, self, 2, [2])
        adaptive(to, self, [2, 5])
    plain = image([2, 3, 4, 5, 3])
    for self in (plain[0], plain.to(memory_format=torch.channels_last_3d)[0]):
        windows(to, self, 3, [2])
        adaptive(to, self, [2, 3, 1])
    special(to)
    pads(to)
    unpools(to)
    for case in to.cases:
        # What is refused counts, not how libtorch says it.
        if "error" in case:
            case["error"] = ""
    to.write()


if __name__ == "__main__":
    main()
