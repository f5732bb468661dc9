#pragma once

#include <penstock/tensor.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace penstock::session {

/// What a captured run depends on besides its execution resource: dtypes, sizes and strides of all inputs,
/// how their addresses are aligned, which of them share memory, and the versions of weights and objects.
/// Thread: one caller at a time.
class GraphKey {
 public:
  struct Versions {
    std::uint64_t weights = 0;
    std::uint64_t objects = 0;
    friend bool operator==(const Versions&, const Versions&) = default;
  };

  /// Takes the place of what was there; allocates nothing once it has been used for as many inputs.
  void set(std::span<const TensorView> inputs, const Versions& versions, bool storage_counts = false);

  [[nodiscard]] const Versions& versions() const noexcept { return versions_; }

  friend bool operator==(const GraphKey& a, const GraphKey& b) noexcept {
    return a.hash_ == b.hash_ && a.versions_ == b.versions_ && a.words_ == b.words_;
  }

 private:
  void add_sharing(std::span<const TensorView> inputs);

  std::uint64_t hash_ = 0;
  Versions versions_;
  std::vector<std::int64_t> words_;
  std::vector<std::size_t> by_address_;  ///< Scratch.
};

}  // namespace penstock::session
