#include "contract/operator_call.hpp"

#include <optional>

namespace penstock::contract {
namespace {

std::vector<Int> numbers(const OperatorCase& one, const char* name) {
  return one.json().at(name).get<std::vector<Int>>();
}

/// An argument that may be absent.
std::optional<Int> maybe(const OperatorCase& one, const char* name) {
  if (one.json().at(name).is_null()) return std::nullopt;
  return number(one, name);
}

Call narrow_of(const std::string& name) {
  return [name](OperatorCase& one) {
    return call<Handle, Int, Int, Int, Handle*>(name, one.tensor("self"), number(one, "dim"),
                                                number(one, "start"), number(one, "length"), one.result());
  };
}

AOTITorchError run_slice(OperatorCase& one) {
  auto start = maybe(one, "start");
  auto end = maybe(one, "end");
  return call<Handle, Int, Int*, Int*, Int, Handle*>(
      "aoti_torch_cpu_slice_Tensor", one.tensor("self"), number(one, "dim"), start ? &*start : nullptr,
      end ? &*end : nullptr, number(one, "step"), one.result());
}

/// Functions of a tensor and a list of numbers.
Call list_of(const std::string& name, const char* argument) {
  return [name, argument](OperatorCase& one) {
    const std::vector<Int> list = numbers(one, argument);
    return call<Handle, const Int*, Int, Handle*>(name, one.tensor("self"), list.data(),
                                                  static_cast<Int>(list.size()), one.result());
  };
}

Call of_one(const std::string& name) {
  return [name](OperatorCase& one) { return call<Handle, Handle*>(name, one.tensor("self"), one.result()); };
}

AOTITorchError run_squeeze(OperatorCase& one) {
  return call<Handle, Int, Handle*>("aoti_torch_cpu_squeeze_dim", one.tensor("self"), number(one, "dim"),
                                    one.result());
}

std::optional<Flag> dtype_of(const OperatorCase& one) {
  if (!one.json().contains("dtype")) return std::nullopt;
  return static_cast<Flag>(dtype_from_name(one.json().at("dtype").get<std::string>()).value());
}

AOTITorchError run_view_dtype(OperatorCase& one) {
  return call<Handle, Flag, Handle*>("aoti_torch_cpu_view_dtype", one.tensor("self"), dtype_of(one).value(),
                                     one.result());
}

AOTITorchError run_full(OperatorCase& one) {
  const std::vector<Int> sizes = numbers(one, "sizes");
  auto dtype = dtype_of(one);
  return call<const Int*, Int, double, Flag*, Flag*, Flag*, Flag, Flag*, Handle*>(
      "aoti_torch_aten_full", sizes.data(), static_cast<Int>(sizes.size()),
      one.json().at("value").get<double>(), dtype ? &*dtype : nullptr, nullptr, nullptr, Flag{0}, nullptr,
      one.result());
}

AOTITorchError run_new_zeros(OperatorCase& one) {
  const std::vector<Int> sizes = numbers(one, "sizes");
  auto dtype = dtype_of(one);
  Flag cpu = 0;
  return call<Handle, const Int*, Int, Flag*, Flag*, Flag*, Flag, Flag*, Handle*>(
      "aoti_torch_aten_new_zeros", one.tensor("self"), sizes.data(), static_cast<Int>(sizes.size()),
      dtype ? &*dtype : nullptr, nullptr, &cpu, Flag{0}, nullptr, one.result());
}

Call fill_of(const std::string& name) {
  return [name](OperatorCase& one) {
    Handle made = nullptr;
    EXPECT_EQ(penstock_clone(one.tensor("self"), &made), 0);
    one.add_result(tensor::TensorObjectPtr(made));
    return call<Handle, double>(name, made, one.json().at("value").get<double>());
  };
}

std::map<std::string, Call> calls() {
  return {
      {"narrow", narrow_of("aoti_torch_cpu_narrow")},
      {"slice", run_slice},
      {"permute", list_of("aoti_torch_cpu_permute", "dims")},
      {"reshape", list_of("aoti_torch_cpu_reshape", "shape")},
      {"squeeze_dim", run_squeeze},
      {"view_dtype", run_view_dtype},
      {"view_as_real", of_one("aoti_torch_cpu_view_as_real")},
      {"view_as_complex", of_one("aoti_torch_cpu_view_as_complex")},
      {"full", run_full},
      {"new_zeros", run_new_zeros},
      {"fill", fill_of("aoti_torch_cpu_fill__Scalar")},
  };
}

TEST(ViewsContract, AnswersAsLibtorch) { run_recording("views", calls()); }

TEST(ViewsContract, AnswersAsLibtorchUnderOtherNames) {
  std::map<std::string, Call> others = calls();
  others["narrow"] = narrow_of("aoti_torch_aten_narrow");
  others["fill"] = fill_of("aoti_torch_aten_fill__Scalar");
  run_recording("views", others);
}

}  // namespace
}  // namespace penstock::contract
