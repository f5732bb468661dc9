"""Makes the test packages with live objects and custom operators, with inputs and libtorch's own outputs.

    CXX=/usr/bin/g++ python tests/packages/make_objects.py OUT [NAME...]

As make.py beside it, whose Case and form of files it uses. The classes and operators are in objects.cpp,
which it compiles first; what runs do to an object shows in the outputs of several runs (NAME.run2, ...).
"""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import make
import torch
from make import Case, save_run
from torch.export import Dim, export
from torch.utils._pytree import tree_leaves
from torch.utils.cpp_extension import include_paths, library_paths

HERE = Path(__file__).resolve().parent
RUNS = {"queue": 2}

# The cache compares objects, which have no equality.
torch._dynamo.config.fake_tensor_cache_enabled = False


def load_extension():
    library = os.path.join(make.scratch, "objects.so")
    paths = [f"-I{path}" for path in include_paths()]
    links = [part for path in library_paths() for part in (f"-L{path}", f"-Wl,-rpath,{path}")]
    subprocess.run(
        [os.environ.get("CXX", "c++"), "-std=c++20", "-O1", "-shared", "-fPIC", *paths, str(HERE / "objects.cpp"),
         "-o", library, *links, "-ltorch", "-ltorch_cpu", "-lc10"],
        check=True,
    )
    torch.ops.load_library(library)


class FakeObject:
    """What export knows of an object: the parts that it takes apart into."""

    def __init__(self, **parts):
        self.__dict__.update(parts)


class FakeFoo(FakeObject):
    def add_tensor(self, z):
        return (self.x + self.y) * z

    def combination(self, a, count, scale):
        return a * (self.x * count) + self.y * scale


class FakeQueue(FakeObject):
    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop(0)

    def size(self):
        return len(self.items)


FAKE_CLASSES = {"Foo": FakeFoo, "Holder": FakeObject, "Queue": FakeQueue, "Mixed": FakeObject}


def register_fakes():
    for name, made in FAKE_CLASSES.items():
        # The registry looks for it in the class itself.
        own = {"__obj_unflatten__": classmethod(lambda cls, parts: cls(**dict(parts)))}
        torch._library.register_fake_class(f"fixtures::{name}")(type(f"Fake{name}", (made,), own))
    fake = torch.library.register_fake

    @fake("fixtures::takes_foo")
    def _(foo, x):
        return torch.empty_like(x)

    @fake("fixtures::takes_foo_list")
    def _(foo, x):
        return [torch.empty_like(x) for _ in range(3)]

    @fake("fixtures::takes_foo_pair")
    def _(foo, x):
        return torch.empty_like(x), torch.empty_like(x)

    @fake("fixtures::add_held")
    def _(holder, x):
        return torch.empty_like(x)

    @fake("fixtures::scale_mixed")
    def _(mixed, x):
        return torch.empty_like(x)

    @fake("fixtures::every_kind")
    def _(x, *others, **more):
        return torch.empty_like(x), [torch.empty_like(x), x.new_empty(x.shape[1:])]

    @fake("fixtures::defaults")
    def _(x, count=2, scale=1.5, *, add=True, mode="twice", steps=(1, 2), dtype=None):
        return torch.empty_like(x, dtype=dtype or x.dtype)

    @fake("fixtures::with_generator")
    def _(x, generator=None, *, scale=0.5):
        return torch.empty_like(x)

    @fake("fixtures::nothing")
    def _(x):
        pass

    @fake("fixtures::add_one")
    def _(x):
        pass

    @fake("fixtures::fresh")
    def _(x):
        return torch.empty_like(x)

    @fake("fixtures::counted")
    def _(x):
        return torch.empty_like(x), x.dim()

    @fake("tensorrt::execute_engine")
    def _(inputs, engine):
        return [torch.empty_like(inputs[0]), torch.empty_like(inputs[0])]


class WithObjects(torch.nn.Module):
    """A function of tensors and of the objects that the module has."""

    def __init__(self, function, **objects):
        super().__init__()
        for name, value in objects.items():
            setattr(self, name, value)
        self.function = function

    def forward(self, *args):
        return self.function(self, *args)


def fixtures():
    return torch.classes.fixtures


