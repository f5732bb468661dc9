#include "tensor/tensor_object.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace penstock::tensor {
namespace {

using Dims = std::vector<std::int64_t>;

void expect_refused(Storage* storage, const Layout& layout, const std::string& part) {
  try {
    free_tensor(make_tensor(storage, layout));
    ADD_FAILURE() << "nothing was thrown; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

struct CountedData : DerivedData {
  explicit CountedData(int& count_in) : count(count_in) { ++count; }
  ~CountedData() override { --count; }
  int& count;
};

TEST(Storage, HostBytesAreAlignedAndMayBeNone) {
  for (const std::size_t bytes : {1U, 63U, 64U, 100000U}) {
    Storage* storage = allocate_host_storage(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage->data) % 64, 0U);
    EXPECT_EQ(storage->bytes, bytes);
    std::memset(storage->data, 1, bytes);
    storage->drop();
  }
  Storage* empty = allocate_host_storage(0);
  EXPECT_EQ(empty->bytes, 0U);
  empty->drop();
}

TEST(Storage, ReusedBlocksAreLargeEnough) {
  for (int round = 0; round < 3; ++round) {
    std::vector<Storage*> held;
    for (const std::size_t bytes : {1U, 64U, 65U, 100U, 128U, 129U, 4000U, 65535U, 65536U, 65537U}) {
      held.push_back(allocate_host_storage(bytes));
      EXPECT_EQ(held.back()->bytes, bytes);
      EXPECT_FALSE(held.back()->constant);
      std::memset(held.back()->data, round, bytes);
      held.back()->constant = true;
    }
    for (std::size_t i = 0; i < held.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) EXPECT_NE(held[i]->data, held[j]->data);
    }
    for (Storage* storage : held) storage->drop();
  }
}

TEST(Storage, SaysHowMuchCouldNotBeHad) {
  try {
    allocate_host_storage(SIZE_MAX);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
    EXPECT_NE(std::string(error.what()).find("18446744073709551615"), std::string::npos) << error.what();
  }
}

TEST(Storage, ReusedObjectsKeepNothingOfTheirPast) {
  int derived = 0;
  int value = 0;
  Storage* first = borrow_storage(&value, sizeof value, Device{DeviceType::Cuda, 2});
  first->constant = true;
  first->derived.push_back(std::make_unique<CountedData>(derived));
  first->retain();
  first->drop();
  EXPECT_EQ(derived, 1);
  first->drop();
  EXPECT_EQ(derived, 0);
  Storage* second = borrow_storage(nullptr, 0, Device{});
  EXPECT_EQ(second, first);
  EXPECT_FALSE(second->constant);
  EXPECT_EQ(second->device, Device{});
  second->drop();
}

TEST(TensorObject, LiesWhereItsOffsetSays) {
  Storage* storage = allocate_host_storage(64);
  TensorObject* tensor = make_tensor(storage, {DType::Float32, Dims{2, 3}, Dims{4, 1}, 5});
  storage->drop();
  EXPECT_EQ(tensor->data, static_cast<std::byte*>(tensor->storage->data) + 20);
  EXPECT_EQ(tensor->numel, 6);
  EXPECT_EQ(tensor->rank, 2);
  EXPECT_EQ(Dims(tensor->sizes().begin(), tensor->sizes().end()), (Dims{2, 3}));
  EXPECT_EQ(Dims(tensor->strides().begin(), tensor->strides().end()), (Dims{4, 1}));
  free_tensor(tensor);
  free_tensor(nullptr);
}

TEST(TensorObject, MayBeUndefinedScalarOrEmpty) {
  free_tensor(make_tensor(nullptr, {DType::Float32, Dims{0}, Dims{1}, 0}));
  Storage* storage = allocate_host_storage(8);
  TensorObject* scalar = make_tensor(storage, {DType::Float64, {}, {}, 0});
  EXPECT_EQ(scalar->numel, 1);
  free_tensor(scalar);
  TensorObject* empty = make_tensor(storage, {DType::Float64, Dims{INT64_MAX, 4, 0}, Dims{1, 1, 1}, 1000});
  EXPECT_EQ(empty->numel, 0);
  free_tensor(empty);
  storage->drop();
}

TEST(TensorObject, RefusesWhatLeavesItsStorage) {
  Storage* storage = allocate_host_storage(64);
  expect_refused(storage, {DType::Float32, Dims{17}, Dims{1}, 0}, "reaches past its storage of 64 bytes");
  expect_refused(storage, {DType::Float32, Dims{16}, Dims{1}, 1}, "reaches past");
  expect_refused(storage, {DType::Float32, Dims{2}, Dims{16}, 0}, "reaches past");
  expect_refused(storage, {DType::Float32, Dims{1}, Dims{1}, INT64_MAX}, "reaches past");
  expect_refused(storage, {DType::Float32, Dims{1}, Dims{1}, -1}, "negative");
  expect_refused(storage, {DType::Float32, Dims{-1}, Dims{1}, 0}, "negative");
  expect_refused(storage, {DType::Float32, Dims{0, -1}, Dims{1, 1}, 0}, "negative");
  expect_refused(storage, {DType::Float32, Dims{INT64_MAX, 4}, Dims{1, 1}, 0}, "overflows");
  expect_refused(storage, {DType::Float32, Dims{3, 3}, Dims{INT64_MAX, 1}, 0}, "overflows");
  expect_refused(storage, {static_cast<DType>(99), Dims{1}, Dims{1}, 0}, "unknown dtype");
  expect_refused(storage, {DType::Float32, Dims(65, 1), Dims(65, 1), 0}, "65 dimensions");
  expect_refused(storage, {DType::Float32, Dims{1}, Dims{1, 1}, 0}, "2 strides");
  storage->drop();
}

TEST(TensorObject, PoolsStayBoundedAndCrossThreads) {
  Storage* storage = allocate_host_storage(64);
  std::vector<std::vector<TensorObject*>> made(4);
  const auto fill = [&](std::vector<TensorObject*>& list) {
    for (int i = 0; i < 1000; ++i)
      list.push_back(make_tensor(storage, {DType::Float32, Dims{4}, Dims{1}, 0}));
  };
  std::vector<std::thread> threads;
  for (auto& list : made) threads.emplace_back(fill, std::ref(list));
  for (auto& thread : threads) thread.join();
  threads.clear();
  for (std::size_t i = 0; i < made.size(); ++i) {
    threads.emplace_back([&made, i] {
      for (TensorObject* tensor : made[(i + 1) % made.size()]) free_tensor(tensor);
    });
  }
  for (auto& thread : threads) thread.join();
  storage->drop();
}

/// Its destructor runs after that of the pools, which are used first on their thread.
struct LateUser {
  TensorObject* tensor = nullptr;
  ~LateUser() {
    free_tensor(tensor);
    Storage* storage = allocate_host_storage(16);
    free_tensor(make_tensor(storage, {DType::Float32, Dims{4}, Dims{1}, 0}));
    storage->drop();
  }
};

TEST(TensorObject, MayBeUsedAfterThePoolsOfItsThreadAreGone) {
  std::thread([] {
    static thread_local LateUser late;
    late.tensor = nullptr;
    Storage* storage = allocate_host_storage(16);
    free_tensor(make_tensor(storage, {DType::Float32, Dims{4}, Dims{1}, 0}));
    late.tensor = make_tensor(storage, {DType::Float32, Dims{4}, Dims{1}, 0});
    storage->drop();
  }).join();
}

}  // namespace
}  // namespace penstock::tensor
