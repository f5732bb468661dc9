#include "package/replaced_libraries.hpp"

#include <algorithm>
#include <array>

namespace penstock::package {

bool is_replaced_library(std::string_view soname) noexcept {
  constexpr std::array<std::string_view, 5> kPrefixes{"libtorch", "libc10", "libcuda.", "libcudart",
                                                      "libgomp"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return soname.starts_with(prefix); });
}

}  // namespace penstock::package
