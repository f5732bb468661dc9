#pragma once

#include "shim/abi.hpp"

#include <cstdint>
#include <span>

namespace penstock::shim {

/// A call that a model makes by number, as PyTorch's C ABI hands it over: the integers and tensors of its
/// arguments in the order of the operator's parameters, then those of its results.
struct ProxyCall {
  int node = 0;
  std::span<const std::int64_t> integers;
  std::span<const AtenTensorHandle> tensors;
};

}  // namespace penstock::shim

/// Who answers such calls: what the model library is given for a run, and hands back with each call.
struct AOTIProxyExecutorOpaque {
  virtual ~AOTIProxyExecutorOpaque() = default;
  /// Errors: whatever the operator throws.
  virtual void call(const penstock::shim::ProxyCall& call) = 0;
};
