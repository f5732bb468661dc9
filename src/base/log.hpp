#pragma once

#include <penstock/log.hpp>

#include <string_view>

namespace penstock::base {

/// Hands a message to the callback of `set_log_callback`, if there is one. Never throws.
void log(LogLevel level, std::string_view message) noexcept;

}  // namespace penstock::base
