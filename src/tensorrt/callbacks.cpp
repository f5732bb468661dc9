#include "tensorrt/callbacks.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace penstock::tensorrt {
namespace {

thread_local CollectedLog* collecting = nullptr;

LogLevel level_of(std::int32_t severity) {
  switch (static_cast<abi::Severity>(severity)) {
    case abi::Severity::InternalError:
    case abi::Severity::Error: return LogLevel::Error;
    case abi::Severity::Warning: return LogLevel::Warning;
    case abi::Severity::Info: return LogLevel::Info;
    case abi::Severity::Verbose: break;
  }
  return LogLevel::Debug;
}

std::int32_t language(void*) noexcept { return 0; }
void destroyed(void*) noexcept {}
void log_line(void*, std::int32_t severity, const char* line) noexcept { CollectedLog::note(severity, line); }

abi::InterfaceInfo logger_info(void*) noexcept { return {"ILogger", 1, 0}; }
abi::InterfaceInfo profiler_info(void*) noexcept { return {"IProfiler", 1, 0}; }
abi::InterfaceInfo allocator_info(void*) noexcept { return {"IOutputAllocator", 1, 0}; }

template <class Function>
void* entry(Function* function) noexcept {
  return reinterpret_cast<void*>(function);
}

}  // namespace

void CollectedLog::note(std::int32_t severity, const char* line) noexcept {
  if (line == nullptr) return;
  const LogLevel level = level_of(severity);
  try {
    if (level != LogLevel::Error || collecting == nullptr) {
      base::log(level, fmt::format("TensorRT: {}", line));
      return;
    }
    constexpr std::size_t kMost = 8;
    if (collecting->lines_.size() < kMost) {
      collecting->lines_.emplace_back(line);
    } else {
      ++collecting->left_out_;
    }
  } catch (...) {
    // No memory for a message: there is nobody to tell.
  }
}

Logger& Logger::of(const abi::Numbering& numbering) noexcept {
  static void* const kPlain[]{entry(&log_line), entry(&destroyed), entry(&destroyed)};
  static void* const kVersioned[]{entry(&language), entry(&logger_info), entry(&destroyed), entry(&destroyed),
                                  entry(&log_line)};
  // Nothing of them is destroyed.
  static Logger plain(kPlain);
  static Logger versioned(kVersioned);
  return numbering.versioned_callbacks ? versioned : plain;
}

CollectedLog::CollectedLog() noexcept : outer_(std::exchange(collecting, this)) {}

CollectedLog::~CollectedLog() {
  collecting = outer_;
  if (is_told_) return;
  for (const std::string& line : lines_)
    log_line(nullptr, static_cast<std::int32_t>(abi::Severity::Error), line.c_str());
}

std::string CollectedLog::text() const {
  is_told_ = true;
  if (lines_.empty()) return "";
  const std::string more = left_out_ == 0 ? "" : fmt::format(" (and {} more)", left_out_);
  return fmt::format("; TensorRT says: {}{}", fmt::join(lines_, " | "), more);
}

struct OutputAllocator::Calls {
  static void* allocate_on(void* self, const char* name, void* /*current*/, std::uint64_t bytes,
                           std::uint64_t alignment, void* stream) noexcept {
    auto& allocator = *static_cast<OutputAllocator*>(self);
    void* memory = nullptr;
    allocator.attempt([&] { memory = allocator.memory_->allocate(name, bytes, alignment, stream); });
    return memory;
  }
  /// The older form. Memory without a stream would be in no order.
  static void* allocate(void* self, const char* name, void*, std::uint64_t, std::uint64_t) noexcept {
    static_cast<OutputAllocator*>(self)->attempt(
        [&] { base::fail(ErrorCode::Unsupported, "TensorRT asks for output {} without a stream", name); });
    return nullptr;
  }
  static void set_shape(void* self, const char* name, const abi::Dims* shape) noexcept {
    auto& allocator = *static_cast<OutputAllocator*>(self);
    allocator.attempt([&] { allocator.memory_->set_shape(name, *shape); });
  }
};

template <class Work>
void OutputAllocator::attempt(Work&& work) noexcept {
  if (memory_ == nullptr) return;
  try {
    std::forward<Work>(work)();
  } catch (...) {
    // The library has null, and gives up.
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
}

OutputAllocator::OutputAllocator() noexcept {
  static void* const kFunctions[]{
      entry(&language),        entry(&allocator_info),     entry(&destroyed),       entry(&destroyed),
      entry(&Calls::allocate), entry(&Calls::allocate_on), entry(&Calls::set_shape)};
  functions_ = kFunctions;
}

struct Profiler::Calls {
  static void report(void* self, const char* layer, float milliseconds) noexcept {
    try {
      static_cast<Profiler*>(self)->layers_.push_back({layer == nullptr ? "" : layer, milliseconds});
    } catch (...) {
      // A layer that there is no memory for is not told.
    }
  }
};

Profiler::Profiler(const abi::Numbering& numbering) noexcept {
  static void* const kPlain[]{entry(&Calls::report), entry(&destroyed), entry(&destroyed)};
  static void* const kVersioned[]{entry(&language), entry(&profiler_info), entry(&destroyed),
                                  entry(&destroyed), entry(&Calls::report)};
  functions_ = numbering.versioned_callbacks ? kVersioned : kPlain;
}

std::vector<TensorRTLayerTime> Profiler::take() noexcept { return std::exchange(layers_, {}); }

}  // namespace penstock::tensorrt
