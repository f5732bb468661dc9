#include "tensor/memory_pool.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace penstock::tensor {
namespace {

TEST(MemoryPool, GivesAlignedBytesThatMayBeWritten) {
  MemoryPool pool;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64},
                                  std::size_t{1000}, std::size_t{65536}, std::size_t{100001}}) {
    Storage* storage = pool.allocate(bytes);
    EXPECT_EQ(storage->bytes, bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage->data) % 64, 0u);
    EXPECT_EQ(storage->device, Device{});
    EXPECT_FALSE(storage->constant);
    std::memset(storage->data, 0x5a, bytes);
    storage->drop();
  }
}

TEST(MemoryPool, GivesReleasedMemoryAgain) {
  MemoryPool pool;
  Storage* first = pool.allocate(1000);
  void* const address = first->data;
  const std::uint64_t held = pool.held_bytes();
  EXPECT_GE(held, 1000u);
  first->drop();
  EXPECT_EQ(pool.held_bytes(), held);
  // A little less, but of the same class.
  Storage* second = pool.allocate(950);
  EXPECT_EQ(second->data, address);
  EXPECT_EQ(second->bytes, 950u);
  EXPECT_EQ(pool.held_bytes(), held);
  second->drop();
}

TEST(MemoryPool, NeverGivesMemoryThatIsInUse) {
  MemoryPool pool;
  std::set<void*> addresses;
  std::vector<Storage*> used;
  for (int i = 0; i < 100; ++i) {
    used.push_back(pool.allocate(256));
    EXPECT_TRUE(addresses.insert(used.back()->data).second);
  }
  for (Storage* storage : used) storage->drop();
}

TEST(MemoryPool, TakesMemoryBackWithTheLastReferenceOnly) {
  MemoryPool pool;
  Storage* first = pool.allocate(256);
  first->retain();
  first->drop();
  Storage* second = pool.allocate(256);
  EXPECT_NE(second->data, first->data);
  first->drop();
  second->drop();
}

TEST(MemoryPool, HoldsNoMoreThanWasEverInUseAtOnce) {
  MemoryPool pool;
  // One after the other, each of another class, with a run between that uses none: at most one is in use.
  std::uint64_t most = 0;
  for (std::size_t bytes = 1 << 20; bytes >= 256; bytes /= 2) {
    for (int run = 0; run < 2; ++run) pool.begin_run();
    Storage* storage = pool.allocate(bytes);
    most = std::max<std::uint64_t>(most, bytes);
    storage->drop();
    EXPECT_LE(pool.held_bytes(), most);
  }
}

TEST(MemoryPool, KeepsWhatTheLastRunUsedOneAfterTheOther) {
  MemoryPool pool;
  std::vector<void*> before;
  for (int run = 0; run < 4; ++run) {
    pool.begin_run();
    std::vector<void*> addresses;
    for (const std::size_t bytes : {std::size_t{1} << 20, std::size_t{1} << 19, std::size_t{3000}}) {
      Storage* storage = pool.allocate(bytes);
      addresses.push_back(storage->data);
      storage->drop();
    }
    if (run > 0) {
      EXPECT_EQ(addresses, before);
    }
    before = addresses;
  }
}

TEST(MemoryPool, GivesWhatOutlivedItsRunToRunsOfTheSameStreamOnly) {
  MemoryPool pool;
  pool.begin_run(1);
  Storage* const temporary = pool.allocate(256);
  Storage* const output = pool.allocate(256);
  void* const of_temporary = temporary->data;
  void* const of_output = output->data;
  temporary->drop();
  pool.end_run();
  output->drop();

  pool.begin_run(2);
  Storage* const first = pool.allocate(256);
  Storage* const second = pool.allocate(256);
  EXPECT_EQ(first->data, of_temporary);
  EXPECT_NE(second->data, of_output);
  second->drop();
  first->drop();
  pool.end_run();

  pool.begin_run(1);
  Storage* const again = pool.allocate(256);
  std::set<void*> taken{again->data};
  Storage* const more = pool.allocate(256);
  taken.insert(more->data);
  Storage* const last = pool.allocate(256);
  taken.insert(last->data);
  EXPECT_TRUE(taken.contains(of_output));
  for (Storage* each : {again, more, last}) each->drop();
  pool.end_run();
  EXPECT_EQ(pool.held_bytes(), 3 * 256U);
}

TEST(MemoryPool, IsNotFilledByStreamsThatComeAndGo) {
  MemoryPool pool;
  std::uint64_t most = 0;
  for (std::uint64_t stream = 1; stream < 200; ++stream) {
    pool.begin_run(stream);
    pool.allocate(1000)->drop();
    Storage* const output = pool.allocate(3000);
    pool.end_run();
    output->drop();
    most = std::max(most, pool.held_bytes());
  }
  EXPECT_LE(most, 6 * pool.peak_bytes());
  // Two that take turns keep theirs.
  std::vector<void*> places;
  for (std::uint64_t run = 0; run < 10; ++run) {
    pool.begin_run(1000 + run % 2);
    Storage* const output = pool.allocate(3000);
    pool.end_run();
    if (run >= 2) EXPECT_EQ(output->data, places[run - 2]);
    places.push_back(output->data);
    output->drop();
  }
}

TEST(MemoryPool, WastesAtMostAQuarter) {
  for (std::size_t bytes = 256; bytes < 1 << 20; bytes = bytes * 9 / 8 + 1) {
    MemoryPool pool;
    Storage* storage = pool.allocate(bytes);
    EXPECT_GE(pool.held_bytes(), bytes);
    EXPECT_LE(pool.held_bytes(), bytes + bytes / 4 + 1) << bytes;
    storage->drop();
  }
}

TEST(MemoryPool, RefusesWhatNoMachineHas) {
  MemoryPool pool;
  for (const std::size_t bytes : {std::size_t{1} << 55, std::size_t{1} << 60, SIZE_MAX}) {
    try {
      pool.allocate(bytes)->drop();
      ADD_FAILURE() << bytes << " bytes were given";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
      EXPECT_NE(std::string(error.what()).find(std::to_string(bytes)), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(pool.held_bytes(), 0u);
}

TEST(MemoryPool, MayBeGoneBeforeItsStorages) {
  auto pool = std::make_unique<MemoryPool>();
  Storage* one = pool->allocate(4096);
  Storage* other = pool->allocate(100);
  pool->allocate(8192)->drop();
  pool.reset();
  std::memset(one->data, 1, one->bytes);
  one->drop();
  std::memset(other->data, 1, other->bytes);
  other->drop();
}

TEST(MemoryPool, TakesStoragesBackFromOtherThreads) {
  MemoryPool pool;
  constexpr int kRounds = 200;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        Storage* storage = pool.allocate(256);
        std::memset(storage->data, i, storage->bytes);
        std::thread([storage, i] {
          EXPECT_EQ(static_cast<const unsigned char*>(storage->data)[255], i);
          storage->drop();
        }).join();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(pool.held_bytes(), 4u * 256u);
}

TEST(MemoryPool, ClearsWhatWasDerivedFromTheBytes) {
  struct Marked : DerivedData {
    explicit Marked(bool& gone) : gone_(gone) {}
    ~Marked() override { gone_ = true; }
    bool& gone_;
  };
  MemoryPool pool;
  bool gone = false;
  Storage* storage = pool.allocate(256);
  storage->derived.push_back(std::make_unique<Marked>(gone));
  storage->drop();
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace penstock::tensor
