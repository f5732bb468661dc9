"""Makes CUDA packages with custom operators and live objects, with inputs and answers. Needs no GPU.

    CXX=/usr/bin/g++ CUDA_HOME=build/deps/cuda python tests/packages/make_cuda_objects.py OUT [NAME...]

As make_objects.py beside it, whose operators and classes it uses. The models do nothing but call operators and
multiply matrices, so torch compiles no kernel for them: all that it asks a GPU are its properties, which stand
here. The answers are those of the same functions on the CPU.
"""

import os
import shutil
import sys
import types

import make
import make_objects
import torch
import torch.utils._triton
from make import Case
from make_objects import WithObjects, fixtures
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, export
from torch.utils._pytree import tree_leaves, tree_map

H100 = types.SimpleNamespace(
    name="NVIDIA H100", major=9, minor=0, multi_processor_count=132, total_memory=80 << 30, warp_size=32,
    regs_per_multiprocessor=65536, max_threads_per_multi_processor=2048, max_threads_per_block=1024,
    shared_memory_per_block=48 << 10, shared_memory_per_block_optin=227 << 10,
    shared_memory_per_multiprocessor=228 << 10, L2_cache_size=50 << 20, gcnArchName="",
)


def stand_in_for_a_gpu():
    torch.cuda.get_device_properties = lambda *_, **__: H100
    torch.cuda.get_device_capability = lambda *_, **__: (H100.major, H100.minor)
    torch.cuda.current_device = lambda: 0
    torch.utils._triton.has_triton = lambda *_, **__: True
    # Imports that function.
    from torch._inductor.codegen.wrapper import PythonWrapperCodegen

    # Runs the kernels that torch compiled, of which there are none.
    PythonWrapperCodegen.generate_and_run_autotune_block = lambda _: None


def operators():
    """Operators before and behind a product, one of which changes its argument in place."""
    ops = torch.ops.fixtures

    def forward(self, x, weight):
        y = ops.defaults(x) @ weight
        ops.add_one(y)
        return y, ops.counted(y)[0], ops.defaults(x, 1, 0.5, add=False, dtype=torch.float64, steps=[5])

    rows = Dim("rows", min=1, max=64)
    return Case(WithObjects(forward), (torch.randn(3, 4), torch.randn(4, 4)),
                dynamic_shapes=(({0: rows}, None),))


def objects():
    """An object that operators and a method take, before and behind a product."""
    ops = torch.ops.fixtures

    def forward(self, x, weight):
        y = ops.takes_foo(self.foo, x) @ weight
        return y, ops.takes_foo_list(self.foo, y), ops.takes_foo_pair(self.foo, x), self.foo.add_tensor(y)

    return Case(WithObjects(forward, foo=fixtures().Foo(1, 2)), (torch.randn(3, 4), torch.randn(4, 4)))


def kinds():
    """Every kind of argument. It is exported with a device that is not the model's, whose place that takes."""
    made = make_objects.operator_kinds()
    made.model.device = torch.device("cpu")
    made.model.function = lambda self, x, y: torch.ops.fixtures.every_kind(
        x, [y, x], y, [None, x, None, y], 5, x.shape[0], [4, -2, 9], [x.shape[0], 3, x.shape[0] + 1], None, 1.25,
        [0.5, -3.0], 2.75, True, [True, False, True], "text", ["one", "", "three"], 6, 0.75, torch.float64,
        torch.channels_last, torch.strided, self.device, self.foo)
    return made


def engines():
    def forward(self, x, y):
        execute = torch.ops.tensorrt.execute_engine
        a, b = execute([x @ y, y], self.first)
        return (*execute([b, a], self.second), a)

    return Case(WithObjects(forward, first=make_objects.engine("first", b"a plan"),
                            second=make_objects.engine("second", b"another plan")),
                (torch.randn(4, 4), torch.randn(4, 4)))


def make_case(out, name, case):
    stem = os.path.join(out, name)
    make.save(stem + ".inputs.safetensors", "arg", tree_leaves(case.args))
    with torch._higher_order_ops.torchbind.enable_torchbind_tracing():
        with FakeTensorMode(allow_non_fake_inputs=True):
            args = tree_map(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda"), case.args)
            exported = export(case.model.eval(), args, dynamic_shapes=case.dynamic_shapes, strict=False)
        # Whether padding a product pays is measured on the GPU.
        settings = make.compile_settings(case) | {"shape_padding": False}
        torch._inductor.aoti_compile_and_package(exported, package_path=stem + ".pt2", inductor_configs=settings)
    case.model.device = torch.device("cuda:0")
    make.save(stem + ".outputs.safetensors", "out", tree_leaves(case.model(*case.args)))


MAKERS = {case.__name__: case for case in (operators, objects, kinds, engines)}


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    stand_in_for_a_gpu()
    try:
        make_objects.load_extension()
        make_objects.register_fakes()
        with torch.no_grad():
            for name in sys.argv[2:] or MAKERS:
                print("making", name, flush=True)
                torch.manual_seed(0)
                make_case(out, name, MAKERS[name]())
    finally:
        shutil.rmtree(make.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
