#pragma once

#include "shim/context.hpp"
#include "tensor/tensor_object.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <string>

namespace penstock::contract {

/// Where recorded operators run, and how their tensors get there and back. This one is the CPU.
/// Thread: one caller at a time.
class Machine {
 public:
  Machine() = default;
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// The function that answers an import: of "aoti_torch_cpu_cat", this machine's "cat". Null: there is none.
  [[nodiscard]] virtual void* function(const std::string& name) const;

  /// A tensor in host memory as this machine takes it, and a result as the host can read it. The layout
  /// stays.
  virtual tensor::TensorObjectPtr place(tensor::TensorObjectPtr tensor) { return tensor; }
  virtual tensor::TensorObjectPtr fetch(tensor::TensorObjectPtr tensor) { return tensor; }

  /// Adds what functions of this machine need to find in the context of their call.
  virtual void enter(shim::CallContext& /*context*/) {}

  /// Why a case of a recording is not run here; empty: it is. For what two devices answer differently.
  [[nodiscard]] virtual std::string reason_against(const nlohmann::json& one) const;

  /// False where, of equal elements, an operator may name others than libtorch on the CPU did: then only its
  /// first result is compared.
  [[nodiscard]] virtual bool names_same_of_equals(const nlohmann::json& /*one*/) const { return true; }

  /// False where, of several elements that `scatter` writes to one place, any may be the one that stays.
  [[nodiscard]] virtual bool keeps_last_written() const { return true; }

  /// Runs one case of a recording; what lies between the other two is the call of its operator.
  virtual void run_case(const nlohmann::json& /*one*/, const std::function<void()>& run) { run(); }
  virtual void begin_call() {}
  virtual void end_call() {}

  /// By what a tolerance made for another CPU is multiplied here.
  [[nodiscard]] virtual double slack() const { return 1; }
};

/// The one that tests run recordings on: the CPU, unless the program says otherwise.
Machine& machine();
void use_machine(Machine& machine);

/// The folder of the recordings: of the variable PENSTOCK_TEST_CONTRACT; "contract" beside the program; where
/// they were when it was built.
std::string recordings_folder();

}  // namespace penstock::contract
