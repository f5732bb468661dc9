#include "cuda/abi.hpp"
#include "device.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>

// A CUDA driver without a GPU: its device's memory is the host's, and everything is done before a call
// returns. It has the functions that operators and their tests use; all others answer that they are not
// supported.
namespace {

using namespace penstock::cuda;

constexpr int kVersion = 13000;
constexpr unsigned kSmCount = 2;

void* memory(DevicePointer pointer) { return reinterpret_cast<void*>(pointer); }

/// Any address will do for what nobody looks into.
template <class Handle>
Handle handle() {
  static char place;
  return reinterpret_cast<Handle>(&place);
}

/// Names of functions, whose addresses are their handles.
std::set<std::string>& names() {
  static std::set<std::string> all;
  return all;
}

Result init(unsigned) { return kSuccess; }
Result get_version(int* version) {
  *version = kVersion;
  return kSuccess;
}
Result get_error_text(Result result, const char** text) {
  static std::map<Result, std::string> texts;
  *text = texts.emplace(result, "emulated error " + std::to_string(result)).first->second.c_str();
  return kSuccess;
}
Result module_get_function_count(unsigned* count, ModuleHandle) {
  // All are where they were compiled.
  *count = 0;
  return kSuccess;
}
Result module_enumerate_functions(FunctionHandle*, unsigned, ModuleHandle) { return kSuccess; }
Result module_unload(ModuleHandle) { return kSuccess; }
Result device_get_count(int* count) {
  *count = 1;
  return kSuccess;
}
Result device_get(DeviceNumber* device, int) {
  *device = 0;
  return kSuccess;
}
Result device_get_name(char* name, int bytes, DeviceNumber) {
  std::strncpy(name, "an emulated GPU", static_cast<std::size_t>(bytes));
  return kSuccess;
}
Result device_get_attribute(int* value, int attribute, DeviceNumber) {
  *value = attribute == kMultiprocessorCount ? static_cast<int>(kSmCount) : 9;
  return kSuccess;
}
Result primary_ctx_retain(ContextHandle* context, DeviceNumber) {
  *context = handle<ContextHandle>();
  return kSuccess;
}
Result ctx_get_current(ContextHandle* context) {
  *context = handle<ContextHandle>();
  return kSuccess;
}
Result ctx_get_device(DeviceNumber* device) {
  *device = 0;
  return kSuccess;
}
Result ctx_set_current(ContextHandle) { return kSuccess; }
Result stream_create(StreamHandle* stream, unsigned, int) {
  *stream = handle<StreamHandle>();
  return kSuccess;
}
Result stream_synchronize(StreamHandle) { return kSuccess; }
Result stream_destroy(StreamHandle) { return kSuccess; }

/// Ways of what is captured through streams of a library's own.
std::size_t forks = 0;

/// What is captured runs as well.
Result stream_begin_capture(StreamHandle, int) {
  forks = 0;
  return kSuccess;
}
Result stream_end_capture(StreamHandle, GraphHandle* graph) {
  *graph = handle<GraphHandle>();
  return kSuccess;
}
Result graph_destroy(GraphHandle) { return kSuccess; }
/// One node at the beginning and one at the end of each way.
Result graph_get_nodes(GraphHandle, GraphNodeHandle*, std::size_t* count) {
  *count = 1 + forks;
  return kSuccess;
}
Result graph_get_edges(GraphHandle, GraphNodeHandle* from, GraphNodeHandle* to, std::size_t* count) {
  *count = forks;
  if (from == nullptr) return kSuccess;
  std::fill_n(from, forks, handle<GraphNodeHandle>());
  for (std::size_t i = 0; i < forks; ++i) to[i] = reinterpret_cast<GraphNodeHandle>(i + 1);
  return kSuccess;
}

Result mem_alloc(DevicePointer* pointer, std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  *pointer = reinterpret_cast<DevicePointer>(
      std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment));
  return *pointer != 0 ? kSuccess : kOutOfMemory;
}
Result mem_free(DevicePointer pointer) {
  std::free(memory(pointer));
  return kSuccess;
}
Result memcpy_htod(DevicePointer to, const void* from, std::size_t bytes, StreamHandle) {
  std::memcpy(memory(to), from, bytes);
  return kSuccess;
}
Result memcpy_dtoh(void* to, DevicePointer from, std::size_t bytes, StreamHandle) {
  std::memcpy(to, memory(from), bytes);
  return kSuccess;
}
Result memcpy_dtod(DevicePointer to, DevicePointer from, std::size_t bytes, StreamHandle) {
  std::memmove(memory(to), memory(from), bytes);
  return kSuccess;
}
Result memset_d8(DevicePointer to, unsigned char value, std::size_t count, StreamHandle) {
  std::memset(memory(to), value, count);
  return kSuccess;
}

