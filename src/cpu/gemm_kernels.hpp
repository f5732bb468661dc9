#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::cpu {

/// A matrix in memory: row-major with `stride` elements from row to row, or, where `transposed`, its
/// transpose is.
struct GemmOperand {
  const void* data;
  std::int64_t stride;
  bool transposed;
};

/// c = alpha * (a @ b) + beta * c, with a [rows, depth], b [depth, columns] and a row-major c; a beta
/// of 0 does not read c. No size is 0.
struct GemmCall {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
  GemmOperand a;
  GemmOperand b;
  void* c;
  std::int64_t c_stride;
  double alpha;
  double beta;
};

/// Kernels compiled for one instruction set. Integers wrap around, so one kernel serves both signs.
/// Errors: std::bad_alloc.
struct GemmKernels {
  void (*float32)(const GemmCall&);
  void (*float64)(const GemmCall&);
  void (*integer8)(const GemmCall&);
  void (*integer16)(const GemmCall&);
  void (*integer32)(const GemmCall&);
  void (*integer64)(const GemmCall&);
  /// Element-wise conversions; `narrow` rounds to nearest even.
  void (*widen_bfloat16)(const void* source, float* destination, std::int64_t count);
  void (*widen_float16)(const void* source, float* destination, std::int64_t count);
  void (*narrow_bfloat16)(const float* source, void* destination, std::int64_t count);
  void (*narrow_float16)(const float* source, void* destination, std::int64_t count);
};

/// One table a unit. The integer kernels of the units above the baseline are null.
extern const GemmKernels kGemmBaseline;
extern const GemmKernels kGemmAvx2;
extern const GemmKernels kGemmAvx512;

/// The best table for this machine.
const GemmKernels& gemm_kernels() noexcept;

}  // namespace penstock::cpu
