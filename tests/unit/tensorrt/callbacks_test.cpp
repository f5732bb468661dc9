#include "tensorrt/callbacks.hpp"

#include <penstock/log.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

// What TensorRT does with the objects that it is given: calls by number.
namespace penstock::tensorrt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class Result, class... Arguments>
Result slot_call(void* object, int slot, Arguments... arguments) {
  void** const functions = *static_cast<void***>(object);
  return reinterpret_cast<Result (*)(void*, Arguments...)>(functions[slot])(object, arguments...);
}

std::string kind_of(void* object) { return slot_call<abi::InterfaceInfo>(object, 1).kind; }

/// What goes to the log callback while it lives.
class Logged {
 public:
  Logged() {
    set_log_callback([this](LogLevel, std::string_view text) { lines.emplace_back(text); });
  }
  ~Logged() { set_log_callback({}); }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;
  std::vector<std::string> lines;
};

constexpr int kError = 1;
constexpr int kWarning = 2;

TEST(TensorRTLogger, HasTheLayoutOfItsVersion) {
  Logger& of_10 = Logger::of(abi::kNumbering10);
  Logger& of_11 = Logger::of(abi::kNumbering11);
  const CollectedLog log;
  slot_call<void>(of_10.object(), 0, kError, "ten");
  slot_call<void>(of_11.object(), 4, kError, "eleven");
  EXPECT_EQ(log.text(), "; TensorRT says: ten | eleven");
  EXPECT_EQ(kind_of(of_11.object()), "ILogger");
  EXPECT_EQ(slot_call<int>(of_11.object(), 0), 0);
}

TEST(TensorRTLogger, GivesErrorsToTheInnermostOfThisThread) {
  Logged logged;
  Logger& logger = Logger::of(abi::kNumbering11);
  const CollectedLog outer;
  {
    const CollectedLog inner;
    slot_call<void>(logger.object(), 4, kError, "one");
    slot_call<void>(logger.object(), 4, kWarning, "two");
    std::thread([&] { slot_call<void>(logger.object(), 4, kError, "three"); }).join();
    EXPECT_EQ(inner.text(), "; TensorRT says: one");
  }
  {
    const CollectedLog untold;
    slot_call<void>(logger.object(), 4, kError, "four");
  }
  EXPECT_EQ(outer.text(), "; TensorRT says: four") << "what the inner one did not tell";
  EXPECT_THAT(logged.lines, ElementsAre("TensorRT: two", "TensorRT: three"));
}

TEST(TensorRTLogger, GivesWhatNoMessageTellsToTheLog) {
  Logged logged;
  {
    const CollectedLog log;
    slot_call<void>(Logger::of(abi::kNumbering11).object(), 4, kError, "one");
  }
  EXPECT_THAT(logged.lines, ElementsAre("TensorRT: one"));
}

TEST(TensorRTLogger, KeepsTheFirstLinesAndCountsTheRest) {
  Logger& logger = Logger::of(abi::kNumbering11);
  const CollectedLog log;
  for (int i = 0; i < 20; ++i) slot_call<void>(logger.object(), 4, kError, "line");
  EXPECT_THAT(log.text(), HasSubstr("(and 12 more)"));
}

class Memory final : public OutputMemory {
 public:
  void* allocate(const char* name, std::uint64_t bytes, std::uint64_t, void* stream) override {
    if (bytes > sizeof memory) throw std::runtime_error("too many bytes");
    calls.push_back(std::string(name) + " " + std::to_string(bytes) + (stream == this ? " here" : ""));
    return memory;
  }
  void set_shape(const char* name, const abi::Dims& shape) override {
    calls.push_back(std::string(name) + " is " + std::to_string(shape.all().size()) + "d");
  }
  char memory[16]{};
  std::vector<std::string> calls;
};

/// What went wrong since the last time; nobody is served afterwards.
std::string failure_of(OutputAllocator& allocator) {
  const std::exception_ptr failure = allocator.stop();
  if (failure == nullptr) return "none";
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(TensorRTOutputAllocator, AsksForMemoryOnTheStream) {
  OutputAllocator allocator;
  Memory memory;
  EXPECT_EQ(kind_of(allocator.object()), "IOutputAllocator");
  const auto ask = [&](std::uint64_t bytes) {
    return slot_call<void*>(allocator.object(), 5, "out", static_cast<void*>(nullptr), bytes,
                            std::uint64_t{256}, static_cast<void*>(&memory));
  };
  EXPECT_EQ(ask(8), nullptr) << "it serves nobody";
  allocator.serve(&memory);
  EXPECT_EQ(ask(8), memory.memory);
  const abi::Dims dims{.count = 2, .sizes = {2, 1}};
  slot_call<void>(allocator.object(), 6, "out", &dims);
  EXPECT_THAT(memory.calls, ElementsAre("out 8 here", "out is 2d"));
  EXPECT_EQ(failure_of(allocator), "none");
  EXPECT_EQ(ask(8), nullptr) << "it serves nobody any more";
  allocator.serve(&memory);
  EXPECT_EQ(ask(100), nullptr);
  EXPECT_EQ(failure_of(allocator), "too many bytes");
  EXPECT_EQ(failure_of(allocator), "none") << "it is told once";
}

TEST(TensorRTOutputAllocator, GivesNothingWithoutAStream) {
  OutputAllocator allocator;
  Memory memory;
  allocator.serve(&memory);
  EXPECT_EQ(slot_call<void*>(allocator.object(), 4, "out", static_cast<void*>(nullptr), std::uint64_t{8},
                             std::uint64_t{256}),
            nullptr);
  EXPECT_THAT(failure_of(allocator), HasSubstr("without a stream"));
  EXPECT_THAT(memory.calls, IsEmpty());
}

TEST(TensorRTProfiler, KeepsWhatItIsTold) {
  for (const auto* numbering : {&abi::kNumbering10, &abi::kNumbering11}) {
    Profiler profiler(*numbering);
    slot_call<void>(profiler.object(), numbering->versioned_callbacks ? 4 : 0, "conv", 1.5F);
    const auto times = profiler.take();
    ASSERT_EQ(times.size(), 1U);
    EXPECT_EQ(times[0].layer, "conv");
    EXPECT_EQ(times[0].milliseconds, 1.5);
    EXPECT_THAT(profiler.take(), IsEmpty());
  }
}

}  // namespace
}  // namespace penstock::tensorrt
