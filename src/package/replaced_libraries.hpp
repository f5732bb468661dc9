#pragma once

#include <string_view>

namespace penstock::package {

/// True for a library that Penstock stands in for, so that a model library needs none of it.
bool is_replaced_library(std::string_view soname) noexcept;

}  // namespace penstock::package
