#pragma once

#include "tensorrt/abi.hpp"

#include <penstock/tensorrt.hpp>

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

// The objects that TensorRT calls: its ILogger, IOutputAllocator and IProfiler, laid out by hand.
namespace penstock::tensorrt {

/// What a library calls to tell what it does. Thread: thread-safe. Lifetime: that of the process, since
/// libraries keep the pointer, also those that are not used in the end.
class Logger {
 public:
  static Logger& of(const abi::Numbering& numbering) noexcept;
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  [[nodiscard]] void* object() noexcept { return this; }

 private:
  explicit Logger(void* const* functions) noexcept : functions_(functions) {}

  void* const* functions_;  // First: an object of TensorRT's class begins with it.
};

/// Collects the errors that TensorRT logs on this thread while it lives, for the message of an Error. What no
/// message tells, what is logged outside of one, and all warnings go to the log callback. Thread: one thread;
/// they nest.
class CollectedLog {
 public:
  CollectedLog() noexcept;
  ~CollectedLog();
  CollectedLog(const CollectedLog&) = delete;
  CollectedLog& operator=(const CollectedLog&) = delete;

  /// "; TensorRT says: ..."; without anything where it said nothing.
  [[nodiscard]] std::string text() const;

  /// Takes a line that TensorRT logs on this thread.
  static void note(std::int32_t severity, const char* line) noexcept;

 private:
  std::vector<std::string> lines_;
  std::size_t left_out_ = 0;
  mutable bool is_told_ = false;
  CollectedLog* outer_;
};

/// Who gives memory for an output whose size is known only when it has been computed.
class OutputMemory {
 public:
  virtual ~OutputMemory() = default;
  /// Memory for the output of this name, ordered on the stream. Errors: whatever it throws; TensorRT gets
  /// null.
  virtual void* allocate(const char* name, std::uint64_t bytes, std::uint64_t alignment, void* stream) = 0;
  virtual void set_shape(const char* name, const abi::Dims& shape) = 0;
};

/// An IOutputAllocator that asks an OutputMemory. An exception is kept until it is asked for.
/// Thread: one caller at a time. Lifetime: longer than the context that it is given to.
class OutputAllocator {
 public:
  OutputAllocator() noexcept;
  OutputAllocator(const OutputAllocator&) = delete;
  OutputAllocator& operator=(const OutputAllocator&) = delete;

  [[nodiscard]] void* object() noexcept { return this; }
  void serve(OutputMemory* memory) noexcept { memory_ = memory; }
  /// Serves nobody from now on, and then there is no memory. Gives why there was none, or a shape could not
  /// be taken, since the last time; null: nothing went wrong.
  [[nodiscard]] std::exception_ptr stop() noexcept {
    memory_ = nullptr;
    return std::exchange(failure_, nullptr);
  }

 private:
  struct Calls;
  template <class Work>
  void attempt(Work&& work) noexcept;

  void* const* functions_;  // First.
  OutputMemory* memory_ = nullptr;
  std::exception_ptr failure_;
};

/// An IProfiler that keeps what it is told. Thread: one caller at a time. Lifetime: as of OutputAllocator.
class Profiler {
 public:
  explicit Profiler(const abi::Numbering& numbering) noexcept;
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  [[nodiscard]] void* object() noexcept { return this; }
  /// What was told since the last time.
  [[nodiscard]] std::vector<TensorRTLayerTime> take() noexcept;

 private:
  struct Calls;

  void* const* functions_;  // First.
  std::vector<TensorRTLayerTime> layers_;
};

}  // namespace penstock::tensorrt
