"""The stubs and the Python sources agree with what there is."""

import inspect
import pathlib
import subprocess
import sys

import penstock
from penstock import _core


def check(tmp_path, *arguments):
    return subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *arguments],
                          capture_output=True, text=True, timeout=600)


def test_the_package_is_typed(tmp_path):
    folder = pathlib.Path(penstock.__file__).parent
    assert (folder / "py.typed").exists() and (folder / "_core.pyi").exists()
    # Where torch is, its own sources are left out.
    done = check(tmp_path, "--follow-imports=silent", "--ignore-missing-imports", "--disable-error-code=unused-ignore",
                 "--disable-error-code=misc", "-p", "penstock")
    assert done.returncode == 0, done.stdout


def test_programs_are_checked_against_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text('''
import penstock
model = penstock.load("model.pt2", device="cuda:0", graphs="off")
session: penstock.Session = model.session()
with penstock.GreenContext(penstock.SmResource.of_device().split("32,rest")[0]) as stream:
    session.prepare([[1, 2]], stream=stream)
    tensor: penstock.Tensor = session.run(1)
shape: tuple[int, ...] = tensor.shape
with penstock.Stream() as entered:
    entered.synchronize()
total: float = tensor.cpu().numpy().sum() + tensor.torch().sum() + tensor.cupy().sum()
handle: penstock.ObjectHandle = model.custom_objects()["a"]
''')
    done = check(tmp_path, "--follow-imports=silent", str(program))
    assert done.returncode == 0, done.stdout
    program.write_text('import penstock\npenstock.load("model.pt2").no_such()\npenstock.load(graphs=1)\n')
    done = check(tmp_path, "--follow-imports=silent", str(program))
    assert done.returncode == 1 and "no_such" in done.stdout and "graphs" in done.stdout, done.stdout


def test_everything_public_has_a_description():
    bare = []
    for name in penstock.__all__:
        if name in ("nn", "verify", "export", "aoti_load_package"):
            continue
        value = getattr(penstock, name)
        if not inspect.getdoc(value):
            bare.append(name)
        if inspect.isclass(value) and value.__module__ == _core.__name__ and not issubclass(value, penstock.DType):
            bare += [f"{name}.{member}" for member, one in vars(value).items()
                     if not member.startswith("_") and not inspect.getdoc(one)]
    assert bare == []
