"""Records libtorch's convolutions, with the memory formats they give: python record_convolution.py."""

import torch

from recording import Recording, contiguous, tensor


def channels_last(sizes: list) -> list:
    """Channels innermost, then the other dimensions in their order."""
    inner = contiguous([sizes[0], *sizes[2:], sizes[1]])
    return [inner[0], inner[-1], *inner[1:-1]]


def spread(sizes: list) -> list:
    return [2 * s + (3 if i < len(sizes) - 1 else 0) for i, s in enumerate(contiguous(sizes))]


LAYOUTS = {"plain": contiguous, "last": channels_last, "gaps": spread}


def record(to: Recording, dtype: str, sizes: list, weight: list, layouts: tuple = ("plain", "plain"),
           bias: bool = True, **geometry) -> None:
    rank = len(sizes) - 2
    transposed = geometry.get("transposed", False)
    groups = geometry.get("groups", 1)
    settings = {
        "stride": geometry.get("stride", [1] * rank),
        "padding": geometry.get("padding", [0] * rank),
        "dilation": geometry.get("dilation", [1] * rank),
        "output_padding": geometry.get("output_padding", [0] * rank),
    }
    case = {"dtype": dtype, "transposed": transposed, "groups": groups, **settings, "tensors": {}}
    made = {}
    for name, dims, layout in (("input", sizes, layouts[0]), ("weight", weight, layouts[1])):
        strides, seed = LAYOUTS[layout](dims), len(to.cases) + len(made)
        case["tensors"][name] = {"sizes": dims, "strides": strides, "seed": seed}
        made[name] = tensor(dims, strides, getattr(torch, dtype), seed)
    made["bias"] = None
    if bias:
        channels = weight[1] * groups if transposed else weight[0]
        case["tensors"]["bias"] = {"sizes": [channels], "strides": [1], "seed": 99}
        made["bias"] = tensor([channels], [1], getattr(torch, dtype), 99)
    answer = torch.ops.aten.convolution(made["input"], made["weight"], made["bias"], settings["stride"],
                                        settings["padding"], settings["dilation"], transposed,
                                        settings["output_padding"], groups)
    case["tensors"]["out"] = {"sizes": list(answer.shape), "strides": list(answer.stride())}
    to.add(case, answer)


FORMATS = [("plain", "plain"), ("last", "plain"), ("plain", "last"), ("last", "last"), ("gaps", "gaps")]


