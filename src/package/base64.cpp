#include "package/base64.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace penstock::package {

std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
  constexpr std::size_t kDigits = 4;
  constexpr std::size_t kBytes = 3;
  // OpenSSL counts in `int`.
  constexpr std::size_t kMostDigits = kDigits << 24;
  if (text.size() % kDigits != 0) return std::nullopt;
  std::vector<std::byte> bytes(text.size() / kDigits * kBytes);
  std::size_t done = 0;
  for (std::size_t from = 0; from < text.size(); from += kMostDigits) {
    const std::string_view part = text.substr(from, kMostDigits);
    // Padding ends the text; OpenSSL takes it anywhere.
    const bool is_last = from + part.size() == text.size();
    const std::size_t padding = !is_last ? 0 : part.ends_with("==") ? 2 : part.ends_with('=') ? 1 : 0;
    if (part.substr(0, part.size() - padding).find_first_of("= \t\r\n") != std::string_view::npos)
      return std::nullopt;
    const int count =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data() + done),
                        reinterpret_cast<const unsigned char*>(part.data()), static_cast<int>(part.size()));
    if (count < 0) return std::nullopt;
    // Zeros stand for the padding.
    done += static_cast<std::size_t>(count) - padding;
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace penstock::package
