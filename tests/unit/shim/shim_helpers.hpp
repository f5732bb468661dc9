#pragma once

#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/imports.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace penstock::shim::testing {

/// A handle that is deleted with the object.
class Handle {
 public:
  Handle() = default;
  explicit Handle(AtenTensorHandle handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() { penstock_delete_tensor_object(handle_); }

  /// For functions that give a tensor by pointer.
  AtenTensorHandle* out() { return &handle_; }
  [[nodiscard]] AtenTensorHandle get() const { return handle_; }
  AtenTensorOpaque* operator->() const { return handle_; }
  AtenTensorOpaque& operator*() const { return *handle_; }

 private:
  AtenTensorHandle handle_ = nullptr;
};

using Numbers = std::vector<std::int64_t>;

inline constexpr auto kFloat = static_cast<std::int32_t>(DType::Float32);

/// A tensor over the caller's memory.
inline Handle over(void* data, const Numbers& sizes, const Numbers& strides, std::int64_t offset = 0,
                   std::int32_t dtype = kFloat) {
  Handle made;
  EXPECT_EQ(penstock_create_tensor_from_blob(data, static_cast<std::int64_t>(sizes.size()), sizes.data(),
                                             strides.data(), offset, dtype, 0, 0, made.out()),
            0);
  return made;
}

/// Runs `work` in a context and gives what went wrong there; fails the test where nothing did.
template <class Work>
Failure failure_of(Work&& work) {
  CallContext context;
  const ContextScope scope(context);
  EXPECT_EQ(work(), 1);
  EXPECT_TRUE(context.failure.has_value());
  return context.failure.value_or(Failure{});
}

/// Expects that `work` fails with `code` and words that contain `part`.
template <class Work>
void expect_failure(ErrorCode code, const std::string& part, Work&& work) {
  const Failure failure = failure_of(work);
  EXPECT_EQ(failure.code, code) << failure.message;
  EXPECT_NE(failure.message.find(part), std::string::npos) << "no \"" << part << "\" in: " << failure.message;
}

/// The function that answers an import, as a pointer of its type.
template <class Function>
Function* function(std::string_view name) {
  const Import import = resolve_import(name, {});
  EXPECT_EQ(import.kind, ImportKind::Ours) << name;
  return reinterpret_cast<Function*>(import.address);
}

}  // namespace penstock::shim::testing
