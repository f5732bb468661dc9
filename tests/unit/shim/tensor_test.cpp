#include "shim_helpers.hpp"
#include "tensor/memory_pool.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>

namespace penstock::shim::testing {
namespace {

std::array<float, 24> counting() {
  std::array<float, 24> values{};
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

Numbers strides_of(const Handle& handle) { return {handle->strides().begin(), handle->strides().end()}; }

float at(const Handle& handle, const Numbers& index) {
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * handle->stride[i];
  return reinterpret_cast<const float*>(handle->data)[offset];
}

TEST(ShimTensor, LeavesRoomAroundResultsWhereTheRunAsksForIt) {
  tensor::MemoryPool pool;
  for (const bool pooled : {true, false}) {
    CallContext context;
    context.pool = pooled ? &pool : nullptr;
    context.margin = {.doublings = 2, .of_nothing_bytes = 256};
    const ContextScope scope(context);
    const std::int64_t sizes[] = {1, 100};
    const std::int64_t strides[] = {100, 1};
    for (const std::int64_t rank : {1, 2}) {
      Handle made;
      // Of rank 1: the size of the whole, which says nothing of how it came about.
      ASSERT_EQ(
          penstock_empty_strided(rank, sizes + (2 - rank), strides + (2 - rank), kFloat, 0, 0, made.out()),
          0);
      EXPECT_EQ(made->storage->bytes, 400U);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(made->data) % 64, 0U);
      // The address sanitizer sees where this is no memory of ours.
      std::memset(made->data - 1200, 1, 1200 + 400 + 1200);
      std::int64_t bytes = 0;
      EXPECT_EQ(penstock_get_storage_size(made.get(), &bytes), 0);
      EXPECT_EQ(bytes, 400);
      AtenTensorHandle view = nullptr;
      EXPECT_NE(penstock_reinterpret_tensor(made.get(), 1, sizes + 1, strides + 1, 100, &view), 0);
    }
    const std::int64_t nothing[] = {0, 50};
    Handle empty;
    ASSERT_EQ(penstock_empty_strided(2, nothing, strides, kFloat, 0, 0, empty.out()), 0);
    EXPECT_EQ(empty->storage->bytes, 0U);
    std::memset(empty->data - 256, 1, 2 * 256);
  }
}

TEST(ShimTensor, FromMemoryTellsWhatItIs) {
  auto values = counting();
  const Handle tensor = over(values.data(), {4, 5}, {5, 1}, 3);
  std::int64_t number = 0;
  std::int64_t* list = nullptr;
  std::int32_t code = -1;
  bool yes = false;
  void* address = nullptr;
  EXPECT_EQ(penstock_get_data_ptr(tensor.get(), &address), 0);
  EXPECT_EQ(address, values.data() + 3);
  EXPECT_EQ(penstock_get_storage_offset(tensor.get(), &number), 0);
  EXPECT_EQ(number, 3);
  EXPECT_EQ(penstock_get_storage_size(tensor.get(), &number), 0);
  EXPECT_EQ(number, 23 * 4);
  EXPECT_EQ(penstock_get_storage_numel(tensor.get(), &number), 0);
  EXPECT_EQ(number, 23);
  EXPECT_EQ(penstock_get_dim(tensor.get(), &number), 0);
  EXPECT_EQ(number, 2);
  EXPECT_EQ(penstock_get_numel(tensor.get(), &number), 0);
  EXPECT_EQ(number, 20);
  EXPECT_EQ(penstock_get_sizes(tensor.get(), &list), 0);
  EXPECT_EQ(Numbers(list, list + 2), (Numbers{4, 5}));
  EXPECT_EQ(penstock_get_strides(tensor.get(), &list), 0);
  EXPECT_EQ(Numbers(list, list + 2), (Numbers{5, 1}));
  EXPECT_EQ(penstock_get_size(tensor.get(), -1, &number), 0);
  EXPECT_EQ(number, 5);
  EXPECT_EQ(penstock_get_stride(tensor.get(), 0, &number), 0);
  EXPECT_EQ(number, 5);
  EXPECT_EQ(penstock_get_dtype(tensor.get(), &code), 0);
  EXPECT_EQ(code, kFloat);
  EXPECT_EQ(penstock_get_device_type(tensor.get(), &code), 0);
  EXPECT_EQ(code, 0);
  EXPECT_EQ(penstock_get_device_index(tensor.get(), &code), 0);
  EXPECT_EQ(code, 0);
  EXPECT_EQ(penstock_get_layout(tensor.get(), &code), 0);
  EXPECT_EQ(code, 0);
  EXPECT_EQ(penstock_is_contiguous(tensor.get(), &yes), 0);
  EXPECT_TRUE(yes);
  EXPECT_EQ(penstock_is_defined(tensor.get(), &yes), 0);
  EXPECT_TRUE(yes);
}

TEST(ShimTensor, RefusesDimensionsThatItDoesNotHave) {
  auto values = counting();
  const Handle tensor = over(values.data(), {4, 5}, {5, 1});
  std::int64_t number = 0;
  for (const std::int64_t dim : {std::int64_t{2}, std::int64_t{-3}, INT64_MIN, INT64_MAX}) {
    expect_failure(ErrorCode::InvalidArgument, "rank 2",
                   [&] { return penstock_get_size(tensor.get(), dim, &number); });
    expect_failure(ErrorCode::InvalidArgument, "rank 2",
                   [&] { return penstock_get_stride(tensor.get(), dim, &number); });
  }
}

TEST(ShimTensor, OfNothingIsNotDefined) {
  Handle tensor;
  ASSERT_EQ(penstock_new_uninitialized_tensor(tensor.out()), 0);
  bool yes = true;
  std::int64_t number = -1;
  EXPECT_EQ(penstock_is_defined(tensor.get(), &yes), 0);
  EXPECT_FALSE(yes);
  EXPECT_EQ(penstock_is_defined(nullptr, &yes), 0);
  EXPECT_FALSE(yes);
  EXPECT_EQ(penstock_get_storage_size(tensor.get(), &number), 0);
  EXPECT_EQ(number, 0);
  Handle view;
  const std::int64_t one = 1;
  expect_failure(ErrorCode::InvalidArgument, "undefined",
                 [&] { return penstock_reinterpret_tensor(tensor.get(), 1, &one, &one, 0, view.out()); });
}

TEST(ShimTensor, ViewsShareMemoryAndKeepIt) {
  Handle view;
  float* address = nullptr;
  {
    Handle base;
    const Numbers sizes{4, 6};
    const Numbers strides{6, 1};
    ASSERT_EQ(penstock_empty_strided(2, sizes.data(), strides.data(), kFloat, 0, 0, base.out()), 0);
    address = reinterpret_cast<float*>(base->data);
    std::iota(address, address + 24, 0.0F);
    const Numbers view_sizes{3, 2};
    const Numbers view_strides{1, 6};
    ASSERT_EQ(
        penstock_reinterpret_tensor(base.get(), 2, view_sizes.data(), view_strides.data(), 7, view.out()), 0);
  }
  EXPECT_EQ(reinterpret_cast<float*>(view->data), address + 7);
  EXPECT_EQ(at(view, {0, 0}), 7);
  EXPECT_EQ(at(view, {2, 1}), 15);
  // A view's offset counts from that view, not from the storage.
  Handle inner;
  const std::int64_t one = 1;
  ASSERT_EQ(penstock_reinterpret_tensor(view.get(), 1, &one, &one, 2, inner.out()), 0);
  EXPECT_EQ(at(inner, {0}), 9);
  std::int64_t offset = 0;
  EXPECT_EQ(penstock_get_storage_offset(inner.get(), &offset), 0);
  EXPECT_EQ(offset, 9);
}

TEST(ShimTensor, ViewsStayInsideTheStorage) {
  auto values = counting();
  const Handle base = over(values.data(), {4, 6}, {6, 1});
  Handle view;
  const auto refused = [&](const Numbers& sizes, const Numbers& strides, std::int64_t offset) {
    expect_failure(ErrorCode::InvalidArgument, "", [&] {
      return penstock_reinterpret_tensor(base.get(), static_cast<std::int64_t>(sizes.size()), sizes.data(),
                                         strides.data(), offset, view.out());
    });
    EXPECT_EQ(view.get(), nullptr);
  };
  refused({25}, {1}, 0);
  refused({24}, {1}, 1);
  refused({4, 6}, {7, 1}, 0);
  refused({2}, {24}, 0);
  refused({-1}, {1}, 0);
  refused({2}, {-1}, 1);
  refused({1}, {1}, -1);
  refused({1}, {1}, INT64_MAX);
  refused({INT64_MAX, INT64_MAX}, {1, 1}, 0);
  refused({3, 3}, {INT64_MAX, INT64_MAX}, 0);
  refused(Numbers(65, 1), Numbers(65, 1), 0);
  const std::int64_t none = 0;
  EXPECT_EQ(penstock_reinterpret_tensor(base.get(), 1, &none, &none, 0, view.out()), 0);
}

TEST(ShimTensor, AsStridedStartsWhereItsTensorDoes) {
  auto values = counting();
  const Handle base = over(values.data(), {2, 3}, {3, 1}, 5);
  Handle view;
  const Numbers sizes{3, 2};
  const Numbers strides{1, 3};
  ASSERT_EQ(penstock_as_strided(base.get(), sizes.data(), strides.data(), view.out()), 0);
  EXPECT_EQ(at(view, {0, 0}), 5);
  EXPECT_EQ(at(view, {2, 1}), 10);
}

TEST(ShimTensor, PoolsArePartedByByte) {
  Handle pool;
  const std::int64_t bytes = 64;
  const std::int64_t one = 1;
  ASSERT_EQ(
      penstock_empty_strided(1, &bytes, &one, static_cast<std::int32_t>(DType::UInt8), 0, 0, pool.out()), 0);
  Handle part;
  const std::int64_t four = 4;
  ASSERT_EQ(penstock_alloc_from_pool(pool.get(), 16, kFloat, 1, &four, &one, part.out()), 0);
  EXPECT_EQ(part->data, pool->data + 16);
  Handle refused;
  for (const std::int64_t offset : {std::int64_t{-4}, std::int64_t{2}, std::int64_t{52}, INT64_MAX - 3}) {
    expect_failure(ErrorCode::InvalidArgument, "", [&] {
      return penstock_alloc_from_pool(pool.get(), offset, kFloat, 1, &four, &one, refused.out());
    });
  }
}

TEST(ShimTensor, CloneKeepsDenseStrides) {
  auto values = counting();
  const Handle transposed = over(values.data(), {4, 6}, {1, 4});
  Handle clone;
  ASSERT_EQ(penstock_clone(transposed.get(), clone.out()), 0);
  EXPECT_EQ(strides_of(clone), (Numbers{1, 4}));
  EXPECT_NE(clone->data, transposed->data);
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t k = 0; k < 6; ++k) EXPECT_EQ(at(clone, {i, k}), at(transposed, {i, k}));
  }
}

