"""Runs packages with Penstock and with torch in one Python process, both orders.

    python beside_torch.py LIBRARY PACKAGES torch|penstock NAME...

LIBRARY is the test library that runs a package with Penstock; the word says which of
the two is loaded and run first. Needs an interpreter that has torch and safetensors.
"""

import ctypes
import sys
from pathlib import Path

library_path, packages, first, *names = sys.argv[1:]


def penstock():
    """Penstock's answers must be the recorded ones."""
    library = ctypes.CDLL(library_path)
    message = ctypes.create_string_buffer(4096)
    for name in names:
        stem = str(Path(packages) / name).encode()
        if library.penstock_isolation_run(stem, message, len(message)) != 0:
            raise SystemExit(f"{name}: {message.value.decode()}")


def torch():
    """So must be those of torch itself, of the same files."""
    import torch
    from safetensors.torch import load_file

    for name in names:
        stem = Path(packages) / name
        inputs = load_file(f"{stem}.inputs.safetensors")
        expected = load_file(f"{stem}.outputs.safetensors")
        model = torch._inductor.aoti_load_package(f"{stem}.pt2")
        given = model(*(inputs[f"arg{i}"] for i in range(len(inputs))))
        given = given if isinstance(given, (list, tuple)) else [given]
        for i, tensor in enumerate(given):
            if not torch.allclose(tensor, expected[f"out{i}"], rtol=1e-4, atol=1e-4):
                raise SystemExit(f"{name}: torch's own out{i} differs")


if "torch" in sys.modules:
    raise SystemExit("torch was loaded before its turn")
for run in [torch, penstock, torch] if first == "torch" else [penstock, torch, penstock]:
    run()
