#pragma once

#include <penstock/export.hpp>

#include <string_view>

namespace penstock {

/// Version of the library that is loaded, "0.1.0". Host-only. Thread: thread-safe. Lifetime: static.
PENSTOCK_API std::string_view version() noexcept;

}  // namespace penstock
