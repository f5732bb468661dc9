#pragma once

#include "objects/executor.hpp"
#include "shim/cuda_call.hpp"

#include <penstock/operators.hpp>

#include <bitset>

namespace penstock {

struct OperatorCall::Impl {
  const objects::PreparedCall& prepared;
  objects::ExecutorSession& session;
  const shim::ProxyCall& call;
  const shim::CudaCall* cuda;                ///< Of the run; null on the CPU.
  std::bitset<objects::kMostResults> given;  ///< By number: results that there are.

  [[nodiscard]] const objects::PreparedArgument& argument(std::size_t index) const;
  [[nodiscard]] const objects::PreparedArgument& argument(std::size_t index,
                                                          objects::PreparedArgument::Source source,
                                                          std::string_view wanted) const;
  [[nodiscard]] const objects::PreparedResult& result(std::size_t index) const;
  /// Errors: InvalidArgument past the end of a list.
  void require_item(std::size_t index, std::size_t item) const;
  [[nodiscard]] const Value& constant(std::size_t index, std::size_t item, std::string_view wanted) const;
  /// The tensor of an argument; null for None.
  [[nodiscard]] AtenTensorHandle tensor(std::size_t index, std::size_t item) const;
  /// Of a tensor or integer among the results: tensors first.
  [[nodiscard]] std::size_t number_of(const objects::PreparedResult& result, std::size_t item) const noexcept;
  /// Where a tensor of a result goes.
  void set(std::size_t result, std::size_t item, tensor::TensorObject& made);
  /// Errors: Internal for a result that the operator did not give.
  void require_results() const;
};

}  // namespace penstock
