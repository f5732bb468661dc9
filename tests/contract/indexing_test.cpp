#include "contract/operator_call.hpp"
#include "shim/results.hpp"

namespace penstock::contract {
namespace {

/// Index tensors as generated operators take them.
struct Indices {
  explicit Indices(OperatorCase& one) : handles(one.list("indices")) {
    for (const Handle& handle : handles) pointers.push_back(handle != nullptr ? &handle : nullptr);
  }
  std::vector<Handle> handles;
  std::vector<const Handle*> pointers;
};

AOTITorchError run_index(OperatorCase& one) {
  Indices indices(one);
  return call<Handle, const Handle**, Int, Handle*>("aoti_torch_cpu_index_Tensor", one.tensor("self"),
                                                    indices.pointers.data(),
                                                    static_cast<Int>(indices.pointers.size()), one.result());
}

AOTITorchError run_index_put(OperatorCase& one) {
  Indices indices(one);
  return call<Handle, const Handle**, Int, Handle, Flag, Handle*>(
      "aoti_torch_cpu_index_put", one.tensor("self"), indices.pointers.data(),
      static_cast<Int>(indices.pointers.size()), one.tensor("values"), flag(one, "accumulate"), one.result());
}

/// A clone of self, which the function changes.
Handle changed(OperatorCase& one, Handle self) {
  Handle made = nullptr;
  EXPECT_EQ(penstock_clone(self, &made), 0);
  one.add_result(tensor::TensorObjectPtr(made));
  return made;
}

AOTITorchError run_index_put_in_place(OperatorCase& one) {
  Indices indices(one);
  const Handle self = changed(one, one.tensor("self"));
  return call<Handle, Handle, const Handle*, const std::uint32_t, const Handle, bool>(
      "aoti_torch_index_put_out", self, self, indices.handles.data(),
      static_cast<std::uint32_t>(indices.handles.size()), one.tensor("values"), flag(one, "accumulate") != 0);
}

/// An out of its own, row-major, as torch's scatter gives one.
Handle other_out(OperatorCase& one, Handle self) {
  one.add_result(machine().place(shim::make_result(self->dtype, self->sizes())));
  return one.last_result();
}

Call scatter_of(const std::string& name) {
  return [name](OperatorCase& one) {
    const Handle self = one.tensor("self");
    return call<Handle, Handle, Int, Handle, Handle>(name, other_out(one, self), self, number(one, "dim"),
                                                     one.tensor("index"), one.tensor("src"));
  };
}

AOTITorchError run_scatter_value(OperatorCase& one) {
  const Handle self = one.tensor("self");
  return call<Handle, Handle, Int, Handle, double>("aoti_torch_cpu_scatter_value_out", other_out(one, self),
                                                   self, number(one, "dim"), one.tensor("index"),
                                                   one.json().at("value").get<double>());
}

Call scatter_reduce_of(const std::string& name) {
  return [name](OperatorCase& one) {
    const Handle self = one.tensor("self");
    const auto kind = one.json().at("reduce").get<std::string>();
    return call<Handle, Handle, Int, Handle, Handle, const char*, Flag>(
        name, other_out(one, self), self, number(one, "dim"), one.tensor("index"), one.tensor("src"),
        kind.c_str(), flag(one, "include_self"));
  };
}

AOTITorchError run_index_reduce(OperatorCase& one) {
  const auto kind = one.json().at("reduce").get<std::string>();
  return call<Handle, Int, Handle, Handle, const char*, Flag, Handle*>(
      "aoti_torch_cpu_index_reduce", one.tensor("self"), number(one, "dim"), one.tensor("index"),
      one.tensor("source"), kind.c_str(), flag(one, "include_self"), one.result());
}

AOTITorchError run_cat(OperatorCase& one) {
  const std::vector<Handle> tensors = one.list("tensors");
  return call<const Handle*, Int, Int, Handle*>("aoti_torch_cpu_cat", tensors.data(),
                                                static_cast<Int>(tensors.size()), number(one, "dim"),
                                                one.result());
}

AOTITorchError run_copy(OperatorCase& one) {
  const DType dtype = dtype_from_name(one.json().at("dtype").get<std::string>()).value();
  one.add_result(machine().place(shim::make_result(dtype, one.json().at("sizes").get<std::vector<Int>>())));
  return call<Handle, Handle, Flag>("aoti_torch_copy_", one.last_result(), one.tensor("src"), Flag{0});
}

AOTITorchError run_clone(OperatorCase& one) {
  return call<Handle, Handle*>("aoti_torch_clone", one.tensor("self"), one.result());
}

std::map<std::string, Call> calls() {
  return {
      {"index", run_index},
      {"index_put", run_index_put},
      {"scatter", scatter_of("aoti_torch_cpu_scatter_src_out")},
      {"scatter_value", run_scatter_value},
      {"scatter_reduce", scatter_reduce_of("aoti_torch_cpu_scatter_reduce_two_out")},
      {"index_reduce", run_index_reduce},
      {"cat", run_cat},
      {"copy", run_copy},
      {"clone", run_clone},
  };
}

TEST(IndexingContract, AnswersAsLibtorch) { run_recording("indexing", calls()); }

TEST(IndexingContract, AnswersAsLibtorchThroughTheOlderNames) {
  std::map<std::string, Call> others = calls();
  others["index_put"] = run_index_put_in_place;
  others["scatter"] = scatter_of("aoti_torch_scatter_out");
  others["scatter_reduce"] = scatter_reduce_of("aoti_torch_scatter_reduce_out");
  run_recording("indexing", others);
}

}  // namespace
}  // namespace penstock::contract
