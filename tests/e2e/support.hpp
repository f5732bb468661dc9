#pragma once

#include <penstock/penstock.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PENSTOCK_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(PENSTOCK_TEST_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitized = true;
#else
inline constexpr bool kThreadSanitized = false;
#endif

/// "torch-2.15/add.pt2" as a path.
std::filesystem::path package_path(std::string_view name, std::string_view torch = "2.15");

Package open_package(std::string_view name, std::string_view torch = "2.15");
Model load_model(std::string_view name, std::string_view torch = "2.15");

/// The tensors of a recorded file, "arg0", "arg1", ... or "out0", ... in order, with the strides that its
/// metadata says they had.
std::vector<Tensor> recorded(std::string_view name, std::string_view part, std::string_view torch = "2.15");

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors);

/// All elements as numbers, in row-major order of the sizes.
std::vector<double> numbers(const TensorView& view);

std::vector<std::int64_t> sizes_of(const TensorView& view);

/// Expects the same count, dtypes and sizes, and values as close as the dtype allows: relative to the
/// largest expected value, and exactly for integers.
void expect_same(std::span<const TensorView> given, std::span<const TensorView> expected);
void expect_same(const std::vector<Tensor>& given, const std::vector<Tensor>& expected);

/// A row-major float32 tensor of numbers that differ from one another.
Tensor ramp(std::initializer_list<std::int64_t> sizes, float start = 0);

/// Runs `work`, which is to throw an Error of `code` whose message has all `parts`.
void expect_refused(ErrorCode code, const std::vector<std::string>& parts, const std::function<void()>& work);

/// True where convolutions can run: they come from oneDNN.
bool has_onednn();

/// What a process holds.
struct Holdings {
  std::size_t mappings = 0;          ///< Lines of /proc/self/maps.
  std::size_t library_mappings = 0;  ///< Those of model libraries.
  std::size_t descriptors = 0;
  std::size_t heap_bytes = 0;  ///< In use, by malloc's own account; 0 under sanitizers.

  static Holdings now();
};

/// Repeats `work` in rounds of `times`, until a round leaves nothing behind, and says what the last of them
/// left where every one did: "" is as it should be. What leaks grows in each round; lists of unused objects
/// and what the C library keeps for itself come to an end. Sanitizers map memory of their own, so there only
/// libraries and descriptors are looked at: the leak check sees to the heap.
std::string growth_of(const std::function<void()>& work, int times);

/// Lines of /proc/self/maps that have `part` in them.
std::size_t count_mappings(std::string_view part);

/// A folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Unpacks a package into `folder`, which then can be opened as it can.
void unpack_package(std::string_view name, const std::filesystem::path& folder,
                    std::string_view torch = "2.15");

std::vector<std::byte> file_bytes(const std::filesystem::path& path);

}  // namespace penstock::testing
