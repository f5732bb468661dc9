#pragma once

#include "tensorrt/abi.hpp"
#include "tensorrt/callbacks.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::tensorrt {

/// What a plan's first bytes say of who wrote it.
struct PlanHeader {
  bool is_known = false;  ///< Begins as the plans of TensorRT or of TensorRT-RTX do.
  bool is_rtx = false;
  std::string version;  ///< "11.4.0.106"
  int major = 0;

  /// "TensorRT 11.4.0.106"; empty where it is not known.
  [[nodiscard]] std::string text() const;
};
PlanHeader read_plan_header(std::span<const std::byte> plan);

/// One of TensorRT's libraries, opened and never closed: TensorRT 10 or 11, the lean runtime of it, or
/// TensorRT-RTX. Thread: thread-safe. Lifetime: the process.
class Library {
 public:
  /// Opens a file, or finds a soname where vendors' libraries are; once a file. Creates its runtime, for
  /// which a driver has to be there, and checks that its functions are where they are expected. Blocking.
  /// Errors: NotFound; Incompatible for one that is not of these or is laid out otherwise; Internal where it
  /// gives no runtime, with its own words.
  static Library& open(const std::string& name);

  [[nodiscard]] const abi::Numbering& numbering() const noexcept { return numbering_; }
  /// "TensorRT lean 11.4.0 (/usr/lib/libnvinfer_lean.so.11)"
  [[nodiscard]] const std::string& title() const noexcept { return title_; }

  /// The ICudaEngine of a plan, for the current context's device; null where TensorRT refuses it, and what it
  /// says is in the log. Blocking.
  [[nodiscard]] void* deserialize(std::span<const std::byte> plan) const;

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

 private:
  Library(void* handle, std::string path);
  void choose_numbering();
  void create_runtime();
  void test_numbering() const;

  void* handle_;
  std::string path_;
  std::string title_;
  int number_ = 0;  ///< 110400 of 11.4.0
  abi::Numbering numbering_{};
  Logger* logger_ = nullptr;
  void* runtime_ = nullptr;
};

/// Names of the libraries to try for a plan, the likeliest first: those of `given`; else those that
/// PENSTOCK_TENSORRT names, with colons between; else all sonames. Host-only.
std::vector<std::string> libraries_to_try(std::span<const std::filesystem::path> given,
                                          const PlanHeader& header);

}  // namespace penstock::tensorrt