TEST(ShimTensor, CloneOfGapsIsRowMajor) {
  auto values = counting();
  const Handle gaps = over(values.data(), {3, 2}, {8, 2}, 1);
  Handle clone;
  ASSERT_EQ(penstock_clone(gaps.get(), clone.out()), 0);
  EXPECT_EQ(strides_of(clone), (Numbers{2, 1}));
  EXPECT_EQ(at(clone, {0, 0}), 1);
  EXPECT_EQ(at(clone, {2, 1}), 19);
  std::int64_t size = 0;
  EXPECT_EQ(penstock_get_storage_size(clone.get(), &size), 0);
  EXPECT_EQ(size, 6 * 4);
}

TEST(ShimTensor, ClonePreserveStridesKeepsGapsToo) {
  auto values = counting();
  const Handle gaps = over(values.data(), {3, 2}, {8, 2}, 1);
  Handle clone;
  ASSERT_EQ(penstock_clone_preserve_strides(gaps.get(), clone.out()), 0);
  EXPECT_EQ(strides_of(clone), (Numbers{8, 2}));
  EXPECT_EQ(at(clone, {2, 1}), 19);
  const Handle repeated = over(values.data(), {3, 2}, {0, 1}, 4);
  Handle second;
  ASSERT_EQ(penstock_clone_preserve_strides(repeated.get(), second.out()), 0);
  EXPECT_EQ(strides_of(second), (Numbers{0, 1}));
  EXPECT_EQ(at(second, {2, 1}), 5);
}

