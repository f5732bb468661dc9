"""Records libtorch's embedding bags on the CPU: python record_embedding_bag.py."""

import torch

from operator_recording import OperatorRecording

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
MODES = (0, 1, 2)


def weights(dtype: torch.dtype) -> torch.Tensor:
    return (torch.randint(-20, 20, [6, 3]) / 8).to(dtype)


def record(to: OperatorRecording, weight: torch.Tensor, indices: torch.Tensor, offsets: torch.Tensor, mode: int = 0,
           factors: torch.Tensor | None = None, last: bool = False, padding: int = -1) -> None:
    tensors = {"weight": weight, "indices": indices, "offsets": offsets, "per_sample_weights": factors}
    for name in ("_embedding_bag", "_embedding_bag_forward_only"):
        operator = getattr(torch.ops.aten, name)
        to.add(name, lambda: operator(weight, indices, offsets, False, mode, False, factors, last, padding), tensors,
               exact=False, mode=mode, include_last_offset=last, padding_idx=padding)


def main() -> None:
    torch.manual_seed(0)
    to = OperatorRecording("embedding_bag")
    indices, offsets = torch.tensor([1, 2, 2, 5, 0]), torch.tensor([0, 2, 2])
    for dtype in FLOATS:
        weight = weights(dtype)
        for mode in MODES:
            record(to, weight, indices, offsets, mode)
            record(to, weight, indices, offsets, mode, padding=2)
            record(to, weight, indices, torch.tensor([0, 2, 5]), mode, last=True)
            record(to, weights(dtype).repeat(1, 2)[:, ::2], indices, offsets, mode)
        record(to, weight, indices, offsets, factors=torch.tensor([1, -0.5, 2, 0, 3]).to(dtype))
    weight = weights(torch.float32)
    for mode in MODES:
        record(to, weight, indices.int(), offsets.int(), mode)
        record(to, weight, indices.int(), offsets, mode)
        record(to, weight, torch.tensor([2, 2, 1, 2]), torch.tensor([0, 2]), mode, padding=2)
        record(to, weight, indices.repeat(2)[::2], offsets, mode)
        record(to, weight, indices[:0], torch.tensor([0, 0]), mode)
        record(to, weight, indices[:0], offsets[:0], mode)
        # What is refused.
        record(to, weight, torch.tensor([1, 6]), torch.tensor([0]), mode)
        record(to, weight, torch.tensor([1, -1]), torch.tensor([0]), mode)
        record(to, weight, indices, torch.tensor([1, 2]), mode)
        record(to, weight, indices, torch.tensor([0, 9]), mode)
        record(to, weight, indices[:0], offsets[:0], mode, last=True)
    record(to, weight, indices, torch.tensor([0, 3, 2]))
    record(to, weight, indices, offsets, 3)
    record(to, weight, indices, offsets, 1, factors=torch.ones(5))
    record(to, weight, indices, offsets, factors=torch.ones(4))
    record(to, weight, indices, offsets, factors=torch.ones(5, dtype=torch.float64))
    record(to, weight.int(), indices, offsets)
    own_words = ("Expected i <", "Expected per_sample", "Expected tensor", "`mode`")
    for case in to.cases:
        # Where libtorch's words are of no use, only the refusal counts.
        if case.get("error", "").startswith(own_words):
            case["error"] = ""
    to.write()


if __name__ == "__main__":
    main()
