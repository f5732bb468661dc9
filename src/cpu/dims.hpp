#pragma once

#include "base/fail.hpp"
#include "tensor/tensor_object.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <span>

namespace penstock::cpu {

/// A list of what a tensor has one of for each dimension. It lies in place: operators make many of them in a
/// run, which asks for no memory. Errors: InvalidArgument where there would be more than a tensor can have.
template <class T>
class DimList {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using iterator = T*;
  using const_iterator = const T*;

  // What lies behind the last item is not initialized.
  DimList() noexcept {}
  explicit DimList(std::size_t count, const T& value = T()) { resize(count, value); }
  template <std::forward_iterator Iterator>
  DimList(Iterator first, Iterator last) {
    assign(first, last);
  }
  DimList(std::initializer_list<T> items) : DimList(items.begin(), items.end()) {}
  DimList(const DimList& other) : DimList(other.begin(), other.end()) {}
  DimList& operator=(const DimList& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  ~DimList() = default;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] T* data() noexcept { return items_.data(); }
  [[nodiscard]] const T* data() const noexcept { return items_.data(); }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return items_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return items_[i]; }
  [[nodiscard]] T& front() noexcept { return items_[0]; }
  [[nodiscard]] const T& front() const noexcept { return items_[0]; }
  [[nodiscard]] T& back() noexcept { return items_[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return items_[size_ - 1]; }
  [[nodiscard]] T* begin() noexcept { return data(); }
  [[nodiscard]] T* end() noexcept { return data() + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size_; }

  void push_back(const T& item) {
    check_room(1);
    items_[size_++] = item;
  }
  void resize(std::size_t count, const T& value = T()) {
    if (count > size_) {
      check_room(count - size_);
      std::fill(end(), data() + count, value);
    }
    size_ = count;
  }
  template <std::forward_iterator Iterator>
  void assign(Iterator first, Iterator last) {
    size_ = 0;
    append(first, last);
  }
  template <std::forward_iterator Iterator>
  void append(Iterator first, Iterator last) {
    const auto count = static_cast<std::size_t>(std::distance(first, last));
    check_room(count);
    std::copy(first, last, end());
    size_ += count;
  }
  void erase(const T* at) noexcept {
    T* const from = data() + (at - data());
    std::copy(from + 1, end(), from);
    --size_;
  }

  friend bool operator==(const DimList& a, const DimList& b) { return std::ranges::equal(a, b); }

 private:
  void check_room(std::size_t more) const {
    if (more <= items_.size() - size_) return;
    base::fail(ErrorCode::InvalidArgument, "a tensor of {} dimensions; at most {} are possible", size_ + more,
               items_.size());
  }

  std::array<T, tensor::kRoomForDims> items_;
  std::size_t size_ = 0;
};

/// Sizes or strides.
using Dims = DimList<std::int64_t>;
using DimsView = std::span<const std::int64_t>;

}  // namespace penstock::cpu
