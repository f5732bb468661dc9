#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::tensor {

/// The address so many bytes behind `data`. A tensor without elements may have none, and has none anywhere.
template <class Byte>
[[nodiscard]] constexpr Byte* address_at(Byte* data, std::int64_t bytes) noexcept {
  return data == nullptr ? nullptr : data + bytes;
}

}  // namespace penstock::tensor
