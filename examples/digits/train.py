"""Trains a small classifier of handwritten digits and packages it for Penstock.

    CXX=g++ python examples/digits/train.py

needs torch and scikit-learn (its digits: 1797 images of 8x8 pixels). Writes next
to this file:

    digits.pt2      the package: image [N, 1, 8, 8] float32 in 0..1 -> logits [N, 10]
    heldout.npz     image: the images kept out of the training
    labels.npy      their true classes, int64
    labels.txt      the names of the classes, one a line
    expected.npz    out0: what libtorch answers when it runs digits.pt2 on them

The package is an ordinary default export. The settings only make it portable: AVX2
machines are enough to run it, and the number of threads does not depend on the
machine that made it.
"""

import os
from pathlib import Path

os.environ["TORCHINDUCTOR_CPP_MARCH"] = "x86-64-v3"  # torch 2.11 and older ignore it

import numpy
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
PORTABLE = {"cpp.simdlen": 256, "cpp.threads": 1}


def load_data():
    digits = load_digits()
    images = (digits.images / 16.0).astype(numpy.float32)[:, None]
    labels = digits.target.astype(numpy.int64)
    return train_test_split(images, labels, test_size=360, stratify=labels, random_state=0)


def train(images, labels):
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 10),
    )
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    epochs = 60
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(32):
            noisy = images[batch] + 0.2 * torch.randn_like(images[batch])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(noisy), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


class Digits(torch.nn.Module):
    """Gives the input the name that the package shows."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, image):
        return self.layers(image)


def main():
    torch.manual_seed(0)
    images, heldout, labels, heldout_labels = load_data()
    model = Digits(train(images, labels))

    batch = torch.export.Dim("batch", min=1, max=1024)
    with torch.no_grad():
        program = torch.export.export(
            # As a keyword: the package keeps names of keyword arguments only.
            model, (), {"image": torch.from_numpy(heldout[:8])}, dynamic_shapes={"image": {0: batch}}
        )
        package = torch._inductor.aoti_compile_and_package(
            program, package_path=str(HERE / "digits.pt2"), inductor_configs=PORTABLE
        )
        logits = torch._inductor.aoti_load_package(package)(image=torch.from_numpy(heldout)).numpy()

    numpy.savez(HERE / "heldout.npz", image=heldout)
    numpy.save(HERE / "labels.npy", heldout_labels)
    (HERE / "labels.txt").write_text("".join(f"{name}\n" for name in range(10)))
    numpy.savez(HERE / "expected.npz", out0=logits)
    right = (logits.argmax(1) == heldout_labels).sum()
    print(f"{right} of {len(heldout)} held-out digits right ({right / len(heldout):.1%})")


if __name__ == "__main__":
    main()
