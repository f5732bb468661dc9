#pragma once

#include "cuda_ops/kernels.hpp"
#include "shim/table.hpp"

#include <array>

namespace penstock::cuda_ops {

/// What a function uses of kernels and libraries. It is there once a model that calls the function is loaded.
struct Needs {
  /// Besides the image "copy", which all have. Null: no more.
  std::array<const KernelImage*, 3> images{};
  bool cublaslt = false;
  bool cudnn = false;
};

/// A function that model libraries import, and what it needs.
struct Operator {
  shim::TableEntry entry;
  Needs needs;
};

template <class Function>
Operator entry(std::string_view name, Function* function, const Needs& needs = {}) {
  return {shim::entry(name, function), needs};
}

}  // namespace penstock::cuda_ops
