#include "shim/thread_exit.hpp"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace penstock::shim {
namespace {

std::mutex order_mutex;
std::vector<int> order;

void note(void* object) {
  const std::lock_guard lock(order_mutex);
  order.push_back(*static_cast<int*>(object));
}

class ThreadExit : public ::testing::Test {
 protected:
  void SetUp() override { order.clear(); }

  /// Stands for the address range of a library.
  char library_[64] = {};
  char other_library_[64] = {};
  int numbers_[4] = {0, 1, 2, 3};

  void add(int which, char* library) { EXPECT_EQ(register_thread_exit(note, &numbers_[which], library), 0); }
  void unload(char* library) { run_thread_exits(library, library + sizeof library_); }
};

TEST_F(ThreadExit, RunsWhenTheThreadEndsLastFirst) {
  std::thread([&] {
    add(1, library_);
    add(2, library_);
    add(3, other_library_);
    EXPECT_TRUE(order.empty());
  }).join();
  EXPECT_EQ(order, (std::vector<int>{3, 2, 1}));
  // And only once.
  unload(library_);
  EXPECT_EQ(order.size(), 3u);
}

TEST_F(ThreadExit, RunsAtUnloadForTheCallersThread) {
  add(1, library_);
  add(2, library_ + 63);
  unload(library_);
  EXPECT_EQ(order, (std::vector<int>{2, 1}));
  unload(library_);
  EXPECT_EQ(order.size(), 2u);
}

TEST_F(ThreadExit, LeavesOtherLibrariesAlone) {
  add(1, library_);
  add(2, other_library_);
  unload(other_library_);
  EXPECT_EQ(order, (std::vector<int>{2}));
  run_thread_exits(library_ + 1, library_ + 64);
  EXPECT_EQ(order.size(), 1u);
  unload(library_);
  EXPECT_EQ(order, (std::vector<int>{2, 1}));
}

TEST_F(ThreadExit, RunsAtUnloadForThreadsThatLiveOn) {
  std::promise<void> registered;
  std::promise<void> end;
  std::thread thread([&] {
    add(1, library_);
    add(2, other_library_);
    registered.set_value();
    end.get_future().wait();
  });
  registered.get_future().wait();
  unload(library_);
  EXPECT_EQ(order, (std::vector<int>{1}));
  end.set_value();
  thread.join();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

struct Again {
  char* library;
  int* number;
};

void register_again(void* object) {
  const auto& again = *static_cast<Again*>(object);
  EXPECT_EQ(register_thread_exit(note, again.number, again.library), 0);
}

TEST_F(ThreadExit, RunsWhatADestructorRegistersAtTheThreadsEnd) {
  Again again{library_, &numbers_[3]};
  std::thread([&] {
    add(1, library_);
    EXPECT_EQ(register_thread_exit(register_again, &again, library_), 0);
  }).join();
  EXPECT_EQ(order, (std::vector<int>{3, 1}));
}

/// Registers when it is destroyed.
struct Late {
  char* library = nullptr;
  int* number = nullptr;
  ~Late() {
    if (library == nullptr) return;
    EXPECT_EQ(register_thread_exit(note, number, library), 0);
  }
};

TEST_F(ThreadExit, DropsWhatIsRegisteredWhenTheThreadHasRunItsOwn) {
  std::thread([&] {
    // Made before the thread's list, so destroyed after it.
    thread_local Late late;
    late.library = library_;
    late.number = &numbers_[2];
    add(1, library_);
  }).join();
  EXPECT_EQ(order, (std::vector<int>{1}));
  unload(library_);
  EXPECT_EQ(order, (std::vector<int>{1}));
}

TEST_F(ThreadExit, LeavesNothingBehindThatADestructorRegistersAtUnload) {
  Again again{library_, &numbers_[3]};
  EXPECT_EQ(register_thread_exit(register_again, &again, library_), 0);
  unload(library_);
  EXPECT_EQ(order, (std::vector<int>{3})) << "it would be run from unmapped memory";
}

TEST_F(ThreadExit, TakesManyThreadsAndUnloadsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 100; ++round) {
        char library[64];
        int number = i;
        EXPECT_EQ(register_thread_exit(note, &number, library), 0);
        run_thread_exits(library, library + 64);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order.size(), 800u);
}

}  // namespace
}  // namespace penstock::shim
