"""Makes CUDA packages with TensorRT engines, as Torch-TensorRT writes them, with inputs and answers. Needs no GPU.

    CXX=/usr/bin/g++ CUDA_HOME=build/deps/cuda python tests/packages/make_engines.py OUT [NAME...]
    CXX=/usr/bin/g++ python tests/packages/make_engines.py OUT everything

The class `tensorrt.Engine` is that of objects.cpp, which writes the same state. The plans are those of the double
of TensorRT in tests/tensorrt/double, whose plan.hpp has their format; the answers are what it says of them. As in
make_cuda_objects.py beside it, torch compiles no kernel; but for `everything`, which is made on a GPU.
"""

import base64
import contextlib
import json
import os
import shutil
import sys

import make
import make_cuda_objects
import make_objects
import torch
from make import Case
from make_objects import WithObjects
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, export
from torch.utils._pytree import tree_leaves, tree_map

MAGIC = b"penstock-double\n"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "int32": torch.int32, "int64": torch.int64}
FORMAT_LENGTHS = {6: 9, 7: 10, 8: 11, 9: 12, 10: 13, 11: 14}

plans = {}  # name of an engine -> its plan
is_exporting = False


def tensor(name, mode, shape, dtype="float32", **more):
    return {"name": name, "mode": mode, "dtype": dtype, "shape": shape, **more}


def layer(kind, inputs, output, stream=0, **more):
    return {"name": f"{kind} {output}", "kind": kind, "inputs": inputs, "output": output, "stream": stream, **more}


def engine(name, plan, version=10, names=None, **state):
    """An engine object; `state` replaces texts of it by position: at_3="..."."""
    plan = {"name": name, "compute_capability": "9.0", **plan}
    plans[name] = dict(plan, is_numbered=names == ("", ""))
    of_mode = lambda mode: "%".join(each["name"] for each in plan["tensors"] if each["mode"] == mode)
    inputs, outputs = names or (of_mode("input"), of_mode("output"))
    aliases = "%".join(f"{each['name']}@{each['alias']}@kv_cache_update"
                       for each in plan["tensors"] if each.get("alias"))
    info = [str(version), name, "0%9%0%0%NVIDIA H100", base64.b64encode(MAGIC + json.dumps(plan).encode()).decode(),
            inputs, outputs, "0", "bWV0YQ==", "linux_x86_64", "0", "0",
            "1" if plan.get("collectives") else "0", aliases, "later"]
    for key, text in state.items():
        info[int(key.removeprefix("at_"))] = text
    return torch.classes.tensorrt.Engine(info[:FORMAT_LENGTHS[version]])


def in_call_order(plan, mode):
    """Torch-TensorRT numbers names where it states no order."""
    found = [each for each in plan["tensors"] if each["mode"] == mode]
    if plan["is_numbered"]:
        found.sort(key=lambda each: int(each["name"].replace("_", ".").rpartition(".")[2]))
    return found


def answer(plan, inputs):
    """What the double computes."""
    values = dict(zip((each["name"] for each in in_call_order(plan, "input")), inputs))
    for each in plan["layers"]:
        of_layer = [values[name] for name in each["inputs"]]
        scale, bias = each.get("scale", 1.0), each.get("bias", 0.0)
        if each["kind"] == "affine":
            result = (sum(value.float() for value in of_layer) * scale + bias).to(of_layer[0].dtype)
        elif each["kind"] == "nonzero":
            result = of_layer[0][of_layer[0] != 0]
        elif each["kind"] == "append":
            result = of_layer[0].add_(of_layer[1])
        elif each["kind"] == "resize":
            result = torch.full(of_layer[0].tolist(), bias)
        elif each["kind"] == "smid":
            result = torch.zeros(plan_tensor(plan, each["output"])["shape"], dtype=torch.int32)
        values[each["output"]] = result
    return [values[each["name"]] for each in in_call_order(plan, "output")]


def plan_tensor(plan, name):
    return next(each for each in plan["tensors"] if each["name"] == name)