def main() -> None:
    to = Recording("convolution")
    for dtype in ("float32", "float64", "bfloat16", "float16"):
        for layouts in FORMATS if dtype == "float32" else FORMATS[::2]:
            record(to, dtype, [2, 3, 9], [4, 3, 3], layouts, padding=[1])
            record(to, dtype, [2, 3, 7, 6], [5, 3, 3, 2], layouts, stride=[2, 1], padding=[1, 0])
            record(to, dtype, [1, 2, 4, 5, 3], [3, 2, 2, 3, 1], layouts, padding=[0, 1, 1])
            record(to, dtype, [1, 3, 4, 5], [3, 4, 3, 2], layouts, transposed=True, stride=[2, 2],
                   output_padding=[1, 0], padding=[1, 1])
            record(to, dtype, [2, 4, 5, 5], [6, 2, 3, 3], layouts, groups=2, bias=False)
            record(to, dtype, [1, 4, 6, 6], [4, 1, 3, 3], layouts, groups=4, padding=[1, 1])
    for layouts in FORMATS:
        # One value for all dimensions, pointwise, dilated, and what is neither clearly one format.
        record(to, "float32", [2, 3, 7, 6], [5, 3, 3, 3], layouts, stride=[2], padding=[1], dilation=[2],
               output_padding=[0])
        record(to, "float32", [2, 8, 4, 4], [16, 8, 1, 1], layouts)
        record(to, "float32", [1, 8, 4, 4], [16, 8, 1, 1], layouts, bias=False)
        record(to, "float32", [2, 1, 6, 6], [4, 1, 3, 3], layouts)
        record(to, "float32", [1, 1, 6, 6], [1, 1, 3, 3], layouts)
        record(to, "float32", [2, 8, 1, 1], [4, 8, 1, 1], layouts)
        record(to, "float32", [1, 8, 1, 1], [4, 8, 1, 1], layouts)
        record(to, "float32", [1, 3, 1, 8], [4, 3, 1, 3], layouts)
        record(to, "float32", [17, 3, 6, 5], [4, 3, 3, 3], layouts)
        record(to, "float32", [1, 3, 9], [4, 3, 3], layouts)
        record(to, "float32", [1, 1, 9], [1, 1, 3], layouts)
        record(to, "float32", [2, 4, 9], [4, 1, 3], layouts, groups=4, padding=[1])
        record(to, "float32", [2, 3, 5], [3, 4, 3], layouts, transposed=True, stride=[2], output_padding=[1])
        record(to, "float32", [2, 4, 5], [4, 2, 3], layouts, transposed=True, groups=2, stride=[2])
        record(to, "float32", [1, 4, 3, 4], [4, 2, 3, 3], layouts, transposed=True, groups=2, dilation=[2, 1])
        record(to, "float32", [1, 2, 3, 2, 3], [2, 3, 2, 2, 2], layouts, transposed=True, stride=[1, 2, 2])
        record(to, "float32", [1, 2, 3, 3, 3], [2, 1, 2, 2, 2], layouts, groups=2)
        record(to, "float32", [0, 3, 7, 6], [5, 3, 3, 2], layouts)
        record(to, "float32", [0, 3, 7], [5, 3, 3], layouts)
        record(to, "float32", [0, 3, 5, 5], [3, 4, 3, 3], layouts, transposed=True)
        record(to, "float32", [2, 2, 3, 3, 3], [2, 2, 2, 2, 2], layouts)
        record(to, "float32", [1, 2, 5, 5, 5], [2, 2, 2, 4, 4], layouts)
        record(to, "float32", [1, 2, 5, 5, 5], [2, 2, 2, 4, 3], layouts)
        record(to, "float32", [2, 2, 2, 3, 2], [2, 3, 2, 2, 2], layouts, transposed=True, stride=[2, 2, 2],
               output_padding=[1, 0, 1])
    for layouts in (("plain", "plain"), ("gaps", "gaps")):
        record(to, "float64", [2, 3, 7, 6], [5, 3, 3, 3], layouts, stride=[2], padding=[1], dilation=[2],
               output_padding=[0])
        record(to, "float64", [2, 4, 5], [4, 2, 3], layouts, transposed=True, groups=2, stride=[2])
        record(to, "float64", [1, 4, 3, 4], [4, 2, 3, 3], layouts, transposed=True, groups=2, dilation=[2, 1])
        record(to, "float64", [2, 2, 2, 3, 2], [2, 3, 2, 2, 2], layouts, transposed=True, stride=[2, 2, 2],
               output_padding=[1, 0, 1])
        record(to, "float64", [0, 3, 7, 6], [5, 3, 3, 2], layouts)
    for dtype in ("uint8", "int8", "int16", "int32", "int64"):
        for layouts in (("plain", "plain"), ("gaps", "gaps")):
            record(to, dtype, [2, 3, 9], [4, 3, 3], layouts, padding=[1])
            record(to, dtype, [2, 3, 7, 6], [5, 3, 3, 2], layouts, stride=[2, 1], padding=[1, 0])
            record(to, dtype, [1, 2, 4, 5, 3], [3, 2, 2, 3, 1], layouts, padding=[0, 1, 1])
            record(to, dtype, [2, 4, 5, 5], [6, 2, 3, 3], layouts, groups=2, bias=False)
    record(to, "int64", [1, 3, 4, 5], [3, 4, 3, 2], transposed=True, stride=[2, 2], output_padding=[1, 0],
           padding=[1, 1])
    record(to, "int64", [2, 3, 7, 6], [5, 3, 3, 3], stride=[2], padding=[1], dilation=[2], output_padding=[0])
    # More than is gathered at a time.
    record(to, "float64", [1, 12, 34, 34], [1, 12, 9, 9], padding=[4, 4])
    record(to, "float32", [1, 16, 20, 20], [16, 16, 3, 3], padding=[1, 1])
    record(to, "float32", [1, 16, 20, 20], [16, 16, 3, 3], ("last", "plain"), padding=[1, 1])
    to.write()


if __name__ == "__main__":
    main()
