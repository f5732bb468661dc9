"""Makes the small test packages, with inputs and with libtorch's own outputs.

    CXX=/usr/bin/g++ python tests/packages/make.py OUT [NAME...]

needs torch 2.9 to 2.15, safetensors and a C++ compiler. Each NAME becomes
OUT/NAME.pt2, OUT/NAME.inputs.safetensors (arg0, arg1, ... in flattened order)
and OUT/NAME.outputs.safetensors (out0, out1, ...). Without names all packages
are made. A tensor that was not contiguous is stored contiguous; the strides that
it had, in elements, are in the file's metadata ("arg0.strides": "1,5").

Packages are portable (x86-64-v3, one thread) unless the name says otherwise.
"""

import collections
import json
import os
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field

scratch = tempfile.mkdtemp(prefix="penstock-packages-")
os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch

import safetensors.torch
import torch
import torch.export.pt2_archive._package
from torch._inductor import config as inductor_config
from torch._inductor import cpp_builder
from torch.export import Dim, export
from torch.utils._pytree import tree_leaves, tree_map_only

VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])
MARCH = "x86-64-v3"
PORTABLE = {"cpp.simdlen": 256, "cpp.threads": 1}


@dataclass
class Case:
    """A model, the inputs it is exported with and run on, and how to compile it."""

    model: torch.nn.Module
    args: tuple
    kwargs: dict = field(default_factory=dict)
    dynamic_shapes: object = None
    configs: dict = field(default_factory=lambda: dict(PORTABLE))
    march: str | None = MARCH
    more_inputs: dict = field(default_factory=dict)  # suffix -> (args, kwargs)
    bad_inputs: dict = field(default_factory=dict)  # the same; libtorch refuses them
    weights: str | None = None  # where libtorch does not load them: "packaged", "given"


class Add(torch.nn.Module):
    def forward(self, x, y):
        return x * y + y


def add():
    return Case(Add(), (torch.randn(8, 64), torch.randn(8, 64)))


def mlp():
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.GELU(), torch.nn.Linear(32, 10))
    return Case(model, (torch.randn(8, 64),), dynamic_shapes=({0: Dim("batch", min=1, max=64)},))


def blob():
    case = mlp()
    case.configs |= {
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.package_constants_on_disk_format": "binary_blob",
    }
    return case


def pickle():
    case = mlp()
    case.configs |= {
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.package_constants_on_disk_format": "pickle_weights",
    }
    case.weights = "packaged"
    return case


def external():
    case = mlp()
    case.configs |= {"aot_inductor.package_constants_in_so": False}
    case.weights = "given"
    return case


def appended():
    case = mlp()
    case.configs |= {"aot_inductor.force_mmap_weights": True}
    return case


