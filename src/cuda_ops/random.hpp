#pragma once

#include "cuda_ops/kernels/arguments.hpp"
#include "shim/cuda_call.hpp"

#include <cstdint>

namespace penstock::cuda_ops {

/// A sequence of random numbers: a place in a counter-based generator's. Each draw takes the next place.
/// Thread: one caller at a time.
class RandomSequence {
 public:
  /// From a seed of the system.
  RandomSequence();
  explicit RandomSequence(std::uint64_t seed) noexcept : seed_(seed) {}

  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  /// Of the next draw.
  std::uint64_t take_offset() noexcept { return offset_++; }

 private:
  std::uint64_t seed_;
  std::uint64_t offset_ = 0;
};

/// Random integers from `low` to one below `high`. Errors: InvalidArgument in PyTorch's words for a range
/// that is empty or that the dtype of `out` does not hold.
struct IntegerRange {
  std::int64_t low = 0;
  std::int64_t high = 0;
};
void draw_integers(const shim::CudaCall& call, const tensor::TensorObject& out, IntegerRange range,
                   const char* function);

/// Random numbers that are uniform in [first, second), or normal with that mean and standard deviation.
struct Distribution {
  kernels::RandomKind kind = kernels::RandomKind::Uniform;
  double first = 0;
  double second = 1;
};
void draw_reals(const shim::CudaCall& call, const tensor::TensorObject& out, const Distribution& distribution,
                const char* function);

}  // namespace penstock::cuda_ops