TEST(ShimTensor, CopiesBetweenLayouts) {
  auto values = counting();
  std::array<float, 24> target{};
  const Handle source = over(values.data(), {4, 6}, {6, 1});
  const Handle destination = over(target.data(), {4, 6}, {1, 4});
  ASSERT_EQ(penstock_tensor_copy_(source.get(), destination.get()), 0);
  EXPECT_EQ(at(destination, {2, 3}), 15);
  EXPECT_EQ(target[1], 6);
  target.fill(0);
  ASSERT_EQ(penstock_copy_(destination.get(), source.get(), 0), 0);
  EXPECT_EQ(at(destination, {3, 5}), 23);
}

TEST(ShimTensor, CopiesBroadcastAndConvert) {
  auto values = counting();
  std::array<std::int32_t, 24> target{};
  const Handle row = over(values.data(), {6}, {1}, 2);
  const auto kInt = static_cast<std::int32_t>(DType::Int32);
  const Handle destination = over(target.data(), {4, 6}, {6, 1}, 0, kInt);
  values[2] = -2.75F;
  ASSERT_EQ(penstock_tensor_copy_(row.get(), destination.get()), 0);
  for (std::size_t i = 0; i < target.size(); ++i) {
    EXPECT_EQ(target[i], i % 6 == 0 ? -2 : static_cast<std::int32_t>(i % 6 + 2)) << i;
  }
}

