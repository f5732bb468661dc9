#pragma once

#include <optional>
#include <string_view>

namespace penstock::package {

/// What is wrong with a name from an archive or a folder listing, as the end of a sentence; nothing
/// for a relative '/'-separated UTF-8 name without "." and ".." parts. Names are never used as paths,
/// yet tools print them and users unpack archives.
std::optional<std::string_view> entry_name_fault(std::string_view name) noexcept;

}  // namespace penstock::package
