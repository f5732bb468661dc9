#pragma once

#include "cuda/driver.hpp"
#include "shim/cuda_call.hpp"

#include <string>

namespace penstock::shim {

/// What libpenstock_cuda uses of the core. Given by address, so that the core exports nothing of its inside:
/// src/cuda_ops/host.cpp defines the functions of these names there by it.
struct CudaHost {
  const char* version;
  const CudaCall& (*cuda_call)();
  tensor::TensorObject* (*make_cuda_result)(DType dtype, std::span<const std::int64_t> sizes,
                                            std::span<const std::int64_t> strides);
  tensor::TensorObject* (*make_tensor)(tensor::Storage* storage, const tensor::Layout& layout);
  void (*free_tensor)(tensor::TensorObject* tensor) noexcept;
  std::int32_t (*record_failure)() noexcept;
  const cuda::Driver& (*driver)();
  void (*check)(cuda::Result result, const char* call, const std::string& what);
  void (*push_range)(const char* name) noexcept;
  void (*pop_range)() noexcept;
};

/// What libpenstock_cuda exports, under the name "penstock_cuda_operators". Null where `host.version` is not
/// its own.
using CudaOperatorsEntry = CudaOperators*(const CudaHost& host);

}  // namespace penstock::shim
