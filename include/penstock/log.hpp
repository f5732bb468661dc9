#pragma once

#include <penstock/export.hpp>

#include <functional>
#include <string_view>

namespace penstock {

enum class LogLevel { Debug, Info, Warning, Error };

/// Receives what Penstock has to say outside of errors. It never prints by itself.
using LogCallback = std::function<void(LogLevel, std::string_view)>;

/// Sets where messages go for the whole process; an empty callback: nowhere, as at start.
/// Thread: thread-safe; the callback may be called from any thread and must not throw.
/// Lifetime: the callback is kept until it is replaced. Host-only. Errors: none.
PENSTOCK_API void set_log_callback(LogCallback callback);

}  // namespace penstock