class Folded(torch.nn.Module):
    """Computes with weights that are computed of weights alone."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.randn(4, 16))
        self.register_buffer("shift", torch.arange(16.0))

    def forward(self, x):
        return x * torch.exp(self.scale).sum(0) + self.shift


def folded():
    return Case(
        Folded(),
        (torch.randn(4, 16),),
        configs=PORTABLE | {"aot_inductor.use_runtime_constant_folding": True},
    )


class Shared(torch.nn.Module):
    """Two inputs of the same dynamic sizes; outputs that are an input and a view of one."""

    def forward(self, x, y, *, scale):
        return {"a": x + y * scale, "b": (x.t().contiguous(), y[:, 0], x)}


def shared():
    rows, columns = Dim("rows", min=2, max=64), Dim("columns", min=2, max=128)
    sizes = {0: rows, 1: columns}
    return Case(
        Shared(),
        (torch.randn(6, 9), torch.randn(6, 9)),
        {"scale": torch.tensor(0.5)},
        {"x": sizes, "y": sizes, "scale": None},
    )


class Multi(torch.nn.Module):
    def forward(self, pair, *, opts):
        a, b = pair
        return [a + opts["k"], {"difference": b - opts["m"][0]}], a * b


def multi():
    a, b, c, d = (torch.randn(3, 4) for _ in range(4))
    return Case(Multi(), ((a, b),), {"opts": {"k": c, "m": [d]}})


class Conv(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1, stride=2)
        self.grouped = torch.nn.Conv2d(8, 8, 3, groups=8)
        self.transposed = torch.nn.ConvTranspose2d(8, 4, 2, stride=2)

    def forward(self, x):
        return self.transposed(self.grouped(torch.relu(self.first(x))))


def conv():
    return Case(
        Conv(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=({0: Dim("batch", min=1, max=8)},)
    )


class Matmuls(torch.nn.Module):
    def forward(self, a, b, c, d, e, f):
        return (
            torch.mm(a, b),
            torch.addmm(c, a, b, beta=0.5, alpha=2.0),
            torch.bmm(d, e),
            torch.baddbmm(f, d, e, beta=0.25, alpha=3.0),
        )


def matmuls(dtype=torch.float32):
    rows, batch = Dim("rows", min=2, max=64), Dim("batch", min=2, max=16)
    shapes = [(5, 12), (12, 7), (5, 7), (3, 4, 6), (3, 6, 8), (3, 4, 8)]
    return Case(
        Matmuls(),
        tuple(torch.randn(shape, dtype=dtype) for shape in shapes),
        dynamic_shapes=({0: rows}, None, {0: rows}, {0: batch}, {0: batch}, {0: batch}),
    )


def matmuls64():
    return matmuls(torch.float64)


class Threads(torch.nn.Module):
    """Enough elements for a parallel loop, and a reduction with an accumulator per thread."""

    def forward(self, x):
        return (x * 2 + 1).sum(), torch.relu(x) - 0.5


def threads2():
    return Case(
        Threads(), (torch.randn(256, 256),), configs={"cpp.simdlen": 256, "cpp.threads": 2}
    )


def threads_all():
    return Case(Threads(), (torch.randn(256, 256),), configs={"cpp.simdlen": 256})


class Dtypes(torch.nn.Module):
    def forward(self, *inputs):
        return [torch.logical_not(x) if x.dtype == torch.bool else x + 1 for x in inputs]


def dtypes():
    floats = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
    integers = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64]
    inputs = [torch.randn(4, 6).to(dtype) for dtype in floats]
    inputs += [torch.randint(0, 127, (4, 6)).to(dtype) for dtype in integers]
    return Case(Dtypes(), (*inputs, torch.randn(4, 6) > 0))


class Empty(torch.nn.Module):
    def forward(self, x):
        return x * 2, x.sum(0)


def empty():
    three = torch.randn(3, 4)
    return Case(
        Empty(),
        (three,),
        dynamic_shapes=({0: Dim("n", min=0, max=16)},),
        more_inputs={"": ((torch.empty(0, 4),), {}), ".n3": ((three,), {})},
    )


class Late(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 8, bias=False)

    def forward(self, x, y):
        return torch.relu(self.linear(x)) + y


def late():
    rows = Dim("b", max=512)
    return Case(Late(), (torch.randn(5, 8), torch.randn(5, 8)), dynamic_shapes=({0: rows}, {0: rows}))


class Narrow(torch.nn.Module):
    def forward(self, a, x, y):
        return a * 2, x + y


def narrow():
    rows = Dim("b", min=2, max=3)
    return Case(
        Narrow(),
        (torch.randn(5, 8), torch.randn(3, 8), torch.randn(3, 8)),
        dynamic_shapes=({0: Dim("a", max=64)}, {0: rows}, {0: rows}),
    )


class Pair(torch.nn.Module):
    def forward(self, x, y):
        return x + y


def one_or_two():
    rows = Dim("b", min=1, max=2)
    return Case(Pair(), (torch.randn(2, 8), torch.randn(2, 8)), dynamic_shapes=({0: rows}, {0: rows}))


class TwoRows(torch.nn.Module):
    """Takes rows that a batch of one does not have, from inputs and from what it computes."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 8, bias=False)

    def forward(self, x, y):
        between = self.linear(x)
        y.add_(1)
        return x[1] * 3, x[-2] - 1, between[1] * 2, between[-2] * 2, y


def two_rows():
    rows = Dim("b", max=64)
    return Case(TwoRows(), (torch.randn(3, 8), torch.randn(3, 8)), dynamic_shapes=({0: rows}, {0: rows}))


