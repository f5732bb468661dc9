// An operator that has run asks the system for no memory when it runs again: what it makes, and what it needs
// while it works, comes from the run's pool. Recorded calls are made twice here, and what they ask for is
// counted. The allocator has to be replaced for that, in a process of its own.
#include "contract/machine.hpp"
#include "tensor/memory_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <optional>

namespace {

std::atomic<bool> is_counting{false};
std::atomic<int> asked{0};

void count() {
  if (is_counting) ++asked;
}

}  // namespace

// All other forms of new come to this one, but those of types with a larger alignment.
void* operator new(std::size_t bytes) {
  count();
  if (void* const block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (void* const block = std::aligned_alloc(static_cast<std::size_t>(alignment), bytes)) return block;
  throw std::bad_alloc();
}

void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count();
  void* block = nullptr;
  return ::posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
}

namespace penstock::contract {
namespace {

class CountingMachine final : public Machine {
 public:
  void enter(shim::CallContext& context) override { context.pool = &*pool_; }

  void run_case(const nlohmann::json& one, const std::function<void()>& run) override {
    // An error has a text.
    if (one.contains("error")) return;
    pool_.emplace();
    run();
    const int first = asked.exchange(0);
    first_ += first;
    run();
    EXPECT_EQ(asked.exchange(0), 0) << "first " << first << ": " << one.dump();
  }

  void begin_call() override { is_counting = true; }
  void end_call() override { is_counting = false; }

  /// What first runs asked for.
  [[nodiscard]] int first() const { return first_; }

 private:
  std::optional<tensor::MemoryPool> pool_;
  int first_ = 0;
};

}  // namespace
}  // namespace penstock::contract

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  penstock::contract::CountingMachine machine;
  penstock::contract::use_machine(machine);
  const int result = RUN_ALL_TESTS();
  if (result == 0 && machine.first() == 0) {
    std::puts("no memory was asked for here at all: nothing was tested");
    return 1;
  }
  return result;
}
