#pragma once

#include <cstddef>

namespace penstock::tensor {

/// Unused objects of one thread, linked through `next_free`. Meant for `constinit thread_local`
/// variables: without a destructor of its own it can still be asked after the thread's destructors
/// have run, and then holds nothing. Thread: the thread that it belongs to.
template <class T, std::size_t kMost>
class FreeList {
 public:
  /// An unused object; null where there is none.
  [[nodiscard]] T* take() noexcept {
    T* object = head_;
    if (object != nullptr) {
      head_ = object->next_free;
      --count_;
    }
    return object;
  }

  /// Keeps `object` for later. False where it is not taken, because the list is full or closed.
  [[nodiscard]] bool give(T* object) noexcept {
    if (count_ >= most_) return false;
    object->next_free = head_;
    head_ = object;
    ++count_;
    return true;
  }

  /// True until `open` has been called. A new list takes nothing, so that nobody can forget to
  /// arrange for `close` first.
  [[nodiscard]] bool is_new() const noexcept { return is_new_; }
  void open() noexcept {
    is_new_ = false;
    most_ = kMost;
  }

  /// Deletes what it holds and takes nothing any more.
  void close() noexcept {
    most_ = 0;
    while (T* object = take()) delete object;
  }

 private:
  T* head_ = nullptr;
  std::size_t count_ = 0;
  std::size_t most_ = 0;
  bool is_new_ = true;
};

}  // namespace penstock::tensor