class Past(torch.nn.Module):
    """A mask that is one longer than what it masks."""

    def forward(self, x, mask):
        return x.sum(0) + mask.sum()


def past():
    rows = Dim("b", min=1, max=64)
    x, mask = torch.randn(4, 8), torch.randn(5)
    return Case(
        Past(), (x, mask), dynamic_shapes=({0: rows}, {0: rows + 1}),
        more_inputs={"": ((x, mask), {}), ".one": ((x[:1], mask[:2]), {})},
    )


class Square(torch.nn.Module):
    def forward(self, x, mask):
        return x.sum(0) + mask.sum(0) + mask.sum(1)


def square():
    rows, columns = Dim("rows"), Dim("columns")
    return Case(
        Square(),
        (torch.randn(3, 8), torch.randn(8, 8)),
        dynamic_shapes=({0: rows, 1: columns}, {0: columns, 1: columns}),
    )


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(4))

    def forward(self, x):
        self.count.add_(1)
        return x + self.count


def counter():
    return Case(Counter(), (torch.zeros(4),))


class AddOne(torch.nn.Module):
    def forward(self, x):
        return x + 1


class TimesThree(torch.nn.Module):
    def forward(self, x):
        return x * 3


def strided():
    return Case(AddOne(), (torch.randn(6, 5).t(),))


class WeightsOut(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 8))
        self.register_buffer("buf", torch.arange(8, dtype=torch.int64))

    def forward(self, x):
        return self.weight, x + self.weight, self.buf


def weights_out():
    return Case(WeightsOut(), (torch.randn(4, 8),))


class Inplace(torch.nn.Module):
    def forward(self, x):
        x.add_(1)
        return x * 2


def inplace():
    return Case(Inplace(), (torch.randn(4, 8),))


class MissingOps(torch.nn.Module):
    def forward(self, x):
        top = torch.topk(x, 3, dim=-1)
        order = torch.sort(x, dim=0, stable=True)
        return torch.cumsum(x, 1), top.values, top.indices, order.values, torch.nonzero(x > 0)


def missing_ops():
    return Case(MissingOps(), (torch.randn(6, 10),))


class UnsupportedOps(torch.nn.Module):
    """Factorizations, which Penstock does not answer."""

    def forward(self, x, y):
        packed, scales = torch.geqrf(x)
        return torch.ormqr(packed, scales, y), torch.cholesky_inverse(x), torch.cholesky_solve(y, x)


def unsupported_ops():
    return Case(UnsupportedOps(), (torch.eye(6) + 0.1 * torch.rand(6, 6), torch.randn(6, 6)))


class Selection(torch.nn.Module):
    """Results whose sizes depend on values, and what is done with them."""

    def forward(self, x, mask):
        chosen = torch.masked_select(x, mask)
        rows = x[torch.nonzero(mask[:, 0]).squeeze(1)]
        return chosen * 2, chosen.sum(), rows + 1, torch.where(mask)[1].to(torch.float64)


def selection():
    return Case(
        Selection(),
        (torch.randn(6, 10), torch.randn(6, 10) > 0),
        dynamic_shapes=({0: (rows := Dim("rows", min=2, max=64))}, {0: rows}),
    )


class Placement(torch.nn.Module):
    """Elements put at places that other inputs name."""

    def forward(self, x, places, source):
        put = torch.index_put(x, (places,), source, accumulate=True)
        columns = places.unsqueeze(1).expand(-1, x.shape[1])
        reduced = [x.scatter_reduce(0, columns, source, kind) for kind in ("sum", "mean", "amax", "prod")]
        x.index_put_((places,), source)
        return put, *reduced, x.scatter(0, columns, source), x * 2


def placement():
    return Case(
        Placement(),
        (torch.randn(7, 5), torch.tensor([6, 0, 6, 3]), torch.randn(4, 5)),
        bad_inputs={".bad": ((torch.randn(7, 5), torch.tensor([6, 7, 6, 3]), torch.randn(4, 5)), {})},
    )


