#include "shim/weight_copies.hpp"

#include "shim/context.hpp"
#include "shim/imports.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace penstock::shim {
namespace {

using Copy = void*(void*, const void*, std::size_t);

Copy* library_copy() { return reinterpret_cast<Copy*>(resolve_import("memcpy", {}).address); }

struct alignas(64) Bytes {
  std::array<std::byte, 256> bytes{};
};

class WeightCopiesOf : public ::testing::Test {
 protected:
  WeightCopiesOf() : storage_(tensor::borrow_storage(real_.bytes.data(), real_.bytes.size(), Device{})) {
    for (std::size_t i = 0; i < real_.bytes.size(); ++i) real_.bytes[i] = static_cast<std::byte>(i);
    copies_.stand_in = stand_in_.bytes;
    copies_.weights = storage_.get();
    context_.purpose = CallContext::Purpose::Load;
    context_.copies = &copies_;
  }

  Bytes real_;
  Bytes stand_in_;
  Bytes to_;
  tensor::StorageReference storage_;
  WeightCopies copies_;
  CallContext context_;
};

TEST_F(WeightCopiesOf, AreNotedAndNotMade) {
  const ContextScope scope(context_);
  EXPECT_EQ(library_copy()(to_.bytes.data(), stand_in_.bytes.data() + 64, 64), to_.bytes.data());
  EXPECT_EQ(to_.bytes[1], std::byte{0});
  const tensor::StorageReference weight(copies_.storage(to_.bytes.data(), 60));
  EXPECT_EQ(weight->data, real_.bytes.data() + 64);
  EXPECT_EQ(weight->bytes, 60U);
}

TEST_F(WeightCopiesOf, OfOtherMemoryAreMade) {
  Bytes other;
  other.bytes[0] = std::byte{7};
  const auto copied = [&] {
    to_.bytes[0] = std::byte{0};
    library_copy()(to_.bytes.data(), other.bytes.data(), 1);
    return to_.bytes[0] == std::byte{7};
  };
  EXPECT_TRUE(copied());
  const ContextScope scope(context_);
  EXPECT_TRUE(copied());
  EXPECT_THROW(static_cast<void>(copies_.storage(to_.bytes.data(), 1)), Error);
}

TEST_F(WeightCopiesOf, BytesThatAreNotAlignedGiveACopy) {
  const ContextScope scope(context_);
  library_copy()(to_.bytes.data(), stand_in_.bytes.data() + 3, 8);
  const tensor::StorageReference weight(copies_.storage(to_.bytes.data(), 8));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(weight->data) % 64, 0U);
  EXPECT_EQ(static_cast<const std::byte*>(weight->data)[0], std::byte{3});
}

TEST_F(WeightCopiesOf, ThatReachPastTheWeightsAreCorrupt) {
  const ContextScope scope(context_);
  library_copy()(to_.bytes.data(), stand_in_.bytes.data() + 192, 128);
  EXPECT_THROW(static_cast<void>(copies_.storage(to_.bytes.data(), 64)), Error);
  library_copy()(to_.bytes.data(), stand_in_.bytes.data(), 64);
  EXPECT_THROW(static_cast<void>(copies_.storage(to_.bytes.data(), 65)), Error);
}

TEST_F(WeightCopiesOf, ThatReachPastTheWeightsInALongerStandInAreCorrupt) {
  const tensor::StorageReference shorter(tensor::borrow_storage(real_.bytes.data(), 248, Device{}));
  copies_.weights = shorter.get();
  const ContextScope scope(context_);
  library_copy()(to_.bytes.data(), stand_in_.bytes.data() + 192, 64);
  EXPECT_THROW(static_cast<void>(copies_.storage(to_.bytes.data(), 64)), Error);
  library_copy()(to_.bytes.data(), stand_in_.bytes.data() + 192, 56);
  EXPECT_EQ(tensor::StorageReference(copies_.storage(to_.bytes.data(), 56))->bytes, 56U);
}

TEST_F(WeightCopiesOf, WithoutWeightsGiveNoMemory) {
  copies_.weights = nullptr;
  const ContextScope scope(context_);
  library_copy()(to_.bytes.data(), stand_in_.bytes.data(), 64);
  const tensor::StorageReference weight(copies_.storage(to_.bytes.data(), 64));
  EXPECT_EQ(weight->data, nullptr);
}

TEST_F(WeightCopiesOf, AppendedWeightsMapTheStandIn) {
  copies_.appended = true;
  const ImportOptions options{.appended_weights = true};
  const auto address = [&](const char* name) { return resolve_import(name, options).address; };
  auto* const seek = reinterpret_cast<long (*)(int, long, int)>(address("lseek"));
  auto* const map = reinterpret_cast<void* (*)(void*, std::size_t, int, int, int, long)>(address("mmap"));
  auto* const unmap = reinterpret_cast<int (*)(void*, std::size_t)>(address("munmap"));
  const ContextScope scope(context_);
  EXPECT_EQ(seek(-1, 0, 2), 256);
  EXPECT_EQ(map(nullptr, 256, 3, 2, -1, 0), stand_in_.bytes.data());
  EXPECT_EQ(map(nullptr, 255, 3, 2, -1, 0), reinterpret_cast<void*>(-1));
  EXPECT_EQ(unmap(stand_in_.bytes.data(), 256), 0);
  EXPECT_EQ(stand_in_.bytes[0], std::byte{0});
  EXPECT_EQ(resolve_import("mmap", {}).kind, ImportKind::System);
}

TEST_F(WeightCopiesOf, GivenOnesAreHandedOutInTurn) {
  const std::array<std::int64_t, 1> size{4};
  const std::array<std::int64_t, 1> stride{1};
  std::vector<tensor::TensorObjectPtr> given;
  given.emplace_back(tensor::make_tensor(storage_.get(), {.sizes = size, .strides = stride}));
  given.emplace_back(
      tensor::make_tensor(storage_.get(), {.sizes = size, .strides = stride, .storage_offset = 16}));
  copies_.given = given;
  const ContextScope scope(context_);
  library_copy()(to_.bytes.data(), given[0]->data, 16);
  EXPECT_EQ(copies_.take_given(size)->data, given[0]->data);
  library_copy()(to_.bytes.data(), given[1]->data, 16);
  EXPECT_EQ(to_.bytes[1], std::byte{0});
  const std::array<std::int64_t, 1> other{5};
  EXPECT_THROW(static_cast<void>(copies_.take_given(other)), Error);
  EXPECT_THROW(static_cast<void>(copies_.take_given(size)), Error);
}

}  // namespace
}  // namespace penstock::shim
