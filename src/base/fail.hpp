#pragma once

#include <penstock/error.hpp>

#include <fmt/format.h>

#include <new>
#include <string_view>
#include <utility>

namespace penstock::base {

/// Throws Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// Runs `work`; memory that the C++ runtime could not give is reported as everything else is.
template <class Work>
decltype(auto) report_out_of_memory(std::string_view what, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::OutOfMemory, "{}: out of memory", what);
  }
}

}  // namespace penstock::base
