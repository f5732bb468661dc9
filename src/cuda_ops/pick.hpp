#pragma once

#include "cuda_ops/operands.hpp"

#include <cstdint>
#include <optional>

namespace penstock::cuda_ops {

/// Elements of a tensor that are not 0, counted. Stream-ordered but for `count`.
class Picked {
 public:
  /// Flags in the row-major order of `sizes`; `strides` are those of `flags` broadcast to them.
  Picked(const shim::CudaCall& call, const tensor::TensorObject& flags, DimsView sizes, DimsView strides);
  /// All of one tensor.
  Picked(const shim::CudaCall& call, const tensor::TensorObject& flags)
      : Picked(call, flags, flags.sizes(), flags.strides()) {}

  /// How many they are. Waits for the call's stream; marks the run, by `function`, as one that cannot be
  /// recorded.
  [[nodiscard]] std::int64_t count(const char* function) const;

  [[nodiscard]] const kernels::Picked& arguments() const noexcept { return picked_; }
  /// Elements picked in the tiles before each.
  [[nodiscard]] const std::int64_t* before() const noexcept {
    return counts_ ? counts_->as<std::int64_t>() : nullptr;
  }
  [[nodiscard]] Grid grid() const;

 private:
  const shim::CudaCall& call_;
  kernels::Picked picked_;
  std::int64_t tiles_;
  std::optional<Temporary> counts_;  ///< None where there are no elements.
};

/// The places of picked elements, one a row of `out` (int64); those beyond its rows are dropped.
void write_places(const shim::CudaCall& call, const tensor::TensorObject& out, const Picked& picked,
                  DimsView sizes);

/// The places of all elements that are not 0, as torch.nonzero gives them. Waits for the call's stream.
tensor::TensorObjectPtr nonzero(const shim::CudaCall& call, const tensor::TensorObject& self,
                                const char* function);

/// out = the elements of self at which the mask (both broadcast to `sizes`) is true. Waits for the call's
/// stream. Errors: InvalidArgument in PyTorch's words.
tensor::TensorObjectPtr masked_select(const shim::CudaCall& call, const tensor::TensorObject& self,
                                      const tensor::TensorObject& mask);

/// Sets the elements of `out` at which the mask (broadcast) is true to source's, one after the other. Those
/// for which source has none are left as they are: PyTorch stops the device there.
void masked_scatter(const shim::CudaCall& call, const tensor::TensorObject& out,
                    const tensor::TensorObject& mask, const tensor::TensorObject& source);

/// Each place in `repeats` as often as the element there says. How many those are, the host waits for, unless
/// the caller says it: then it is taken on trust, and the last place repeated where it is too large. Errors:
/// InvalidArgument in PyTorch's words.
tensor::TensorObjectPtr repeated_places(const shim::CudaCall& call, const tensor::TensorObject& repeats,
                                        const std::int64_t* output_size);

}  // namespace penstock::cuda_ops