TEST(ShimTensor, CopiesOfSizesThatDoNotBroadcastAreRefused) {
  auto values = counting();
  const Handle a = over(values.data(), {4, 6}, {6, 1});
  const Handle b = over(values.data(), {6, 4}, {4, 1});
  const Handle c = over(values.data(), {24}, {1});
  for (const Handle* other : {&b, &c}) {
    expect_failure(ErrorCode::InvalidArgument, "[4, 6] cannot be broadcast",
                   [&] { return penstock_tensor_copy_(a.get(), other->get()); });
  }
}

TEST(ShimTensor, ZeroFillsWhatIsStridedAndNoMore) {
  auto values = counting();
  const Handle gaps = over(values.data(), {3, 2}, {8, 2}, 1);
  ASSERT_EQ(penstock_zero_(gaps.get()), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool inside = i % 8 == 1 || i % 8 == 3;
    EXPECT_EQ(values[i], inside ? 0.0F : static_cast<float>(i)) << i;
  }
  const Handle dense = over(values.data(), {24}, {1});
  ASSERT_EQ(penstock_zero_(dense.get()), 0);
  EXPECT_EQ(std::count(values.begin(), values.end(), 0.0F), 24);
}

TEST(ShimTensor, NewHandlesAreTensorsOfTheirOwn) {
  auto values = counting();
  Handle first = over(values.data(), {4, 6}, {6, 1});
  Handle second;
  ASSERT_EQ(penstock_new_tensor_handle(first.get(), second.out()), 0);
  EXPECT_NE(first.get(), second.get());
  first = Handle();
  EXPECT_EQ(at(second, {3, 5}), 23);
}

TEST(ShimTensor, AssignmentChangesWhatAHandleRefersTo) {
  auto values = counting();
  const Handle source = over(values.data(), {4, 6}, {6, 1});
  const Handle target = over(values.data(), {2}, {1}, 20);
  AtenTensorHandle const before = target.get();
  ASSERT_EQ(penstock_assign_tensors(source.get(), target.get()), 0);
  EXPECT_EQ(target.get(), before);
  EXPECT_EQ(at(target, {3, 5}), 23);
  Handle out;
  ASSERT_EQ(penstock_assign_tensors_out(source.get(), out.out()), 0);
  EXPECT_EQ(at(out, {1, 1}), 7);
  using SetSource = AOTITorchError(AtenTensorHandle, AtenTensorHandle);
  const Handle other = over(values.data(), {3}, {1}, 2);
  ASSERT_EQ(function<SetSource>("aoti_torch_cpu_set__source_Tensor")(out.get(), other.get()), 0);
  EXPECT_EQ(out->data, other->data);
}

