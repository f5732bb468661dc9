#include "contract/operator_call.hpp"

#include <string>
#include <vector>

namespace penstock::contract {
namespace {

using Sizes = std::vector<Int>;

Sizes sizes(OperatorCase& one, const char* name) { return one.json().at(name).get<Sizes>(); }
Int length(const Sizes& values) { return static_cast<Int>(values.size()); }

AOTITorchError run_max(const std::string& name, OperatorCase& one) {
  const Sizes kernel = sizes(one, "kernel");
  const Sizes stride = sizes(one, "stride");
  const Sizes padding = sizes(one, "padding");
  const Sizes dilation = sizes(one, "dilation");
  Handle* const values = one.result();
  return call<Handle, const Int*, Int, const Int*, Int, const Int*, Int, const Int*, Int, Flag, Handle*,
              Handle*>(name, one.tensor("self"), kernel.data(), length(kernel), stride.data(), length(stride),
                       padding.data(), length(padding), dilation.data(), length(dilation),
                       flag(one, "ceil_mode"), values, one.result());
}

AOTITorchError run_average(const std::string& name, OperatorCase& one) {
  const Sizes kernel = sizes(one, "kernel");
  const Sizes stride = sizes(one, "stride");
  const Sizes padding = sizes(one, "padding");
  Int divisor = 0;
  Int* given = nullptr;
  if (const auto& number = one.json().at("divisor"); !number.is_null()) {
    divisor = number.get<Int>();
    given = &divisor;
  }
  return call<Handle, const Int*, Int, const Int*, Int, const Int*, Int, Flag, Flag, Int*, Handle*>(
      name, one.tensor("self"), kernel.data(), length(kernel), stride.data(), length(stride), padding.data(),
      length(padding), flag(one, "ceil_mode"), flag(one, "count_include_pad"), given, one.result());
}

AOTITorchError run_adaptive(const std::string& name, OperatorCase& one) {
  const Sizes size = sizes(one, "output_size");
  Handle* const values = one.result();
  if (name.find("avg") != std::string::npos) {
    return call<Handle, const Int*, Int, Handle*>(name, one.tensor("self"), size.data(), length(size),
                                                  values);
  }
  return call<Handle, const Int*, Int, Handle*, Handle*>(name, one.tensor("self"), size.data(), length(size),
                                                         values, one.result());
}

AOTITorchError run_pad(const std::string& name, OperatorCase& one) {
  const Sizes pad = sizes(one, "pad");
  const auto mode = one.json().at("mode").get<std::string>();
  double value = 0;
  double* given = nullptr;
  if (const auto& number = one.json().at("value"); !number.is_null()) {
    value = number.get<double>();
    given = &value;
  }
  return call<Handle, const Int*, Int, const char*, double*, Handle*>(
      name, one.tensor("self"), pad.data(), length(pad), mode.c_str(), given, one.result());
}

AOTITorchError run_unpool(const std::string& name, OperatorCase& one) {
  const Sizes size = sizes(one, "output_size");
  if (name.ends_with("2d")) {
    return call<Handle, Handle, const Int*, Int, Handle*>(name, one.tensor("self"), one.tensor("indices"),
                                                          size.data(), length(size), one.result());
  }
  const Sizes stride = sizes(one, "stride");
  const Sizes padding = sizes(one, "padding");
  return call<Handle, Handle, const Int*, Int, const Int*, Int, const Int*, Int, Handle*>(
      name, one.tensor("self"), one.tensor("indices"), size.data(), length(size), stride.data(),
      length(stride), padding.data(), length(padding), one.result());
}

AOTITorchError run(OperatorCase& one) {
  const auto op = one.json().at("op").get<std::string>();
  const std::string name = "aoti_torch_cpu_" + op;
  if (op == "pad") return run_pad(name, one);
  if (op.find("unpool") != std::string::npos) return run_unpool(name, one);
  if (op.find("adaptive") != std::string::npos) return run_adaptive(name, one);
  return op.find("max") != std::string::npos ? run_max(name, one) : run_average(name, one);
}

TEST(PoolingContract, AnswersAsLibtorch) {
  const OperatorRecording recording("pooling");
  ASSERT_FALSE(recording.cases().empty());
  for (const auto& one : recording.cases()) OperatorCase(recording, one).check(run);
}

}  // namespace
}  // namespace penstock::contract
