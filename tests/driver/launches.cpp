#include "machine.hpp"

#include <algorithm>
#include <cstring>

using namespace penstock::recording;

namespace {

// CU_LAUNCH_PARAM_*: marks in `extra`.
constexpr std::uintptr_t kEnd = 0;
constexpr std::uintptr_t kBuffer = 1;
constexpr std::uintptr_t kBufferBytes = 2;

Result get_parameter(const Function& function, std::size_t index, std::size_t* offset, std::size_t* bytes) {
  if (function.layout == nullptr) return kNotSupported;
  if (offset == nullptr || index >= function.layout->size()) return kInvalidValue;
  const Parameter& parameter = (*function.layout)[index];
  *offset = parameter.offset;
  if (bytes != nullptr) *bytes = parameter.bytes;
  return kSuccess;
}

/// Kernels of libraries have the same handles: there are no libraries to load.
Function& function_of(State& state, KernelHandle kernel) {
  return state.function_of(reinterpret_cast<FunctionHandle>(kernel));
}

}  // namespace

namespace penstock::recording {

Launch make_launch(Function& function, std::array<unsigned, 3> grid, std::array<unsigned, 3> block,
                   unsigned shared_bytes) {
  constexpr std::size_t kMostThreads = 1024;
  const std::size_t threads = std::size_t{block[0]} * block[1] * block[2];
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || threads == 0 || threads > kMostThreads)
    throw Failure{kInvalidValue};
  return {.function = &function,
          .kernel = function.name,
          .grid = grid,
          .block = block,
          .shared_bytes = shared_bytes,
          .layout = function.layout};
}

void add_parameters(Launch& launch, void** parameters, void** extra) {
  if (extra != nullptr) {
    const void* buffer = nullptr;
    std::size_t bytes = 0;
    for (; reinterpret_cast<std::uintptr_t>(*extra) != kEnd; extra += 2) {
      const auto mark = reinterpret_cast<std::uintptr_t>(extra[0]);
      if (mark == kBuffer) buffer = extra[1];
      if (mark == kBufferBytes) bytes = *static_cast<const std::size_t*>(extra[1]);
    }
    if (buffer == nullptr || parameters != nullptr) throw Failure{kInvalidValue};
    const auto* const begin = static_cast<const std::byte*>(buffer);
    launch.parameters.assign(begin, begin + bytes);
    launch.packed = true;
  } else if (launch.layout != nullptr && parameters != nullptr) {
    for (std::size_t i = 0; i < launch.layout->size(); ++i) {
      const Parameter& each = (*launch.layout)[i];
      launch.parameters.resize(std::max(launch.parameters.size(), each.offset + each.bytes));
      std::memcpy(launch.parameters.data() + each.offset, parameters[i], each.bytes);
    }
  }
}

std::array<void*, 5> packed_extra(void* buffer, std::size_t* bytes) {
  return {reinterpret_cast<void*>(kBuffer), buffer, reinterpret_cast<void*>(kBufferBytes), bytes,
          reinterpret_cast<void*>(kEnd)};
}

}  // namespace penstock::recording

PENSTOCK_DRIVER_API cuFuncGetParamInfo(FunctionHandle handle, std::size_t index, std::size_t* offset,
                                       std::size_t* bytes) {
  return call("cuFuncGetParamInfo", [&](State& state) -> Result {
    return get_parameter(state.function_of(handle), index, offset, bytes);
  });
}

PENSTOCK_DRIVER_API cuKernelGetParamInfo(KernelHandle handle, std::size_t index, std::size_t* offset,
                                         std::size_t* bytes) {
  return call("cuKernelGetParamInfo", [&](State& state) -> Result {
    return get_parameter(function_of(state, handle), index, offset, bytes);
  });
}

PENSTOCK_DRIVER_API cuKernelGetName(const char** name, KernelHandle handle) {
  return call("cuKernelGetName", [&](State& state) -> Result {
    *name = function_of(state, handle).name.c_str();
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuLaunchKernel(FunctionHandle handle, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z,
                                   unsigned shared_bytes, StreamHandle stream_handle, void** parameters,
                                   void** extra) {
  return call("cuLaunchKernel", [&](State& state) -> Result {
    Function& function = state.function_of(handle);
    Stream& stream = state.stream_of(stream_handle);
    Node node{.type = kGraphKernel, .call = "cuLaunchKernel"};
    node.launch = make_launch(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes);
    if (function.module->device != stream.context->device) return kInvalidContext;
    if (stream.context->other) return kInvalidHandle;
    add_parameters(node.launch, parameters, extra);
    state.submit(stream, std::move(node));
    return kSuccess;
  });
}
