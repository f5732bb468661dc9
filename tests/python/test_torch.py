"""Beside torch, in one process. `./dev torch-env` brings torch; without it these are skipped."""

import collections
import copy
import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

import penstock

torch = pytest.importorskip("torch", reason="torch is not here: ./dev torch-env")


Scaled = collections.namedtuple("Scaled", "twice half")


def tensors():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(8, 64, generator=generator) for _ in range(2))


@pytest.mark.parametrize("first, second", [("torch", "penstock"), ("penstock", "torch")])
def test_imported_in_either_order_both_give_the_same(package, first, second):
    code = f"""
import {first}, {second}
x, y = torch.randn(8, 64), torch.randn(8, 64)
ours = penstock.load({str(package("add"))!r})
theirs = torch._inductor.aoti_load_package({str(package("add"))!r})
assert torch.equal(ours(x, y).torch(), theirs(x, y))
assert torch.equal(theirs(x, y), ours.call_torch(x, y))
print("same")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "same\n", done.stderr


@pytest.mark.parametrize("name", ["add", "mlp", "conv", "matmuls", "dtypes", "shared", "multi"])
def test_packages_give_what_torch_gives(package, name):
    rows = penstock.verify(package(name))
    assert rows and all(row.ok for row in rows), rows


def test_verify_tells_of_a_difference(package, monkeypatch):
    from penstock import _verify

    monkeypatch.setitem(_verify._TOLERANCES, "float32", -1.0)
    rows = penstock.verify(package("add"))
    assert not any(row.ok for row in rows)


@pytest.mark.parametrize("dtype, near, far", [
    (torch.complex64, 1e-7, 1e-2), (torch.complex128, 1e-14, 1e-6), (torch.float8_e4m3fn, 0.1, 0.5),
    (torch.float8_e5m2, 0.2, 1.0), (torch.float32, 1e-6, 1e-2), (torch.bfloat16, 1e-2, 0.5),
])
def test_verify_allows_rounding_of_every_kind_of_float(dtype, near, far):
    from penstock import _verify

    one = torch.ones(4, 4, dtype=torch.complex128 if dtype.is_complex else torch.float64)
    assert _verify._compare("out0", (one * (1 + near)).to(dtype), one.to(dtype), torch).ok
    assert not _verify._compare("out0", (one * (1 + far)).to(dtype), one.to(dtype), torch).ok
    # No rounding for whole numbers.
    assert not _verify._compare("out0", torch.ones(2, dtype=torch.int64), torch.tensor([1, 2]), torch).ok


def test_the_command_verify_prints_differences(package, tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "penstock", "verify", *map(str, arguments)], capture_output=True,
                              text=True, timeout=120)

    done = run(package("add"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("out0     float32[8, 64]           ok  differs by 0"), done.stdout
    program = "from penstock import _verify; _verify._TOLERANCES['float32'] = -1.0; raise SystemExit(_verify.main())"
    differs = subprocess.run([sys.executable, "-c", program, package("add")], capture_output=True, text=True, timeout=120)
    assert differs.returncode == 1, differs.stderr
    assert differs.stdout.startswith("out0     float32[8, 64]           NO  differs by 0, of -1 allowed"), differs.stdout
    np.savez(tmp_path / "in.npz", arg0=np.ones((8, 64), "f4"), arg1=np.ones((8, 64), "f4"))
    assert run(package("add"), "--inputs", tmp_path / "in.npz").returncode == 0
    np.savez(tmp_path / "bad.npz", arg0=np.ones((8, 64), "f4"), other=np.ones((8, 64), "f4"))
    bad = run(package("add"), "--inputs", tmp_path / "bad.npz")
    assert bad.returncode == 2 and "has no arg1" in bad.stderr
    missing = run(tmp_path / "no.pt2")
    assert missing.returncode == 2 and "no.pt2" in missing.stderr


class TestTensors:
    def test_go_in_and_out_without_a_copy(self, add):
        x, y = tensors()
        made = add(x, y)
        as_torch = made.torch()
        assert as_torch.data_ptr() == made.data_ptr
        assert torch.from_dlpack(made).data_ptr() == made.data_ptr
        assert torch.equal(as_torch, x * y + y)
        out = torch.empty_like(x)
        assert add(x, y, out=out) is out and torch.equal(out, as_torch)
        del made
        assert torch.equal(as_torch, out)

    def test_that_require_grad_are_refused(self, add):
        x, y = tensors()
        with pytest.raises(penstock.InvalidArgumentError, match=r"args\[0\]: it requires grad.*\.detach\(\)"):
            add(x.requires_grad_(), y)

    def test_whose_memory_has_another_sign_are_refused(self, add):
        x, y = tensors()
        negated = torch.complex(y, y).conj().imag
        assert negated.is_neg()
        with pytest.raises(penstock.InvalidArgumentError, match=r"args\[0\]: it is negated.*\.resolve_neg\(\)"):
            add(negated, y)
        conjugated = torch.complex(x, y).conj()
        with pytest.raises(penstock.InvalidArgumentError, match=r"it is conjugated.*\.resolve_conj\(\)"):
            penstock.Tensor(conjugated)
        resolved = penstock.Tensor(conjugated.resolve_conj())
        np.testing.assert_array_equal(np.asarray(resolved), conjugated.numpy(force=True))
        negated = negated.resolve_neg().contiguous()
        assert torch.equal(add(negated, y).torch(), negated * y + y)

    def test_of_other_kinds_are_refused(self, add):
        x, y = tensors()
        with pytest.raises(penstock.InvalidArgumentError, match="float64, not float32"):
            add(x.double(), y)
        with pytest.raises((penstock.Error, RuntimeError, BufferError, TypeError)):
            add(x.to_sparse(), y)
        with pytest.raises((penstock.Error, RuntimeError, BufferError, TypeError, ValueError)):
            add(x.to("meta"), y)
        assert torch.equal(add(x, y).torch(), x * y + y)

    def test_of_bfloat16(self, package):
        model = penstock.load(package("dtypes"))
        inputs = [torch.ones([dim.min for dim in spec.dims], dtype=getattr(torch, str(spec.dtype)))
                  for spec in model.inputs]
        made = model(*inputs)
        flat = [one for one in made if str(one.dtype) == "bfloat16"]
        assert flat and flat[0].torch().dtype == torch.bfloat16
        with pytest.raises(BufferError, match=r"take \.torch\(\)"):
            memoryview(flat[0])

    def test_references_stay_flat(self, add):
        x, y = tensors()
        before = sys.getrefcount(x)
        for _ in range(10000):
            add.call_torch(x, y)
        assert sys.getrefcount(x) == before


class TestPackageOfTorch:
    """`penstock.aoti_load_package` in place of `torch._inductor.aoti_load_package`."""

    def test_takes_and_gives_the_same(self, package):
        path = str(package("nested", "2.15-calls"))
        torch.utils._pytree._register_namedtuple(Scaled, serialized_type_name="penstock.tests.Scaled")
        penstock.register_namedtuple(Scaled, "penstock.tests.Scaled")
        theirs = torch._inductor.aoti_load_package(path)
        ours = penstock.aoti_load_package(path, run_single_threaded=True, num_runners=2)
        torch.manual_seed(0)
        features = {"u": torch.randn(3), "v": [torch.randn(3)]}
        args = (torch.randn(2, 4), features, 7)
        kwargs = {"bias": torch.randn(4), "training": False, "scale": 3.0}
        mine, theirs_made = ours(*args, **kwargs), theirs(*args, **kwargs)
        assert torch.utils._pytree.tree_structure(mine[0]["pair"]) == \
            torch.utils._pytree.tree_structure(theirs_made[0]["pair"])
        for one, other in zip(torch.utils._pytree.tree_leaves(mine), torch.utils._pytree.tree_leaves(theirs_made)):
            assert one is other is None or torch.allclose(one, other)
        assert sorted(ours.get_constant_fqns()) == sorted(theirs.get_constant_fqns())
        assert ours.get_metadata() == theirs.get_metadata()
        assert ours.loader.get_call_spec() == theirs.loader.get_call_spec()

    def test_loads_constants(self, package):
        theirs = torch._inductor.aoti_load_package(str(package("mlp")))
        ours = penstock.aoti_load_package(package("mlp"))
        x = torch.randn(4, ours.loader.model.inputs[0].dims[1].min)
        new = {name: torch.randn(constant.shape) for name, constant in
               ((constant.name, constant) for constant in ours.loader.model.constants)}
        for model in (ours, theirs):
            model.load_constants(new, check_full_update=True)
        assert torch.allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
        with pytest.raises(penstock.InvalidArgumentError):
            ours.load_constants({}, check_full_update=True)

    def test_runs_flat_lists(self, package):
        ours = penstock.aoti_load_package(package("add"))
        x, y = tensors()
        inputs = [x, y]
        assert torch.equal(ours.loader.boxed_run(inputs)[0], x * y + y) and inputs == []
        assert torch.equal(ours.loader.run([x, y])[0], x * y + y)

    def test_opens_files_and_folders(self, package, tmp_path):
        x, y = tensors()
        for index in (-1, 0):
            with open(package("add"), "rb") as file:
                assert torch.equal(penstock.aoti_load_package(file, device_index=index)(x, y), x * y + y)
        assert [model.name for model in penstock.Package(package("add").read_bytes()).models] == ["model"]
        with pytest.raises(TypeError, match="a path or the bytes of a file, and no int"):
            penstock.Package(3)

    def test_takes_tensors_that_require_grad(self, package):
        theirs = torch._inductor.aoti_load_package(str(package("add")))
        ours = penstock.aoti_load_package(package("add"))
        x, y = (tensor.requires_grad_() for tensor in tensors())
        assert torch.equal(ours(x, y), theirs(x, y)) and not ours(x, y).requires_grad
        assert torch.equal(ours.loader.run([x, y])[0], theirs.loader.run([x, y])[0])
        with torch.no_grad():
            assert torch.equal(ours.loader.boxed_run([x, y])[0], theirs(x, y))

    def test_has_the_functions_of_torchs_loader(self, package):
        theirs = torch._inductor.aoti_load_package(str(package("mlp"))).loader
        ours = penstock.aoti_load_package(package("mlp")).loader
        assert {name for name in dir(theirs) if not name.startswith("_")} <= set(dir(ours))
        assert ours.load_metadata_from_package(str(package("mlp")), "model") == \
            theirs.load_metadata_from_package(str(package("mlp")), "model")
        with pytest.raises(penstock.NotFoundError, match="no_such"):
            ours.load_metadata_from_package(str(package("mlp")), "no_such")
        new = {constant.name: torch.zeros(constant.shape) for constant in ours.model.constants}
        x = torch.randn(4, ours.model.inputs[0].dims[1].min)
        ours.update_constant_buffer(new, False, True)
        theirs.load_constants(new, False, True)
        assert torch.equal(ours.run([x])[0], theirs.run([x])[0])

    def test_has_custom_objects(self, package):
        from test_objects import registry

        compiled = penstock.aoti_load_package(package("object_methods", "2.15-objects"), registry=registry())
        (found,) = compiled.loader.get_custom_objs().values()
        assert (found.x, found.y) == (2, 5)


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    """A package whose call has the containers that are seldom: of a defaultdict and a deque to the same."""
    class Containers(torch.nn.Module):
        def forward(self, table, items):
            made = collections.defaultdict(list)
            made["sum"] = table["x"] + items[0]
            return made, collections.deque([table["x"] * items[1]], maxlen=3)

    x, y, z = torch.randn(3, 4, 8)
    table = collections.defaultdict(list, {"x": x})
    (path,) = penstock.export(Containers(), (table, collections.deque([y, z])),
                              path=tmp_path_factory.mktemp("packages") / "containers.pt2")
    return path


class TestContainers:
    def test_are_given_as_the_model_built_them(self, containers):
        x, y, z = torch.randn(3, 4, 8)
        model = penstock.load(containers)
        made, items = model.call_torch(collections.defaultdict(list, x=x), collections.deque([y, z]))
        assert type(made) is collections.defaultdict and made.default_factory is list and list(made) == ["sum"]
        assert type(items) is collections.deque and items.maxlen == 3
        assert torch.equal(made["sum"], x + y) and torch.allclose(items[0], x * z)

    def test_are_named_in_messages(self, containers):
        x, y, z = torch.randn(3, 4, 8)
        model = penstock.load(containers)
        with pytest.raises(penstock.InvalidArgumentError, match=r"float64.*args\[1\]\[1\]"):
            model(collections.defaultdict(list, x=x), collections.deque([y, z.double()]))
        with pytest.raises(TypeError, match=r"args\[1\] is a list, and the model was exported with a deque of 2 there"):
            model(collections.defaultdict(list, x=x), [y, z])
        with pytest.raises(TypeError, match=r"args\[0\] lacks the key 'x'"):
            model(collections.defaultdict(list, y=x), collections.deque([y, z]))

    def test_are_taken_without_grad(self, containers):
        x, y, z = torch.randn(3, 4, 8)
        module = penstock.nn.Module(containers)
        table, items = collections.defaultdict(list, x=x.requires_grad_()), collections.deque([y, z.requires_grad_()])
        with pytest.raises(penstock.InvalidArgumentError, match="requires grad"):
            module(table, items)
        with torch.no_grad():
            made, (product,) = module(table, items)
        assert torch.equal(made["sum"], x + y) and torch.allclose(product, x * z)
        assert not made["sum"].requires_grad and table["x"] is x


@dataclasses.dataclass
class Pair:
    first: torch.Tensor
    second: torch.Tensor


def test_a_call_of_unknown_containers_takes_flat_tensors(tmp_path):
    class Pairs(torch.nn.Module):
        def forward(self, x):
            return Pair(x + 1, x * 2)

    torch.export.register_dataclass(Pair, serialized_type_name="penstock.tests.Pair")
    (path,) = penstock.export(Pairs(), (torch.ones(4),), path=tmp_path / "pairs.pt2")
    model = penstock.load(path)
    assert [output.tolist() for output in model.call_flat([torch.ones(4)])] == [[2.0] * 4, [2.0] * 4]
    for call in (model, model.call_torch, model.session().run):
        with pytest.raises(penstock.UnsupportedError, match=r'"penstock.tests.Pair".*call_flat\(\)'):
            call(torch.ones(4))


class TestModule:
    def test_is_a_module(self, package):
        class Larger(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.before = torch.nn.Linear(64, 64)
                self.compiled = penstock.nn.Module(package("add"))

            def forward(self, x, y):
                return self.compiled(self.before(x), y)

        larger = Larger().eval()
        x, y = tensors()
        with torch.no_grad():
            expected = larger.before(x) * y + y
            assert torch.allclose(larger(x, y), expected)
        with pytest.raises(penstock.InvalidArgumentError, match="requires grad"):
            larger(x, y)
        assert "model='model', device='cpu'" in repr(larger)

    def test_takes_parameters_without_grad(self, package):
        module = penstock.nn.Module(penstock.load(package("add")))
        x, y = (torch.nn.Parameter(tensor) for tensor in tensors())
        with torch.inference_mode():
            assert torch.equal(module(x, y), x * y + y)

    def test_objects_are_found_in_a_tree(self, package):
        from test_objects import registry

        def part():
            return penstock.nn.Module(package("object_methods", "2.15-objects"), registry=registry())

        root = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sequential(part()), torch.nn.ModuleDict({"b": part()}))
        root.plain = penstock.load(package("object_methods", "2.15-objects"), registry=registry())
        root._hidden = penstock.load(package("object_methods", "2.15-objects"), registry=registry())
        found = penstock.custom_objects(root)
        assert sorted(found) == ["1.0._torchbind_obj0", "2.b._torchbind_obj0", "_hidden._torchbind_obj0",
                                 "plain._torchbind_obj0"]
        for handle in found.values():
            handle.get().x = 0
        assert {handle.get().x for handle in found.values()} == {0}


    def test_objects_are_found_in_an_exported_program(self, package):
        from test_objects import registry

        class Inner(torch.nn.Module):
            def forward(self, x):
                return x + 1

        program = torch.export.export(Inner(), (torch.ones(2),))
        assert penstock.custom_objects(program) == {}
        program.graph_module.compiled = penstock.nn.Module(package("object_methods", "2.15-objects"), registry=registry())
        program.constants["late"] = penstock.load(package("object_methods", "2.15-objects"), registry=registry())
        assert sorted(penstock.custom_objects(program)) == ["compiled._torchbind_obj0", "late._torchbind_obj0"]
        assert sorted(penstock.custom_objects({"p": program.graph_module})) == ["p.compiled._torchbind_obj0"]

    def test_is_copied_with_the_model_shared(self, package):
        module = torch.nn.Sequential(torch.nn.Linear(64, 64), penstock.nn.Module(package("add")))
        module[1].eval()
        module[1].note = ["a"]
        copied = copy.deepcopy(module)
        assert copied[1].model is module[1].model and copied[1] is not module[1]
        assert not copied[1].training and copied[1].note == ["a"] and copied[1].note is not module[1].note
        assert copied[0].weight is not module[0].weight
        x, y = tensors()
        with torch.no_grad():
            assert torch.equal(copied[1](x, y), x * y + y)
        assert copy.copy(module[1].model) is module[1].model


class TestExport:
    def test_makes_a_package_for_other_machines(self, tmp_path):
        module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
        x = torch.randn(4, 8)
        rows = torch.export.Dim("rows", min=1, max=64)
        def environment():  # torch itself names its cache there, the first time.
            return {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}

        before = environment()
        (path,) = penstock.export(module, (x,), path=tmp_path / "model.pt2", dynamic_shapes=({0: rows},))
        assert module.training and environment() == before
        model = penstock.load(path)
        for count in (1, 4, 9):
            given = torch.randn(count, 8)
            with torch.no_grad():
                assert torch.allclose(model(given).torch(), module(given), atol=1e-6)
        needs = penstock.Package(path).models[0].needs
        assert not any(name.startswith(("AVX512", "AMX")) for name in needs.instruction_sets)
        rows = penstock.verify(path)
        assert all(row.ok for row in rows)

    def test_leaves_the_module_as_it_was(self, tmp_path):
        module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout())
        module.train()
        module[1].eval()
        module[0].weight.grad = torch.ones(8, 8)
        parameters = [(name, parameter, parameter.data_ptr()) for name, parameter in module.named_parameters()]
        penstock.export(module, (torch.randn(4, 8),), path=tmp_path / "model.pt2")
        assert [part.training for part in module.modules()] == [True, True, False, True]
        for name, parameter, address in parameters:
            assert module.get_parameter(name) is parameter and parameter.data_ptr() == address
        with pytest.raises(Exception):
            penstock.export(module, (torch.randn(4, 9),), path=tmp_path / "model.pt2")
        assert [part.training for part in module.modules()] == [True, True, False, True]

    def test_says_what_is_wrong(self, tmp_path):
        with pytest.raises(TypeError, match="no torch.nn.Module"):
            penstock.export(lambda x: x, (), path=tmp_path / "a.pt2")
        with pytest.raises(penstock.InvalidArgumentError, match='ends in ".pt2"'):
            penstock.export(torch.nn.Identity(), (torch.ones(1),), path=tmp_path / "a.pt")
        with pytest.raises(penstock.InvalidArgumentError, match="devices is empty"):
            penstock.export(torch.nn.Identity(), (torch.ones(1),), path=tmp_path / "a.pt2", devices=())