def fake_answer(plan, inputs):
    """Sizes as the compiler is to believe them."""
    values = dict(zip((each["name"] for each in in_call_order(plan, "input")), inputs))
    for each in plan["layers"]:
        first = values[each["inputs"][0]] if each["inputs"] else None
        if each["kind"] == "nonzero":
            result = first.new_empty((torch.library.get_ctx().new_dynamic_size(),))
        elif each["kind"] == "resize":
            sizes = [torch.library.get_ctx().new_dynamic_size() for _ in plan_tensor(plan, each["output"])["shape"]]
            result = first.new_empty(sizes, dtype=torch.float32)
        elif each["kind"] == "smid":
            result = torch.empty(plan_tensor(plan, each["output"])["shape"], dtype=torch.int32, device="cuda")
        else:
            result = torch.empty_like(first)
        values[each["output"]] = result
    return [values[each["name"]] for each in in_call_order(plan, "output")]


def execute(inputs, of):
    if is_exporting:
        return torch.ops.tensorrt.execute_engine(inputs, of)
    return answer(plans[of.__obj_flatten__()[1][1]], inputs)


def register_fake():
    @torch.library.register_fake("tensorrt::execute_engine")
    def _(inputs, of):
        real = getattr(of, "real_obj", of)
        return fake_answer(plans[real.__obj_flatten__()[1][1]], inputs)


def sum_plan(shape, profiles=None, aux=0, **more):
    """z = x + y and w = 2 x + 1, the second on an auxiliary stream where there is one."""
    ranges = {"profiles": profiles} if profiles else {}
    return {"aux_streams": aux, "profiles": len(profiles or [1]), "device_memory": 4096,
            "tensors": [tensor("x", "input", shape, **ranges), tensor("y", "input", shape, **ranges),
                        tensor("z", "output", shape), tensor("w", "output", shape)],
            "layers": [layer("affine", ["x", "y"], "z"),
                       layer("affine", ["x"], "w", min(aux, 1), scale=2.0, bias=1.0)], **more}


def rows_of(first, last, columns=4):
    return {"min": [first, columns], "opt": [last, columns], "max": [last, columns]}


def alone(version=10, **state):
    """An engine and nothing else."""
    def forward(self, x, y):
        return tuple(execute([x, y], self.engine))

    return Case(WithObjects(forward, engine=engine("alone", sum_plan([4, 4]), version, **state)),
                (torch.randn(4, 4), torch.randn(4, 4)))


def pipeline():
    """Two engines between products: the first with two profiles, the second with an auxiliary stream."""
    def forward(self, x, weight):
        a, b = execute([x @ weight, x], self.first)
        c, d = execute([b @ weight, a], self.second)
        return c @ weight, d, a

    rows = Dim("rows", min=1, max=16)
    first = sum_plan([-1, 4], [rows_of(1, 8), rows_of(9, 16)])
    second = sum_plan([-1, 4], [rows_of(1, 16)], aux=1)
    return Case(WithObjects(forward, first=engine("first", first), second=engine("second", second)),
                (torch.randn(3, 4), torch.randn(4, 4)), dynamic_shapes=(({0: rows}, None),))


def cache():
    """An engine that adds to a cache in place, which is an input of the model and its output."""
    def forward(self, cache, x):
        (kept,) = execute([cache, x], self.engine)
        return kept

    plan = {"tensors": [tensor("cache", "input", [8, 4]), tensor("x", "input", [8, 4]),
                        tensor("kept", "output", [8, 4], alias="cache")],
            "layers": [layer("append", ["cache", "x"], "kept")]}
    return Case(WithObjects(forward, engine=engine("cache", plan)), (torch.zeros(8, 4), torch.randn(8, 4)))


