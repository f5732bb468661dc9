#pragma once

#include "io/tensor_file.hpp"

#include <penstock/error.hpp>
#include <penstock/io.hpp>

#include <gtest/gtest.h>

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::io::testing {

inline const std::filesystem::path kData =
    std::filesystem::path(PENSTOCK_TEST_CONTRACT).parent_path() / "unit/io/data";

/// A folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-io-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);

/// Reads tensors from bytes, as the file "input" whose stem is "x".
inline NamedTensors read_bytes(std::string_view bytes) {
  return read_source(Source::memory(std::as_bytes(std::span(bytes.data(), bytes.size())), "input"), "x");
}

/// Expects an Error of `code` whose message has `part` in it and begins with the file's name.
inline void expect_refused(std::string_view bytes, ErrorCode code, std::string_view part) {
  try {
    read_bytes(bytes);
    ADD_FAILURE() << "was read, but should be refused: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_TRUE(std::string_view(error.what()).starts_with("input")) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
  }
}

/// The elements of a row-major tensor.
template <class T>
std::vector<T> values(const Tensor& tensor) {
  const T* data = tensor.data_as<T>();
  return std::vector<T>(data, data + tensor.numel());
}

inline std::vector<std::int64_t> sizes_of(const Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}

/// A tensor whose bytes count up, so that no two elements of up to 256 bytes are alike.
Tensor counting_bytes(DType dtype, std::initializer_list<std::int64_t> sizes);

}  // namespace penstock::io::testing