Result memset_d32(DevicePointer to, unsigned value, std::size_t count, StreamHandle) {
  std::fill_n(static_cast<unsigned*>(memory(to)), count, value);
  return kSuccess;
}

Result module_load_data(ModuleHandle* module, const void*) {
  *module = handle<ModuleHandle>();
  return kSuccess;
}
Result module_get_function(FunctionHandle* function, ModuleHandle, const char* name) {
  if (!penstock::emulation::has_kernel(name)) return kNotFound;
  const std::string& kept = *names().insert(name).first;
  *function = reinterpret_cast<FunctionHandle>(const_cast<std::string*>(&kept));
  return kSuccess;
}
Result launch_kernel(FunctionHandle function, unsigned blocks, unsigned blocks_y, unsigned blocks_z,
                     unsigned threads, unsigned threads_y, unsigned threads_z, unsigned, StreamHandle,
                     void** arguments, void**) {
  if (blocks_y != 1 || blocks_z != 1 || threads_y != 1 || threads_z != 1) return kNotSupported;
  if (blocks == 0 || threads == 0 || threads > 1024) return kInvalidValue;
  penstock::emulation::run_kernel(*reinterpret_cast<const std::string*>(function), blocks, threads,
                                  arguments);
  return kSuccess;
}
Result unsupported() { return kNotSupported; }

template <class Function>
void* address_of(Function* function) {
  return reinterpret_cast<void*>(function);
}

void* find(const std::string& name) {
  static const std::map<std::string, void*> kFunctions{
      {"cuInit", address_of(&init)},
      {"cuDriverGetVersion", address_of(&get_version)},
      {"cuGetErrorName", address_of(&get_error_text)},
      {"cuGetErrorString", address_of(&get_error_text)},
      {"cuDeviceGetCount", address_of(&device_get_count)},
      {"cuDeviceGet", address_of(&device_get)},
      {"cuDeviceGetName", address_of(&device_get_name)},
      {"cuDeviceGetAttribute", address_of(&device_get_attribute)},
      {"cuDevicePrimaryCtxRetain", address_of(&primary_ctx_retain)},
      {"cuCtxGetCurrent", address_of(&ctx_get_current)},
      {"cuCtxGetDevice", address_of(&ctx_get_device)},
      {"cuCtxSetCurrent", address_of(&ctx_set_current)},
      {"cuStreamCreateWithPriority", address_of(&stream_create)},
      {"cuStreamDestroy", address_of(&stream_destroy)},
      {"cuStreamSynchronize", address_of(&stream_synchronize)},
      {"cuStreamBeginCapture", address_of(&stream_begin_capture)},
      {"cuStreamEndCapture", address_of(&stream_end_capture)},
      {"cuGraphDestroy", address_of(&graph_destroy)},
      {"cuGraphGetNodes", address_of(&graph_get_nodes)},
      {"cuGraphGetEdges", address_of(&graph_get_edges)},
      {"cuMemAlloc", address_of(&mem_alloc)},
      {"cuMemFree", address_of(&mem_free)},
      {"cuMemcpyHtoDAsync", address_of(&memcpy_htod)},
      {"cuMemcpyDtoHAsync", address_of(&memcpy_dtoh)},
      {"cuMemcpyDtoDAsync", address_of(&memcpy_dtod)},
      {"cuMemsetD8Async", address_of(&memset_d8)},
      {"cuMemsetD32Async", address_of(&memset_d32)},
      {"cuModuleLoadData", address_of(&module_load_data)},
      {"cuModuleGetFunction", address_of(&module_get_function)},
      {"cuModuleGetFunctionCount", address_of(&module_get_function_count)},
      {"cuModuleEnumerateFunctions", address_of(&module_enumerate_functions)},
      {"cuModuleUnload", address_of(&module_unload)},
      {"cuLaunchKernel", address_of(&launch_kernel)},
  };
  const auto found = kFunctions.find(name);
  return found != kFunctions.end() ? found->second : address_of(&unsupported);
}

}  // namespace

/// Called by libraries that put work on two streams of their own.
extern "C" __attribute__((visibility("default"))) void emulated_driver_fork() { forks += 2; }

extern "C" __attribute__((visibility("default"))) Result cuDriverGetVersion(int* version) {
  return get_version(version);
}

extern "C" __attribute__((visibility("default"))) Result cuGetProcAddress_v2(const char* name, void** address,
                                                                             int, unsigned long long,
                                                                             int* status) {
  *address = find(name);
  *status = 0;
  return kSuccess;
}