TEST(ShimTensor, MemoryThatCannotBeIsRefused) {
  Handle made;
  const auto refused = [&](const Numbers& sizes, const Numbers& strides, std::int32_t dtype,
                           std::int32_t device, ErrorCode code) {
    expect_failure(code, "", [&] {
      return penstock_empty_strided(static_cast<std::int64_t>(sizes.size()), sizes.data(), strides.data(),
                                    dtype, device, 0, made.out());
    });
    EXPECT_EQ(made.get(), nullptr);
  };
  refused({-1}, {1}, kFloat, 0, ErrorCode::InvalidArgument);
  refused({INT64_MAX}, {1}, kFloat, 0, ErrorCode::InvalidArgument);
  refused({std::int64_t{1} << 40, std::int64_t{1} << 40}, {std::int64_t{1} << 40, 1}, kFloat, 0,
          ErrorCode::InvalidArgument);
  refused({std::int64_t{1} << 52}, {1}, kFloat, 0, ErrorCode::OutOfMemory);
  refused({4}, {1}, 77, 0, ErrorCode::Unsupported);
  refused({4}, {1}, kFloat, 1, ErrorCode::Unsupported);
  refused(Numbers(65, 1), Numbers(65, 1), kFloat, 0, ErrorCode::InvalidArgument);
  expect_failure(ErrorCode::InvalidArgument, "",
                 [&] { return penstock_empty_strided(-1, nullptr, nullptr, kFloat, 0, 0, made.out()); });
}

TEST(ShimTensor, BlobsThatCannotBeAreRefused) {
  std::array<float, 4> values{};
  Handle made;
  const std::int64_t four = 4;
  const std::int64_t one = 1;
  const auto create = [&](std::int64_t offset, std::int32_t dtype, std::int32_t device, std::int32_t layout) {
    return penstock_create_tensor_from_blob_v2(values.data(), 1, &four, &one, offset, dtype, device, 0,
                                               made.out(), layout, nullptr, 0);
  };
  expect_failure(ErrorCode::InvalidArgument, "offset", [&] { return create(-1, kFloat, 0, 0); });
  expect_failure(ErrorCode::InvalidArgument, "offset", [&] { return create(INT64_MAX, kFloat, 0, 0); });
  expect_failure(ErrorCode::Unsupported, "77", [&] { return create(0, 77, 0, 0); });
  expect_failure(ErrorCode::Unsupported, "device type 1", [&] { return create(0, kFloat, 1, 0); });
  expect_failure(ErrorCode::Unsupported, "freezing", [&] { return create(0, kFloat, 0, 3); });
  EXPECT_EQ(create(0, kFloat, 0, 0), 0);
  EXPECT_EQ(made->data, reinterpret_cast<std::byte*>(values.data()));
}

TEST(ShimTensor, BlobsAreWeightsWhileAModelLoads) {
  std::array<float, 4> values{};
  CallContext context;
  const ContextScope scope(context);
  context.purpose = CallContext::Purpose::Load;
  const Handle weight = over(values.data(), {4}, {1});
  EXPECT_TRUE(weight->storage->of_model);
  ASSERT_EQ(context.weights.size(), 1u);
  EXPECT_EQ(context.weights[0]->storage, weight->storage);
  context.purpose = CallContext::Purpose::Run;
  EXPECT_FALSE(over(values.data(), {4}, {1})->storage->of_model);
  EXPECT_EQ(context.weights.size(), 1u);
}

TEST(ShimTensor, ResultsComeFromThePoolOfTheRun) {
  tensor::MemoryPool pool;
  CallContext context;
  context.pool = &pool;
  const std::int64_t sixteen = 16;
  const std::int64_t one = 1;
  Handle made;
  {
    const ContextScope scope(context);
    ASSERT_EQ(penstock_empty_strided(1, &sixteen, &one, kFloat, 0, 0, made.out()), 0);
  }
  EXPECT_GT(pool.held_bytes(), 0u);
}

}  // namespace
}  // namespace penstock::shim::testing