def narrowed():
    """A convolution of small images: the compiler takes its batch to be below 16, since the example's is."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2))
    return Case(model, (torch.randn(2, 3, 16, 16),), dynamic_shapes=({0: Dim("batch", min=1, max=64)},),
                more_inputs={"": ((torch.randn(2, 3, 16, 16),), {}), ".n40": ((torch.randn(40, 3, 16, 16),), {})})


class Paired(torch.nn.Module):
    def forward(self, x):
        return x.view(x.shape[0], -1, 2).sum(-1)


def paired():
    """A size that is a multiple of a symbol which is no size itself: the rounds cannot tell what follows from what."""
    return Case(Paired(), (torch.randn(4, 8),),
                dynamic_shapes=({0: Dim("batch", min=1, max=64), 1: 2 * Dim("pairs", min=2, max=50)},))


Scaled = collections.namedtuple("Scaled", "twice half")
torch.utils._pytree._register_namedtuple(Scaled, serialized_type_name="penstock.tests.Scaled")


class Nested(torch.nn.Module):
    """A call of all kinds of containers, with leaves that are no tensors going in and coming out."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x, features, count, *, bias=None, scale=2.0, training=False):
        u, (v,) = features["u"], features["v"]
        made = collections.OrderedDict(y=self.linear(x) * scale + bias)
        made["pair"] = (u + v, None)
        made["scaled"] = Scaled(x * 2, x / 2)
        made["list"] = [x.sum()]
        return made, count


def nested():
    features = {"u": torch.randn(3), "v": [torch.randn(3)]}
    return Case(Nested(), (torch.randn(2, 4), features, 7), {"bias": torch.randn(4), "scale": 3.0, "training": False})


class Fails(torch.nn.Module):
    """Work, then a look-up that checks its index, then more work."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(8, 8)
        self.last = torch.nn.Linear(8, 4)

    def forward(self, x, index):
        return self.last(torch.relu(self.first(x))[index])


def fails():
    x = torch.randn(6, 8)
    return Case(
        Fails(),
        (x, torch.tensor([0, 5, 2])),
        bad_inputs={".bad": ((x, torch.tensor([0, 6, 2])), {})},
    )


def native():
    return Case(Add(), (torch.randn(8, 64), torch.randn(8, 64)), configs={}, march=None)


def compile_settings(case):
    """The inductor settings of a case. Up to 2.11 -march=native is fixed in torch's code."""
    configs = dict(case.configs)
    if hasattr(inductor_config.cpp, "march"):
        configs["cpp.march"] = case.march
    else:
        stock = compile_settings.stock_flags
        march = case.march or "native"

        def flags(*args, **kwargs):
            compile_flags, link_flags = stock(*args, **kwargs)
            swapped = [f"march={march}" if f == "march=native" else f for f in compile_flags]
            return swapped, link_flags

        cpp_builder._get_optimization_cflags = flags
    return configs


compile_settings.stock_flags = cpp_builder._get_optimization_cflags


def export_case(case):
    args, kwargs = tree_map_only(torch.Tensor, clone, (case.args, case.kwargs))
    return export(case.model.eval(), args, kwargs, dynamic_shapes=case.dynamic_shapes)


def clone(tensor):
    """A copy of the same strides; the run may change the original."""
    return tensor.clone(memory_format=torch.preserve_format)


def save(path, prefix, tensors):
    stored, metadata = {}, {}
    for i, tensor in enumerate(tensors):
        if tensor is None:
            continue
        name = f"{prefix}{i}"
        stored[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
        if not tensor.is_contiguous():
            metadata[name + ".strides"] = ",".join(map(str, tensor.stride()))
    safetensors.torch.save_file(stored, path, metadata or None)


def save_run(stem, model, args, kwargs, outputs_stem=None):
    """Writes the inputs and what libtorch makes of them."""
    inputs = tree_map_only(torch.Tensor, clone, (args, kwargs))
    # The library has no inputs for what is no tensor, but an output for every leaf.
    save(stem + ".inputs.safetensors", "arg", [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, torch.Tensor)])
    outputs = tree_leaves(model(*args, **kwargs))
    save((outputs_stem or stem) + ".outputs.safetensors", "out", outputs)


