#include "package/digest.hpp"

#include "base/fail.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace penstock::package {

void check_sha256(std::span<const std::byte> bytes, std::string_view expected, const std::string& what) {
  constexpr std::size_t kDigits = 64;
  const bool is_digest =
      expected.size() == kDigits && std::all_of(expected.begin(), expected.end(), [](char c) {
        return std::isxdigit(static_cast<unsigned char>(c)) != 0;
      });
  if (!is_digest) {
    base::fail(ErrorCode::InvalidArgument, "\"{}\" is no SHA-256: 64 hexadecimal digits are expected",
               expected);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    base::fail(ErrorCode::Internal, "{}: its SHA-256 could not be computed", what);
  }
  std::string actual;
  for (unsigned i = 0; i < length; ++i) actual += fmt::format("{:02x}", digest[i]);
  const bool same = std::equal(actual.begin(), actual.end(), expected.begin(), [](char a, char b) {
    return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
  });
  if (!same) {
    base::fail(ErrorCode::InvalidArgument,
               "{} is not the file that was expected: its SHA-256 is {}, {} was asked for", what, actual,
               expected);
  }
}

}  // namespace penstock::package
