#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string_view>

namespace penstock::package {

/// Parses JSON from a package: at most 64 levels deep, at most 2,097,152 values, no key twice in an object.
/// `what` names the text in messages. Host-only. Thread: thread-safe. Errors: Corrupt.
nlohmann::json parse_json(std::string_view text, std::string_view what);

}  // namespace penstock::package
