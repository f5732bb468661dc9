#pragma once

#include "abi.hpp"
#include "double.hpp"

#include <gtest/gtest.h>

#include <dlfcn.h>

#include <map>
#include <string>
#include <vector>

// A host of TensorRT as small as can be: functions by their slots, as NvInfer's layout is known, and not by
// slots.hpp.
namespace penstock::trt_double {

struct Slots {
  const char* name;
  const char* library;
  int version;
  bool versioned_logger;
  // Of the runtime.
  int get_logger;
  // Of the engine.
  int get_shape, get_type, io_mode, profile_shape, io_count, io_name, aux_count, streamable, set_budget,
      budget, memory_size, profile_values, aliased, inspector;
  // Of the context.
  int set_profile, set_input_shape, shape, set_address, infer, consumed, set_allocator, most_bytes, enqueue,
      set_aux, set_memory, set_communicator;
};

inline constexpr int kDestroy = 1, kDeserialize = 3, kCreateContext = 5, kSetProfiler = 5;

template <class Result, class... Arguments>
Result call(void* face, int slot, Arguments... arguments) {
  const auto& object = *static_cast<const Face*>(face);
  const auto* const impl = static_cast<const HostObject*>(object.impl);
  return slot_of<Result(const void*, Arguments...)>(*impl, slot)(impl, arguments...);
}

/// An object that the host gave or holds.
class Held {
 public:
  explicit Held(void* face) : face_(face) {}
  ~Held() { reset(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  void* get() const { return face_; }
  void reset() {
    if (face_ != nullptr) slot_of<void(void*)>(*static_cast<HostObject*>(face_), kDestroy)(face_);
    face_ = nullptr;
  }

 private:
  void* face_;
};

/// Keeps what is logged, as an ILogger of either layout.
class Logger {
 public:
  explicit Logger(bool versioned) : table_(versioned ? versioned_table() : plain_table()) {}
  [[nodiscard]] void* object() { return this; }
  [[nodiscard]] const std::string& text() const { return text_; }
  void clear() { text_.clear(); }

 private:
  static void log(Logger* self, std::int32_t severity, const char* message) {
    self->text_ += std::to_string(severity) + " " + message + "\n";
  }
  static std::int32_t language(void*) { return 0; }
  static InterfaceInfo info(void*) { return {"ILogger", 1, 0}; }
  static const VtableEntry* plain_table() {
    static const VtableEntry table[]{reinterpret_cast<VtableEntry>(&log), nullptr, nullptr};
    return table;
  }
  static const VtableEntry* versioned_table() {
    static const VtableEntry table[]{reinterpret_cast<VtableEntry>(&language),
                                     reinterpret_cast<VtableEntry>(&info), nullptr, nullptr,
                                     reinterpret_cast<VtableEntry>(&log)};
    return table;
  }

  const VtableEntry* table_;
  std::string text_;
};

/// An IOutputAllocator with memory of the test.
struct Allocator {
  explicit Allocator(void* memory) : memory_(memory) {}

  const VtableEntry* table = make_table();
  std::int64_t bytes = -1;
  Dims dims;
  void* stream = nullptr;

 private:
  static std::int32_t language(void*) { return 0; }
  static InterfaceInfo info(void*) { return {"IOutputAllocator", 1, 0}; }
  static void* reallocate(Allocator* self, const char*, void*, std::uint64_t wanted, std::uint64_t,
                          void* on) {
    self->bytes = static_cast<std::int64_t>(wanted);
    self->stream = on;
    return self->memory_;
  }
  static void notify(Allocator* self, const char*, const Dims* told) { self->dims = *told; }
  static const VtableEntry* make_table() {
    static const VtableEntry made[]{reinterpret_cast<VtableEntry>(&language),
                                    reinterpret_cast<VtableEntry>(&info),
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    reinterpret_cast<VtableEntry>(&reallocate),
                                    reinterpret_cast<VtableEntry>(&notify)};
    return made;
  }

  void* memory_;
};

/// An IProfiler of either layout.
struct Profiler {
  explicit Profiler(bool versioned) : table(versioned ? versioned_table() : plain_table()) {}

  const VtableEntry* table;
  std::map<std::string, float> times;

 private:
  static void report(Profiler* self, const char* layer, float milliseconds) {
    self->times[layer] = milliseconds;
  }
  static std::int32_t language(void*) { return 0; }
  static InterfaceInfo info(void*) { return {"IProfiler", 1, 0}; }
  static const VtableEntry* plain_table() {
    static const VtableEntry table[]{reinterpret_cast<VtableEntry>(&report)};
    return table;
  }
  static const VtableEntry* versioned_table() {
    static const VtableEntry table[]{reinterpret_cast<VtableEntry>(&language),
                                     reinterpret_cast<VtableEntry>(&info), nullptr, nullptr,
                                     reinterpret_cast<VtableEntry>(&report)};
    return table;
  }
};

/// A library as a host opens it.
class Library {
 public:
  explicit Library(const char* path) : handle_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    EXPECT_NE(handle_, nullptr) << dlerror();
  }
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }

 private:
  void* handle_;
};

}  // namespace penstock::trt_double
