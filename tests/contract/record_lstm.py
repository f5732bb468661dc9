"""Records libtorch's LSTM layers on the CPU: python record_lstm.py."""

import torch

from recording import Recording, contiguous, tensor

LSTM = 2


def transposed(sizes: list) -> list:
    return contiguous(sizes[::-1])[::-1]


def record(to: Recording, dtype: str, steps: int, batch: int, features: int, hidden: int,
           layout=contiguous, biases: bool = True, reverse: bool = False) -> None:
    case = {"dtype": dtype, "biases": biases, "reverse": reverse, "tensors": {}}
    specs = {
        "input": [steps, batch, features], "input_weight": [4 * hidden, features],
        "hidden_weight": [4 * hidden, hidden], "input_bias": [4 * hidden], "hidden_bias": [4 * hidden],
        "hidden": [1, batch, hidden], "cell": [1, batch, hidden],
    }
    made = {}
    for name, sizes in specs.items():
        strides, seed = layout(sizes), len(to.cases) * 8 + len(made)
        case["tensors"][name] = {"sizes": sizes, "strides": strides, "seed": seed}
        made[name] = tensor(sizes, strides, getattr(torch, dtype), seed)
    # libtorch reads row-major inputs only.
    plain = [made[name].contiguous() for name in specs]
    answers = torch.ops.aten.mkldnn_rnn_layer(*plain, reverse, [], LSTM, hidden, 1, biases, False, False,
                                              False)
    to.add_results(case, answers[:3])


def main() -> None:
    to = Recording("lstm")
    for dtype in ("float32", "bfloat16"):
        for reverse in (False, True):
            record(to, dtype, 5, 2, 3, 4, reverse=reverse)
            record(to, dtype, 1, 1, 1, 1, reverse=reverse)
            record(to, dtype, 4, 3, 7, 20, biases=False, reverse=reverse)
            record(to, dtype, 5, 2, 3, 4, transposed, reverse=reverse)
    record(to, "float32", 30, 1, 16, 33)
    to.write()


if __name__ == "__main__":
    main()
