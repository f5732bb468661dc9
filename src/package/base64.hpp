#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace penstock::package {

/// The bytes of a text in base64 (RFC 4648, padded). Nothing where it is none. Errors: OutOfMemory.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace penstock::package
