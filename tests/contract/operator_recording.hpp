#pragma once

#include "shim/abi.hpp"
#include "tensor/tensor_object.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

namespace penstock::contract {

/// A recording as tests/contract/operator_recording.py writes it.
class OperatorRecording {
 public:
  /// Throws where NAME.json or NAME.bin cannot be read.
  explicit OperatorRecording(const std::string& name);

  [[nodiscard]] const nlohmann::json& cases() const { return cases_; }

  /// The tensor of that number in a storage of its own; null for a null number.
  [[nodiscard]] tensor::TensorObjectPtr tensor(const nlohmann::json& number) const;

 private:
  friend class OperatorCase;
  nlohmann::json tensors_;
  nlohmann::json cases_;
  std::vector<std::byte> bytes_;
};

/// One case of a recording while it is run.
class OperatorCase {
 public:
  OperatorCase(const OperatorRecording& recording, const nlohmann::json& one);

  [[nodiscard]] const nlohmann::json& json() const { return one_; }
  /// The tensor argument of that name; null where it is absent.
  AtenTensorHandle tensor(const char* name);
  /// The same as C functions take optional tensors.
  AtenTensorHandle* optional(const char* name);
  /// A list of tensors; null for an absent one.
  std::vector<AtenTensorHandle> list(const char* name);
  /// Where the function puts its next result.
  AtenTensorHandle* result();
  /// A tensor that the function writes to, as its next result.
  void add_result(tensor::TensorObjectPtr made) { results_.push_back(std::move(made)); }

  [[nodiscard]] AtenTensorHandle last_result() const { return results_.back().get(); }

  /// Calls `call` with this case and fails the current test where it does not what libtorch did.
  void check(const std::function<AOTITorchError(OperatorCase&)>& call);

 private:
  void compare(std::size_t index) const;
  /// True where a scatter has several elements for one place.
  [[nodiscard]] bool writes_twice() const;

  const OperatorRecording& recording_;
  const nlohmann::json& one_;
  std::vector<tensor::TensorObjectPtr> held_;
  std::vector<std::unique_ptr<AtenTensorHandle>> optionals_;
  std::vector<std::unique_ptr<AtenTensorHandle>> pending_;
  std::vector<tensor::TensorObjectPtr> results_;
};

}  // namespace penstock::contract