def sliced():
    """An engine whose inputs are slices: one that is not aligned, one that is not row-major."""
    def forward(self, x, weight):
        hidden = x @ weight
        return tuple(execute([hidden[:, 1:5], hidden[:, ::2]], self.engine))

    return Case(WithObjects(forward, engine=engine("sliced", sum_plan([1, 4]))), (torch.randn(1, 4), torch.randn(4, 8)))


def sliced_cache():
    """The same of an engine that changes its input in place, which cannot be."""
    def forward(self, x, weight):
        hidden = x @ weight
        (kept,) = execute([hidden[:, 1:5], hidden[:, 4:]], self.engine)
        return kept

    plan = {"tensors": [tensor("cache", "input", [4, 4]), tensor("x", "input", [4, 4]),
                        tensor("kept", "output", [4, 4], alias="cache")],
            "layers": [layer("append", ["cache", "x"], "kept")]}
    return Case(WithObjects(forward, engine=engine("sliced_cache", plan)), (torch.randn(4, 4), torch.randn(4, 8)))


def sized():
    """An engine whose output has as many elements as the data say."""
    def forward(self, x):
        (found,) = execute([x], self.engine)
        return found

    plan = {"tensors": [tensor("x", "input", [32]), tensor("found", "output", [-1])],
            "layers": [layer("nonzero", ["x"], "found")]}
    return Case(WithObjects(forward, engine=engine("sized", plan)), ((torch.arange(32) % 3).float(),))


def mixed():
    """An engine with one output whose size the data decide before one with an address."""
    def forward(self, x):
        return tuple(execute([x], self.engine))

    plan = {"tensors": [tensor("x", "input", [32]), tensor("found", "output", [-1]), tensor("y", "output", [32])],
            "layers": [layer("nonzero", ["x"], "found"), layer("affine", ["x"], "y", scale=2.0)]}
    return Case(WithObjects(forward, engine=engine("mixed", plan)), ((torch.arange(32) % 3).float(),))


def host_output():
    """An engine that writes an output in host memory, which is refused."""
    def forward(self, x):
        return tuple(execute([x], self.engine))

    plan = {"tensors": [tensor("x", "input", [4]), tensor("y", "output", [4], location="host")],
            "layers": [layer("affine", ["x"], "y")]}
    return Case(WithObjects(forward, engine=engine("host_output", plan)), (torch.ones(4),))


def shaped():
    """An engine whose output has the sizes that a tensor holds."""
    def forward(self, sizes):
        (made,) = execute([sizes], self.engine)
        return made

    ranges = [{"min": [1, 1], "opt": [4, 4], "max": [16, 16]}]
    plan = {"profiles": 1,
            "tensors": [tensor("sizes", "input", [2], "int64", location="host", shape_input=True, profiles=ranges),
                        tensor("made", "output", [-1, -1])],
            "layers": [layer("resize", ["sizes"], "made", bias=3.0)]}
    return Case(WithObjects(forward, engine=engine("shaped", plan)), (torch.tensor([3, 5]),))


def numbered():
    """An engine whose names tell the order of its inputs and outputs, since the state does not."""
    def forward(self, x, y):
        return tuple(execute([x, y], self.engine))

    plan = {"device_memory": 0,
            "tensors": [tensor("input_1", "input", [4, 4]), tensor("input_0", "input", [4, 4]),
                        tensor("output.1", "output", [4, 4]), tensor("output.0", "output", [4, 4])],
            "layers": [layer("affine", ["input_0", "input_1"], "output.0"),
                       layer("affine", ["input_1"], "output.1", scale=3.0)]}
    return Case(WithObjects(forward, engine=engine("numbered", plan, names=("", ""))),
                (torch.randn(4, 4), torch.randn(4, 4)))


def spread():
    """An engine that tells the SMs of its blocks: those of its main stream and of two auxiliary ones."""
    def forward(self, x):
        return tuple(execute([x], self.engine))

    outputs = [tensor(f"sms{i}", "output", [512], "int32") for i in range(3)]
    plan = {"aux_streams": 2, "tensors": [tensor("x", "input", [4, 4]), *outputs, tensor("y", "output", [4, 4])],
            "layers": [*(layer("smid", ["x"], f"sms{i}", i, spin_us=20) for i in range(3)),
                       layer("affine", ["x"], "y", scale=2.0)]}
    return Case(WithObjects(forward, engine=engine("spread", plan)), (torch.randn(4, 4),))


