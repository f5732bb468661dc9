#pragma once

#include <array>
#include <cstdint>

// TensorRT's types as they lie in memory and are passed.
namespace penstock::trt_double {

/// Dims64: passed by reference, returned by value.
struct Dims {
  std::int32_t count = 0;
  std::array<std::int64_t, 8> sizes{};
};
static_assert(sizeof(Dims) == 72);

struct InterfaceInfo {
  const char* kind;
  std::int32_t major;
  std::int32_t minor;
};

enum class Severity : std::int32_t { InternalError = 0, Error = 1, Warning = 2, Info = 3, Verbose = 4 };

enum class DataType : std::int32_t {
  Float = 0,
  Half = 1,
  Int8 = 2,
  Int32 = 3,
  Bool = 4,
  BFloat16 = 7,
  Int64 = 8
};

enum class IoMode : std::int32_t { None = 0, Input = 1, Output = 2 };
enum class Location : std::int32_t { Device = 0, Host = 1 };
enum class ProfileSelector : std::int32_t { Min = 0, Opt = 1, Max = 2 };
enum class AllocationStrategy : std::int32_t { Static = 0, OnProfileChange = 1, UserManaged = 2 };

using VtableEntry = void*;

/// Objects that hosts hold: only destructors are virtual, all else is called through `impl`.
struct Face {
  const VtableEntry* vtable = nullptr;
  void* impl = nullptr;
};
static_assert(sizeof(Face) == 16);

/// An object of the host: nothing is known but where its functions are.
struct HostObject {
  const VtableEntry* vtable;
};

template <class Function>
Function* slot_of(const HostObject& object, int slot) {
  return reinterpret_cast<Function*>(object.vtable[slot]);
}

/// IVersionedInterface.
enum HostSlot : int { kGetApiLanguage = 0, kGetInterfaceInfo = 1, kFirstOfVersioned = 4 };

inline InterfaceInfo interface_info(HostObject& object) {
  return slot_of<InterfaceInfo(HostObject*)>(object, kGetInterfaceInfo)(&object);
}

}  // namespace penstock::trt_double