def load_case(path, case):
    """The package as libtorch runs it; weights that it does not have go beside it."""
    if case.weights == "packaged":
        contents = torch.export.pt2_archive._package.load_pt2(path, load_weights_from_disk=True)
        return contents.aoti_runners["model"]
    model = torch._inductor.aoti_load_package(path)
    if case.weights == "given":
        weights = {name: tensor.detach() for name, tensor in case.model.state_dict().items()}
        model.load_constants(weights, check_full_update=True)
        safetensors.torch.save_file(weights, path.removesuffix(".pt2") + ".weights.safetensors")
    return model


def make_case(out, name, case):
    path = os.path.join(out, name + ".pt2")
    torch._inductor.aoti_compile_and_package(
        export_case(case), package_path=path, inductor_configs=compile_settings(case)
    )
    model = load_case(path, case)
    runs = case.more_inputs or {"": (case.args, case.kwargs)}
    for suffix, (args, kwargs) in runs.items():
        save_run(os.path.join(out, name + suffix), model, args, kwargs)
    for suffix, (args, kwargs) in case.bad_inputs.items():
        stem = os.path.join(out, name + suffix)
        save(stem + ".inputs.safetensors", "arg", tree_leaves((args, kwargs)))
        try:
            model(*args, **kwargs)
        except RuntimeError as error:
            print(f"{name}{suffix} is refused: {str(error).splitlines()[0]}")
        else:
            raise SystemExit(f"{name}{suffix}: libtorch did not refuse the bad inputs")


def make_two_models(out):
    """Two models in one package, whose top folder is not called as the file."""
    x = torch.randn(4, 8)
    files = {}
    for name, model in (("first", AddOne()), ("second", TimesThree())):
        case = Case(model, (x,))
        options = compile_settings(case) | {"aot_inductor.package": True}
        files[name] = torch._inductor.aot_compile(
            export_case(case).module(), case.args, options=options
        )
    packed = os.path.join(scratch, "pair.pt2")
    torch._inductor.package.package_aoti(packed, files)
    path = os.path.join(out, "two_models.pt2")
    shutil.move(packed, path)
    for name in files:
        model = torch._inductor.package.load_package(path, model_name=name)
        stem = os.path.join(out, "two_models")
        save_run(stem, model, (x,), {}, outputs_stem=f"{stem}.{name}")


def copy_of_add(out, name, change):
    """Writes NAME.pt2, with each (entry name, data) of add.pt2 passed through change."""
    source = os.path.join(out, "add.pt2")
    if not os.path.exists(source):
        make("add", out)
    target = os.path.join(out, name + ".pt2")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            entry_name, data = change(entry.filename, old.read(entry))
            new.writestr(zipfile.ZipInfo(entry_name), data)
    for part in ("inputs", "outputs"):
        shutil.copy(
            os.path.join(out, f"add.{part}.safetensors"),
            os.path.join(out, f"{name}.{part}.safetensors"),
        )


def make_other_root(out):
    copy_of_add(
        out, "other_root", lambda name, data: ("elsewhere/" + name.partition("/")[2], data)
    )


def make_cuda_meta(out):
    def change(name, data):
        if name.endswith("_metadata.json"):
            metadata = json.loads(data)
            metadata |= {"AOTI_DEVICE_KEY": "cuda", "AOTI_COMPUTE_CAPABILITY": "90"}
            data = json.dumps(metadata).encode()
        return name, data

    copy_of_add(out, "cuda_meta", change)


CASES = [
    add, mlp, shared, multi, conv, matmuls, matmuls64, threads2, threads_all, dtypes, empty,
    strided, weights_out, inplace, missing_ops, fails, native,
    unsupported_ops, selection, placement,
]
if VERSION < (2, 13):
    CASES += [square]
if VERSION >= (2, 15):
    CASES += [blob, pickle, external, appended, folded, late, narrow, one_or_two, counter, two_rows, past, nested, narrowed, paired]
MAKERS = {case.__name__: case for case in CASES}
SPECIAL = {
    "two_models": make_two_models,
    "other_root": make_other_root,
    "cuda_meta": make_cuda_meta,
}


def make(name, out):
    print("making", name, flush=True)
    torch.manual_seed(0)
    if name in SPECIAL:
        SPECIAL[name](out)
    else:
        make_case(out, name, MAKERS[name]())


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
        with torch.no_grad():
            for name in names:
                make(name, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
