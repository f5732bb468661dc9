#include "cuda_ops/lane_state.hpp"

namespace penstock::cuda_ops {

void open_libraries(std::span<const std::string_view>) {}

}  // namespace penstock::cuda_ops
