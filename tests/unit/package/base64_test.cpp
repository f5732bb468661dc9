#include "package/base64.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace penstock::package {
namespace {

std::string decoded(std::string_view text) {
  const auto bytes = decode_base64(text);
  if (!bytes) return "refused";
  return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
}

TEST(Base64, IsReadWithAnyPadding) {
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("YQ=="), "a");
  EXPECT_EQ(decoded("YWI="), "ab");
  EXPECT_EQ(decoded("YWJj"), "abc");
  EXPECT_EQ(decoded("YWJjZA=="), "abcd");
  EXPECT_EQ(decoded("+/8="), "\xfb\xff");
}

TEST(Base64, IsRefusedWhereItIsNone) {
  for (const char* text :
       {"Y", "YQ", "YQ=", "YQ==YQ==", "Y===", "====", "YW=j", "YWJ\n", "YW j", "YWJ-", "YWJ\xc3"})
    EXPECT_EQ(decoded(text), "refused") << text;
}

TEST(Base64, OfManyPiecesIsOne) {
  std::string text;
  std::string wanted;
  for (int i = 0; i < (1 << 24) + 5; ++i) {
    text += "YWJj";
    wanted += "abc";
  }
  EXPECT_EQ(decoded(text + "ZA=="), wanted + "d");
  text[(4U << 24) - 1] = '=';
  EXPECT_EQ(decoded(text), "refused");
}

}  // namespace
}  // namespace penstock::package
