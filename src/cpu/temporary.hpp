#pragma once

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/allocator.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace penstock::cpu {

/// Elements that an operator needs while it works, in the memory of the run: what one run takes for them, the
/// next one gets back. Numbers are not initialized.
template <class T>
class Temporary {
 public:
  Temporary() = default;

  /// `pool`: where the run's results are made; null: plain host memory. Errors: OutOfMemory.
  Temporary(tensor::Allocator* pool, std::int64_t count) : count_(static_cast<std::size_t>(count)) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 64);
    const auto bytes = base::checked_mul(count_, sizeof(T));
    if (!bytes) base::fail(ErrorCode::OutOfMemory, "{} temporary elements of {} bytes", count, sizeof(T));
    storage_.reset(pool != nullptr ? pool->allocate(*bytes) : tensor::allocate_host_storage(*bytes));
    std::uninitialized_default_construct_n(data(), count_);
  }

  [[nodiscard]] T* data() const noexcept {
    return storage_ != nullptr ? static_cast<T*>(storage_->data) : nullptr;
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::span<T> items() const noexcept { return {data(), count_}; }
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] T* begin() const noexcept { return data(); }
  [[nodiscard]] T* end() const noexcept { return data() + count_; }
  [[nodiscard]] tensor::Storage* storage() const noexcept { return storage_.get(); }

 private:
  struct Drop {
    void operator()(tensor::Storage* storage) const noexcept { storage->drop(); }
  };
  std::unique_ptr<tensor::Storage, Drop> storage_;
  std::size_t count_ = 0;
};

}  // namespace penstock::cpu
