#include "machine.hpp"

#include <cstdlib>

using namespace penstock::recording;

namespace {

constexpr std::size_t kAlignment = 512;

std::uintptr_t address_of(DevicePointer pointer) { return static_cast<std::uintptr_t>(pointer); }

std::uintptr_t allocate(State& state, Memory::Kind kind, std::size_t bytes) {
  Context& context = state.current();
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* const pointer = std::aligned_alloc(kAlignment, rounded);
  if (pointer == nullptr) throw Failure{kOutOfMemory};
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  state.memory[address] = {.kind = kind, .device = context.device, .context = &context, .bytes = bytes};
  return address;
}

Result release(State& state, std::uintptr_t address, Memory::Kind kind, const char* name) {
  if (address == 0) return kSuccess;
  const auto found = state.memory.find(address);
  if (found == state.memory.end() || found->second.kind != kind) return kInvalidValue;
  state.require_no_capture();
  const int device = found->second.device;
  state.log(std::string(name) + " " + std::to_string(found->second.bytes) + " bytes");
  state.wait_for_device(device, name);
  std::free(reinterpret_cast<void*>(address));
  state.memory.erase(found);
  return kSuccess;
}

/// Throws where the range is not within one allocation; `host`: or in memory that CUDA does not know.
void require_range(State& state, std::uintptr_t address, std::size_t bytes, bool host) {
  const auto* const found = state.find_memory(address);
  if (found == nullptr && host) return;
  if (found == nullptr || bytes > found->second.bytes - (address - found->first))
    throw Failure{kInvalidValue};
}

bool is_pageable(State& state, std::uintptr_t address) { return state.find_memory(address) == nullptr; }

/// One end of a copy.
struct End {
  std::uintptr_t address;
  MemoryType type;  ///< Unified: what the address says.
};

MemcpySide side_of(State& state, const End& end) {
  MemcpySide side;
  side.memory_type = end.type;
  if (end.type == kMemoryUnified) {
    const auto* const found = state.find_memory(end.address);
    const bool device = found != nullptr && (found->second.kind == Memory::Kind::Device ||
                                             found->second.kind == Memory::Kind::Managed);
    side.memory_type = device ? kMemoryDevice : kMemoryHost;
  }
  if (side.memory_type == kMemoryHost) {
    side.host = reinterpret_cast<void*>(end.address);
  } else {
    side.device = static_cast<DevicePointer>(end.address);
  }
  return side;
}

Result copy(const char* name, End to, End from, std::size_t bytes, StreamHandle handle) {
  return call(name, [&](State& state) -> Result {
    Stream& stream = state.stream_of(handle);
    require_range(state, to.address, bytes, true);
    require_range(state, from.address, bytes, true);
    Node node{.type = kGraphMemcpy, .call = name};
    node.copy = {.from = side_of(state, from),
                 .to = side_of(state, to),
                 .width_bytes = bytes,
                 .height = 1,
                 .depth = 1};
    if (stream.capture == nullptr && is_pageable(state, to.address)) state.wait_for(stream, name);
    if (stream.capture == nullptr && is_pageable(state, from.address)) {
      // The driver takes pageable memory over before it returns.
      const auto* const begin = reinterpret_cast<const char*>(from.address);
      const auto kept = std::make_shared<std::vector<char>>(begin, begin + bytes);
      node.copy.from = side_of(state, {reinterpret_cast<std::uintptr_t>(kept->data()), kMemoryHost});
      node.keeps = kept;
    }
    state.submit(stream, std::move(node));
    return kSuccess;
  });
}

template <class T>
Result fill(const char* name, DevicePointer to, T value, std::size_t count, StreamHandle handle) {
  return call(name, [&](State& state) -> Result {
    Stream& stream = state.stream_of(handle);
    require_range(state, address_of(to), count * sizeof(T), false);
    Node node{.type = kGraphMemset, .call = name};
    node.fill = {.to = to, .value = value, .element_bytes = sizeof(T), .width = count, .height = 1};
    state.submit(stream, std::move(node));
    return kSuccess;
  });
}

void write_attribute(const std::pair<const std::uintptr_t, Memory>* found, int attribute, void* value,
                     std::uintptr_t address) {
  const Memory memory = found == nullptr ? Memory{} : found->second;
  const bool host = memory.kind == Memory::Kind::Host || memory.kind == Memory::Kind::Registered;
  // As measured: where no context is current, the device's address of other memory than its own is not told.
  const bool told = found != nullptr && (memory.kind == Memory::Kind::Device || !context_stack().empty());
  switch (attribute) {
    case kPointerContext: *static_cast<void**>(value) = memory.context; break;
    case kPointerMemoryType:
      *static_cast<unsigned*>(value) = found == nullptr ? 0U : host ? kMemoryHost : kMemoryDevice;
      break;
    case kPointerDevicePointer:
      *static_cast<DevicePointer*>(value) = told ? static_cast<DevicePointer>(address) : 0;
      break;
    case kPointerIsManaged: *static_cast<unsigned*>(value) = memory.kind == Memory::Kind::Managed; break;
    case kPointerDeviceOrdinal: *static_cast<int*>(value) = found == nullptr ? -2 : memory.device; break;
    case kPointerRangeStart:
      *static_cast<DevicePointer*>(value) = found == nullptr ? 0 : static_cast<DevicePointer>(found->first);
      break;
    case kPointerRangeSize: *static_cast<std::size_t*>(value) = memory.bytes; break;
    default: throw Failure{kInvalidValue};
  }
}

}  // namespace

