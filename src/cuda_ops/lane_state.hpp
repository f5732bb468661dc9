#pragma once

#include "shim/cuda_call.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace penstock::cuda_ops {

/// What the operators of one lane keep: handles of libraries, plans, workspaces.
class LaneState final : public shim::CudaLaneState {
 public:
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override { return 0; }
};

/// Opens those of cuBLASLt and cuDNN that the functions of these names need.
/// Errors: NotFound names the library, where it was looked for, and how to get it.
void open_libraries(std::span<const std::string_view> functions);

}  // namespace penstock::cuda_ops
