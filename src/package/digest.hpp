#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace penstock::package {

/// Compares the SHA-256 of `bytes` with `expected`, 64 hexadecimal digits of either case.
/// Errors: InvalidArgument where `expected` is no digest, or is not that of `bytes`; names `what`.
void check_sha256(std::span<const std::byte> bytes, std::string_view expected, const std::string& what);

}  // namespace penstock::package