PENSTOCK_DRIVER_API cuMemAlloc_v2(DevicePointer* pointer, std::size_t bytes) {
  return call("cuMemAlloc", [&](State& state) -> Result {
    const int device = state.current().device;
    state.require_no_capture();
    if (bytes == 0) return kInvalidValue;
    if (bytes > state.machine.memory_bytes - state.device_bytes(device)) return kOutOfMemory;
    *pointer = allocate(state, Memory::Kind::Device, bytes);
    state.log("cuMemAlloc " + std::to_string(bytes) + " bytes");
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuMemFree_v2(DevicePointer pointer) {
  const auto body = [&](State& state) -> Result {
    return release(state, address_of(pointer), Memory::Kind::Device, "cuMemFree");
  };
  return call("cuMemFree", body, true);
}

PENSTOCK_DRIVER_API cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return call("cuMemGetInfo", [&](State& state) -> Result {
    *total = state.machine.memory_bytes;
    *free = *total - state.device_bytes(state.current().device);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  return call("cuMemHostAlloc", [&](State& state) -> Result {
    state.require_no_capture();
    if (bytes == 0) return kInvalidValue;
    *pointer = reinterpret_cast<void*>(allocate(state, Memory::Kind::Host, bytes));
    state.log("cuMemHostAlloc " + std::to_string(bytes) + " bytes");
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuMemFreeHost(void* pointer) {
  const auto body = [&](State& state) -> Result {
    return release(state, reinterpret_cast<std::uintptr_t>(pointer), Memory::Kind::Host, "cuMemFreeHost");
  };
  return call("cuMemFreeHost", body, true);
}

PENSTOCK_DRIVER_API cuMemcpyAsync(DevicePointer to, DevicePointer from, std::size_t bytes,
                                  StreamHandle stream) {
  return copy("cuMemcpyAsync", {address_of(to), kMemoryUnified}, {address_of(from), kMemoryUnified}, bytes,
              stream);
}

PENSTOCK_DRIVER_API cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, std::size_t bytes,
                                         StreamHandle stream) {
  return copy("cuMemcpyHtoDAsync", {address_of(to), kMemoryDevice},
              {reinterpret_cast<std::uintptr_t>(from), kMemoryHost}, bytes, stream);
}

PENSTOCK_DRIVER_API cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, std::size_t bytes,
                                         StreamHandle stream) {
  return copy("cuMemcpyDtoHAsync", {reinterpret_cast<std::uintptr_t>(to), kMemoryHost},
              {address_of(from), kMemoryDevice}, bytes, stream);
}

PENSTOCK_DRIVER_API cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, std::size_t bytes,
                                         StreamHandle stream) {
  return copy("cuMemcpyDtoDAsync", {address_of(to), kMemoryDevice}, {address_of(from), kMemoryDevice}, bytes,
              stream);
}

PENSTOCK_DRIVER_API cuMemsetD8Async(DevicePointer to, unsigned char value, std::size_t count,
                                    StreamHandle stream) {
  return fill("cuMemsetD8Async", to, value, count, stream);
}

PENSTOCK_DRIVER_API cuMemsetD16Async(DevicePointer to, unsigned short value, std::size_t count,
                                     StreamHandle stream) {
  return fill("cuMemsetD16Async", to, value, count, stream);
}

PENSTOCK_DRIVER_API cuMemsetD32Async(DevicePointer to, unsigned value, std::size_t count,
                                     StreamHandle stream) {
  return fill("cuMemsetD32Async", to, value, count, stream);
}

PENSTOCK_DRIVER_API cuPointerGetAttributes(unsigned count, int* attributes, void** values,
                                           DevicePointer pointer) {
  return call("cuPointerGetAttributes", [&](State& state) -> Result {
    const auto* const found = state.find_memory(address_of(pointer));
    for (unsigned i = 0; i < count; ++i) {
      write_attribute(found, attributes[i], values[i], address_of(pointer));
    }
    return kSuccess;
  });
}