def streamed():
    """An engine that streams its weights, and one with collectives."""
    def forward(self, x, y):
        return (*execute([x, y], self.engine), *execute([y, x], self.collective))

    return Case(WithObjects(forward, engine=engine("streamed", sum_plan([4, 4], streamable_weights=1 << 20,
                                                                        least_budget=1 << 16)),
                            collective=engine("collective", sum_plan([4, 4], collectives=True))),
                (torch.randn(4, 4), torch.randn(4, 4)))


class Everything(torch.nn.Module):
    """Kernels of Inductor, cuDNN, cuBLASLt and two engines, one with an auxiliary stream."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.weight = torch.nn.Parameter(torch.randn(128, 4) / 8)
        self.first = engine("first", sum_plan([16, 4]))
        self.second = engine("second", sum_plan([16, 4], aux=1))

    def forward(self, x):
        hidden = torch.relu(self.conv(x)).flatten(1) @ self.weight
        a, b = execute([hidden, torch.sin(hidden)], self.first)
        c, d = execute([b, a], self.second)
        return torch.nn.functional.gelu(c) + d, a


def everything():
    return Case(Everything(), (torch.randn(16, 3, 4, 4),))


# States that are refused, each with what is wrong.
REFUSED = {
    "format_6": lambda: alone(6),
    "format_11": lambda: alone(11),
    "short": lambda: alone(9, at_0="10"),
    "junk_plan": lambda: alone(at_3=base64.b64encode(b"no plan").decode()),
    "no_base64": lambda: alone(at_3="no base64!"),
    "other_names": lambda: alone(at_5="z%v"),
    "other_gpu": lambda: alone(at_2="0%8%9%0%NVIDIA L4"),
    "other_platform": lambda: alone(at_8="linux_aarch64"),
}
MAKERS = {case.__name__: case for case in (alone, pipeline, cache, sliced, sliced_cache, sized, mixed, host_output, shaped, numbered, spread, streamed)}
MAKERS |= {f"format_{version}": lambda version=version: alone(version) for version in (7, 8, 9)}
MAKERS |= REFUSED | {"everything": everything}


def make_case(out, name, case):
    global is_exporting
    stem = os.path.join(out, name)
    make.save(stem + ".inputs.safetensors", "arg", tree_leaves(case.args))
    is_exporting = True
    if name == "everything":
        case.model.cuda()
        case.args = tuple(each.cuda() for each in case.args)
    with torch._higher_order_ops.torchbind.enable_torchbind_tracing():
        with contextlib.nullcontext() if name == "everything" else FakeTensorMode(allow_non_fake_inputs=True):
            args = tree_map(lambda each: torch.empty(each.shape, dtype=each.dtype, device="cuda"), case.args)
            exported = export(case.model.eval(), args, dynamic_shapes=case.dynamic_shapes, strict=False)
        settings = make.compile_settings(case) | {"shape_padding": False}
        torch._inductor.aoti_compile_and_package(exported, package_path=stem + ".pt2", inductor_configs=settings)
    is_exporting = False
    if name not in REFUSED:
        outputs = tree_leaves(case.model(*case.args))
        make.save(stem + ".outputs.safetensors", "out", [each.cpu() for each in outputs])


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    if "everything" not in sys.argv[2:]:
        make_cuda_objects.stand_in_for_a_gpu()
    try:
        make_objects.load_extension()
        register_fake()
        with torch.no_grad():
            for name in sys.argv[2:] or [name for name in MAKERS if name != "everything"]:
                print("making", name, flush=True)
                torch.manual_seed(0)
                make_case(out, name, MAKERS[name]())
    finally:
        shutil.rmtree(make.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
