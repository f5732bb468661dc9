#include "cuda_ops/operator.hpp"

#include <array>
#include <cstddef>

namespace penstock::cuda_ops {

[[gnu::noinline]] void scrub_stack() noexcept {
  // More than libraries were seen to use of it before they launch.
  constexpr std::size_t kBytes = std::size_t{64} << 10;
  std::array<volatile char, kBytes> remains;
  for (volatile char& each : remains) each = 0;
}

}  // namespace penstock::cuda_ops