def object_ints():
    ops = torch.ops.fixtures

    def forward(self, x):
        return ops.takes_foo(self.foo, x), ops.takes_foo_list(self.foo, x + 1), ops.takes_foo_pair(self.foo, x * 2)

    return Case(
        WithObjects(forward, foo=fixtures().Foo(10, 20)), (torch.randn(3, 4),),
        dynamic_shapes=(({0: Dim("rows", min=1, max=64)},),),
    )


def object_tensor():
    def forward(self, x):
        return torch.ops.fixtures.add_held(self.holder, x.relu())

    return Case(WithObjects(forward, holder=fixtures().Holder(torch.randn(3, 4))), (torch.randn(3, 4),))


def object_mixed():
    def forward(self, x):
        return torch.ops.fixtures.scale_mixed(self.mixed, x)

    state = fixtures().Mixed(2.5, "caf\u00e9", torch.randn(4, 4), torch.randn(4, 4))
    return Case(WithObjects(forward, mixed=state), (torch.randn(4, 4),))


def object_methods():
    def forward(self, x):
        return self.foo.add_tensor(x) + 1, self.foo.combination(x, 3, 0.5)

    return Case(WithObjects(forward, foo=fixtures().Foo(2, 5)), (torch.randn(3, 4),))


def queue():
    def forward(self, x):
        self.queue.push(x * 10)
        first = self.queue.pop()
        self.queue.push(first + x)
        return first + 1, self.queue.pop() * 2

    return Case(
        WithObjects(forward, queue=fixtures().Queue([torch.ones(3, 4), torch.full((3, 4), 2.0)])),
        (torch.randn(3, 4),),
    )


def operator_kinds():
    def forward(self, x, y):
        rows = x.shape[0]
        return torch.ops.fixtures.every_kind(
            x, [y, x], y, [None, x, None, y], 5, rows, [4, -2, 9], [rows, 3, rows + 1], None, 1.25, [0.5, -3.0],
            2.75, True, [True, False, True], "text", ["one", "", "three"], 6, 0.75, torch.float64,
            torch.channels_last, torch.strided, torch.device("cpu"), self.foo,
        )

    rows = Dim("rows", min=1, max=64)
    return Case(
        WithObjects(forward, foo=fixtures().Foo(9, 4)), (torch.randn(3, 4), torch.randn(3, 4)),
        dynamic_shapes=(({0: rows}, {0: rows}),),
    )


def operator_defaults():
    ops = torch.ops.fixtures

    def forward(self, x):
        return ops.defaults(x), ops.defaults(x, 7), ops.defaults(x, 1, 0.5, add=False, dtype=torch.float64, steps=[5])

    return Case(WithObjects(forward), (torch.randn(3, 4),))


def operator_generator():
    """An operator that may be given a generator of random numbers, which packages cannot hold."""
    ops = torch.ops.fixtures

    def forward(self, x):
        return ops.with_generator(x), ops.with_generator(x, None, scale=2.0)

    return Case(WithObjects(forward), (torch.randn(3, 4),))


def operator_effects():
    """Operators that change their argument in place, between other work on it."""

    def forward(self, x):
        y = x * 2
        torch.ops.fixtures.add_one(y)
        z = y * 3
        torch.ops.fixtures.add_one(y)
        torch.ops.fixtures.nothing(y)
        return y, z, torch.ops.fixtures.counted(z)[0]

    return Case(WithObjects(forward), (torch.randn(3, 4),))


def operator_folded():
    """An operator of weights alone, which is called when the model is loaded."""

    def forward(self, x):
        return x * torch.ops.fixtures.defaults(self.weight)

    case = Case(WithObjects(forward, weight=torch.nn.Parameter(torch.randn(3, 4))), (torch.randn(3, 4),))
    case.configs |= {"aot_inductor.use_runtime_constant_folding": True}
    return case


def nothing(count):
    def forward(self, x):
        y = x * 2
        for _ in range(count):
            torch.ops.fixtures.nothing(y)
        return y

    return Case(WithObjects(forward), (torch.randn(4, 4),))


def nothing_once():
    return nothing(1)


def nothing_often():
    return nothing(101)


def unknown_operators():
    """Operators that PyTorch itself has without a C function."""

    def forward(self, x):
        return torch.bincount(x, minlength=4), torch.ops.fixtures.counted(x)[0]

    return Case(WithObjects(forward), (torch.tensor([0, 3, 1, 3]),))


