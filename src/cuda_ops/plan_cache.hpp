#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace penstock::cuda_ops {

/// What a plan was made for: sizes, strides, types, as numbers.
template <std::size_t kCount>
using PlanKey = std::array<std::int64_t, kCount>;

template <std::size_t kCount>
struct PlanKeyHash {
  std::size_t operator()(const PlanKey<kCount>& key) const noexcept {
    std::uint64_t mixed = 0x9E3779B97F4A7C15ULL;
    for (const std::int64_t value : key) {
      mixed = (mixed ^ static_cast<std::uint64_t>(value)) * 0xFF51AFD7ED558CCDULL;
      mixed ^= mixed >> 32U;
    }
    return static_cast<std::size_t>(mixed);
  }
};

/// Plans by what they were made for; the one that was used longest ago goes when there are too many.
/// Thread: one caller at a time.
template <std::size_t kCount, class Plan>
class PlanCache {
 public:
  explicit PlanCache(std::size_t most) : most_(most) {}

  /// The plan of `key`, made by `make` where there is none. Lifetime: until the next call, or that of a
  /// share. Errors: those of `make`; nothing is kept then.
  template <class Make>
  const std::shared_ptr<Plan>& find_or_make(const PlanKey<kCount>& key, Make&& make) {
    ++now_;
    if (const auto found = entries_.find(key); found != entries_.end()) {
      found->second.used = now_;
      return found->second.plan;
    }
    std::shared_ptr<Plan> made = make();
    if (entries_.size() >= most_) drop_oldest();
    return entries_.emplace(key, Entry{std::move(made), now_}).first->second.plan;
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    std::shared_ptr<Plan> plan;
    std::uint64_t used;
  };

  void drop_oldest() {
    entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
      return a.second.used < b.second.used;
    }));
  }

  std::size_t most_;
  std::uint64_t now_ = 0;
  std::unordered_map<PlanKey<kCount>, Entry, PlanKeyHash<kCount>> entries_;
};

}  // namespace penstock::cuda_ops
