#pragma once

#include <penstock/error.hpp>

#include <fmt/format.h>

#include <utility>

namespace penstock::base {

/// Throws Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace penstock::base
