#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>
#include <penstock/tensor.hpp>

namespace penstock {

/// A copy of a host tensor in memory of a CUDA device, with the same sizes and strides, gaps included.
/// Blocking: the copy is there when this returns. Thread: thread-safe. Lifetime: the memory is the tensor's
/// own. Errors: InvalidArgument where `view` is not in host memory or `device` is no CUDA device; NotFound
/// where there is no such device; OutOfMemory; Cuda.
PENSTOCK_API Tensor copy_to_device(const TensorView& view, Device device);

/// A row-major copy of a device tensor in host memory. Blocking, for this copy only: what was put on other
/// streams to make the tensor must be done before (StreamView::synchronize, or `Session::run`).
/// Thread: thread-safe. Errors: InvalidArgument where `view` is not on a CUDA device; OutOfMemory; Cuda.
PENSTOCK_API Tensor copy_to_host(const TensorView& view);

}  // namespace penstock
