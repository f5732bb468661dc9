"""With libraries of NVIDIA, as far as they go: `./dev test --tensorrt` makes their environment."""

import os
import pathlib
import re
import subprocess

import pytest

import conftest
from test_streams import DRIVER

ENVIRONMENT = conftest.ROOT / "build/tensorrt-env"
SITE = next(iter((ENVIRONMENT / "lib").glob("python3*/site-packages")), ENVIRONMENT)
RTX = SITE / "tensorrt_rtx_libs/libtensorrt_rtx.so.1"
LEAN = SITE / "tensorrt_lean_libs/libnvinfer_lean.so.11"
COMMAND = pathlib.Path(os.environ.get("PENSTOCK_CLI", conftest.ROOT / "build/release/bin/penstock"))

pytestmark = [
    pytest.mark.skipif(not (ENVIRONMENT / "penstock-ready").exists(), reason="no libraries of TensorRT: ./dev test --tensorrt"),
    pytest.mark.skipif(not DRIVER.exists(), reason="the stand-in for the driver is not built: PENSTOCK_CUDA=OFF"),
]


def command(*arguments, gpu):
    """The command on the machine's own GPU; else Penstock has the stand-in for the driver, and TensorRT has none."""
    environment = {**os.environ, "VIRTUAL_ENV": str(ENVIRONMENT), "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}"}
    environment.pop("PENSTOCK_TENSORRT", None)
    if not gpu:
        environment["PENSTOCK_LIBCUDA"] = str(DRIVER)
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture(scope="module")
def gpu():
    """Whether TensorRT has a driver here."""
    done = subprocess.run([COMMAND, "doctor"], capture_output=True, text=True, timeout=120)
    return "none that can be used" not in done.stdout


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A plan that TensorRT-RTX built from an ONNX model."""
    path = tmp_path_factory.mktemp("plan") / "relu.plan"
    done = subprocess.run([ENVIRONMENT / "bin/python", pathlib.Path(__file__).with_name("rtx_plan.py"), path],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return path


def test_the_libraries_of_the_wheels_are_found(gpu):
    found = command("doctor", gpu=gpu).stdout
    assert re.search(rf"TensorRT +1\.7\.1  {re.escape(str(RTX))}", found), found
    assert re.search(rf"TensorRT +11\.4\.0  {re.escape(str(LEAN))}", found), found


def test_a_plan_says_who_built_it_and_is_run_or_refused_with_the_words_of_each(plan, gpu):
    for more in ([], ["--tensorrt", RTX]):
        done = command("inspect", plan, *more, gpu=gpu)
        assert done.returncode == 0, done.stderr
        assert "built by      TensorRT-RTX 1.7.1.116" in done.stdout
        if "can run here  yes" in done.stdout:
            assert f"TensorRT-RTX 1.7.1 ({RTX})" in done.stdout and "x  float32[-1, 4]" in done.stdout
            assert "profile 0     x 1x4 2x4 8x4" in done.stdout
            assert command("doctor", "--prove-tensorrt", plan, *more, gpu=gpu).returncode == 0
        else:
            # Its functions were called by number, and the log came through the logger that it was given.
            assert f"TensorRT-RTX 1.7.1 ({RTX}) refuses it; TensorRT says: " in done.stdout, done.stdout
            assert "IRuntime::deserializeCudaEngine" in done.stdout
            if not gpu:
                assert "cudaError 35" in done.stdout
            assert command("doctor", "--prove-tensorrt", plan, *more, gpu=gpu).returncode == 1


def test_the_lean_runtime_refuses_a_plan_of_another_or_gives_no_runtime(plan, gpu):
    done = command("inspect", plan, "--tensorrt", LEAN, gpu=gpu)
    assert "can run here  no" in done.stdout
    words = "refuses it; TensorRT says: " if gpu else "gives no runtime; TensorRT says: createInferRuntime"
    assert f"TensorRT lean 11.4.0 ({LEAN}) {words}" in done.stdout, done.stdout


def test_what_is_no_plan_is_refused(tmp_path, gpu):
    junk = tmp_path / "junk.plan"
    junk.write_bytes(b"no plan" * 20)
    done = command("inspect", junk, "--tensorrt", RTX, gpu=gpu)
    assert "built by      not known" in done.stdout and "kEXPECTED_MAGIC_TAG" in done.stdout, done.stdout
    cut = tmp_path / "cut.plan"
    cut.write_bytes(b"vtrt" + bytes(36))
    assert "refuses it; TensorRT says: " in command("inspect", cut, "--tensorrt", RTX, gpu=gpu).stdout


def test_an_engine_of_a_package_is_refused_with_its_name(package, gpu):
    done = command("run", package("alone", "2.15-engines"), "--device", "cuda", "--tensorrt", RTX, gpu=gpu)
    assert done.returncode == 3
    assert "alone.pt2" in done.stderr and "TensorRT engine alone" in done.stderr
    assert "refuses it; TensorRT says: " in done.stderr or "compute capability" in done.stderr