def engine(name, plan):
    return torch.classes.tensorrt.Engine([
        "10", name, "0%9%0%0%NVIDIA H200", base64.b64encode(plan).decode(), "x%y", "output0%output1", "0",
        "bWV0YQ==", "linux_x86_64", "0", "0", "0", "",
    ])


def engines():
    """Two stand-ins for TensorRT engines, of which the second takes what the first gives."""

    def forward(self, x, y):
        execute = torch.ops.tensorrt.execute_engine
        a, b = execute([x @ self.weight, y], self.first)
        c, d = execute([b, a], self.second)
        return c + d, a.relu()

    rows = Dim("rows", min=1, max=16)
    return Case(
        WithObjects(
            forward, weight=torch.nn.Parameter(torch.randn(4, 4)),
            first=engine("_run_on_acc_0_engine", bytes(range(256)) * 3), second=engine("_run_on_acc_1_engine", b"plan"),
        ),
        (torch.randn(3, 4), torch.randn(3, 4)), dynamic_shapes=(({0: rows}, {0: rows}),),
    )


def make_two_models(out):
    """Two models of one file that name the same objects, each in its own order."""
    ops = torch.ops.fixtures
    foo, holder = fixtures().Foo(3, 4), fixtures().Holder(torch.randn(3, 4))
    x = torch.randn(3, 4)
    functions = {
        "first": lambda self, x: ops.add_held(self.holder, ops.takes_foo(self.foo, x)),
        "second": lambda self, x: ops.add_held(self.holder, ops.takes_foo(self.foo, x * 2)) - 1,
    }
    files = {}
    packed = set()
    for name, function in functions.items():
        case = Case(WithObjects(function, foo=foo, holder=holder), (x,))
        options = make.compile_settings(case) | {"aot_inductor.package": True}
        made = torch._inductor.aot_compile(export_case(case).module(), case.args, options=options)
        # torch numbers a model's objects from 0 and refuses a file twice: the objects are the same.
        files[name] = [file for file in made if not isinstance(file, str) or os.path.basename(file) not in packed]
        packed |= {os.path.basename(file) for file in made if isinstance(file, str) and "custom_obj_" in file}
    path = os.path.join(out, "objects_two_models.pt2")
    scratch = os.path.join(make.scratch, "objects_two_models.pt2")
    torch._inductor.package.package_aoti(scratch, files)
    shutil.move(scratch, path)
    for name in files:
        model = torch._inductor.package.load_package(path, model_name=name)
        stem = os.path.join(out, "objects_two_models")
        save_run(stem, model, (x,), {}, outputs_stem=f"{stem}.{name}")


def export_case(case):
    with torch._higher_order_ops.torchbind.enable_torchbind_tracing():
        return export(case.model.eval(), case.args, case.kwargs, dynamic_shapes=case.dynamic_shapes, strict=False)


def make_case(out, name, case):
    path = os.path.join(out, name + ".pt2")
    exported = export_case(case)
    with torch._higher_order_ops.torchbind.enable_torchbind_tracing():
        torch._inductor.aoti_compile_and_package(
            exported, package_path=path, inductor_configs=make.compile_settings(case)
        )
    model = torch._inductor.aoti_load_package(path)
    stem = os.path.join(out, name)
    save_run(stem, model, case.args, case.kwargs)
    for run in range(2, RUNS.get(name, 1) + 1):
        make.save(f"{stem}.run{run}.outputs.safetensors", "out", tree_leaves(model(*case.args)))


CASES = [
    object_ints, object_tensor, object_mixed, object_methods, queue, operator_kinds, operator_defaults,
    operator_generator, operator_effects, operator_folded, nothing_once, nothing_often, unknown_operators, engines,
]
MAKERS = {case.__name__: case for case in CASES}
SPECIAL = {"objects_two_models": make_two_models}


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = sys.argv[1]
    names = sys.argv[2:] or [*MAKERS, *SPECIAL]
    unknown = [name for name in names if name not in MAKERS and name not in SPECIAL]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}")
    os.makedirs(out, exist_ok=True)
    try:
        load_extension()
        register_fakes()
        with torch.no_grad():
            for name in names:
                print("making", name, flush=True)
                torch.manual_seed(0)
                if name in SPECIAL:
                    SPECIAL[name](out)
                else:
                    make_case(out, name, MAKERS[name]())
    finally:
        shutil.rmtree(make.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
