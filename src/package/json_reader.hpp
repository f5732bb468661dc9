#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string_view>

namespace penstock::package {

/// Parses JSON from a package: at most 64 levels deep, no key twice in an object. `what` names the
/// text in messages. Errors: Corrupt.
nlohmann::json parse_json(std::string_view text, std::string_view what);

}  // namespace penstock::package
