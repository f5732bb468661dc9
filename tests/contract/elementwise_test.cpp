#include "contract/operator_call.hpp"

namespace penstock::contract {
namespace {

double real(const OperatorCase& one, const char* name) { return one.json().at(name).get<double>(); }

AOTITorchError run_add(OperatorCase& one) {
  return call<Handle, Handle, double, Handle*>("aoti_torch_cpu_add_Tensor", one.tensor("self"),
                                               one.tensor("other"), real(one, "alpha"), one.result());
}

/// a + alpha * b as a - (-alpha) * b.
AOTITorchError run_subtract(OperatorCase& one) {
  return call<Handle, Handle, double, Handle*>("aoti_torch_aten_subtract_Tensor", one.tensor("self"),
                                               one.tensor("other"), -real(one, "alpha"), one.result());
}

AOTITorchError run_add_scalar(OperatorCase& one) {
  return call<Handle, double, double, Handle*>("aoti_torch_cpu_add_Scalar", one.tensor("self"),
                                               real(one, "other"), real(one, "alpha"), one.result());
}

AOTITorchError run_multiply(OperatorCase& one) {
  return call<Handle, Handle, Handle*>("aoti_torch_cpu_mul_Tensor", one.tensor("self"), one.tensor("other"),
                                       one.result());
}

AOTITorchError run_multiply_scalar(OperatorCase& one) {
  return call<Handle, double, Handle*>("aoti_torch_cpu_mul_Scalar", one.tensor("self"), real(one, "other"),
                                       one.result());
}

AOTITorchError run_polar(OperatorCase& one) {
  return call<Handle, Handle, Handle*>("aoti_torch_cpu_polar", one.tensor("self"), one.tensor("angle"),
                                       one.result());
}

Call of_one(const std::string& name) {
  return [name](OperatorCase& one) { return call<Handle, Handle*>(name, one.tensor("self"), one.result()); };
}

std::map<std::string, Call> calls() {
  return {
      {"add", run_add},
      {"add_scalar", run_add_scalar},
      {"mul", run_multiply},
      {"mul_scalar", run_multiply_scalar},
      {"abs", of_one("aoti_torch_cpu_abs")},
      {"angle", of_one("aoti_torch_cpu_angle")},
      {"polar", run_polar},
  };
}

TEST(ElementwiseContract, AnswersAsLibtorch) { run_recording("elementwise", calls()); }

TEST(ElementwiseContract, SubtractionIsAdditionOfTheNegative) {
  std::map<std::string, Call> others = calls();
  others["add"] = run_subtract;
  run_recording("elementwise", others);
}

}  // namespace
}  // namespace penstock::contract
