"""The programs of README.md and docs/python.md run, as they are printed there."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def programs():
    for page in ("README.md", "docs/python.md"):
        text = (ROOT / page).read_text()
        for number, (marks, code) in enumerate(re.findall(r"^```python([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)):
            assert code
            yield pytest.param(marks.split(), code, id=f"{page}:{number}")


@pytest.mark.parametrize("marks, code", list(programs()))
def test_runs(marks, code):
    """`gpu` and `torch` behind ```python say what a program needs."""
    if "torch" in marks:
        pytest.importorskip("torch")
    if "gpu" in marks and os.environ.get("PENSTOCK_TEST_GPU") != "1":
        pytest.skip("it needs a GPU: ./dev gpu-test")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = re.findall(r"# prints: (.*)", code)
    assert [line for line in expected if line not in done.stdout] == [], done.stdout
