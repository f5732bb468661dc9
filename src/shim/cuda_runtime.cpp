#include "base/fail.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/cuda_call.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"
#include "shim/weight_copies.hpp"

#include <array>
#include <string_view>

// What model libraries call of CUDA's driver and runtime: loading of kernels, launches, memory, events. All
// of it goes through the driver table, on the stream and the device of the current call, so that no
// libcudart is needed, the default stream is never touched, and every launch is seen.
struct CUDAStreamGuardOpaque;

namespace penstock::shim {
namespace {

using cuda::Result;

// Values of cudaMemcpyKind and of cudaError_t, where they are not the driver's.
constexpr int kHostToDevice = 1;
constexpr Result kInvalidDevice = 101;

/// Runs `work`, which gives a driver's result. A failure is kept for the caller and answered as an error:
/// what the library makes of it has lost the driver's code.
template <class Work>
Result answered(const char* call, Work&& work) noexcept {
  Result result = cuda::kInvalidValue;
  const std::int32_t failed = guarded([&] {
    result = work();
    if (result != cuda::kSuccess && result != cuda::kNotReady) cuda::check(result, call, "the model library");
  });
  return failed != 0 && result == cuda::kSuccess ? cuda::kInvalidValue : result;
}

/// The same for what gives something back. Libraries do that in destructors, where an error that they are
/// told of ends the process.
template <class Work>
Result released(const char* call, Work&& work) noexcept {
  const Result result = work();
  if (result != cuda::kSuccess) cuda::report_failed_release(result, call, "a model library");
  return cuda::kSuccess;
}

const CudaCall& call_of_library() {
  const CallContext* const context = current_context();
  if (context == nullptr || context->cuda == nullptr) {
    base::fail(ErrorCode::Internal, "the model library called CUDA outside of a call on a CUDA device");
  }
  return *context->cuda;
}

/// The part of a path behind its last '/': libraries name files by where they were compiled.
std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

Result module_load(cuda::ModuleHandle* module, const char* path) {
  return answered("cuModuleLoad", [&] {
    *module = call_of_library().code->module(file_name(path));
    return cuda::kSuccess;
  });
}

Result module_load_data(cuda::ModuleHandle* module, const void* image) {
  return answered("cuModuleLoadData", [&] {
    *module = call_of_library().code->module(image);
    return cuda::kSuccess;
  });
}

/// Modules go with the model.
Result module_unload(cuda::ModuleHandle) { return cuda::kSuccess; }

Result module_get_function(cuda::FunctionHandle* function, cuda::ModuleHandle module, const char* name) {
  return answered("cuModuleGetFunction", [&] {
    const Result result = cuda::driver().module_get_function(function, module, name);
    if (result == cuda::kNotFound) {
      base::fail(ErrorCode::Corrupt, "the package's kernel files have no kernel \"{}\"", name);
    }
    return result;
  });
}

Result func_set_attribute(cuda::FunctionHandle function, int attribute, int value) {
  return answered("cuFuncSetAttribute",
                  [&] { return cuda::driver().func_set_attribute(function, attribute, value); });
}

Result get_error_string(Result result, const char** text) noexcept {
  return cuda::driver().get_error_string(result, text);
}

const char* name_of(cuda::FunctionHandle function) {
  const cuda::Driver& driver = cuda::driver();
  const char* name = nullptr;
  const bool told =
      driver.func_get_name != nullptr && driver.func_get_name(&name, function) == cuda::kSuccess;
  return told && name != nullptr ? name : "a kernel of the package";
}

Result launch_kernel(cuda::FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                     unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                     cuda::StreamHandle stream, void** parameters, void** extra) {
  return answered("cuLaunchKernel", [&] {
    const CudaCall& call = call_of_library();
    if (call.observer != nullptr) {
      call.observer->launched(CudaObserver::Kind::Kernel, name_of(function), stream);
    }
    const Result result = cuda::driver().launch_kernel(function, grid_x, grid_y, grid_z, block_x, block_y,
                                                       block_z, shared_bytes, stream, parameters, extra);
    if (result != cuda::kSuccess) cuda::check(result, "cuLaunchKernel", "a kernel of the package");
    return result;
  });
}

Result device_of_call(int* device) {
  return answered("cudaGetDevice", [&] {
    *device = call_of_library().device;
    return cuda::kSuccess;
  });
}

Result set_device(int device) {
  return answered("cudaSetDevice",
                  [&] { return device == call_of_library().device ? cuda::kSuccess : kInvalidDevice; });
}

Result device_malloc(void** memory, std::size_t bytes) {
  return answered("cuMemAlloc", [&] {
    *memory = nullptr;
    if (bytes == 0) return cuda::kSuccess;
    cuda::DevicePointer pointer = 0;
    const Result result = cuda::driver().mem_alloc(&pointer, bytes);
    if (result != cuda::kSuccess) {
      cuda::check(result, "cuMemAlloc", fmt::format("{} bytes for weights", bytes));
    }
    *memory = reinterpret_cast<void*>(pointer);
    return cuda::kSuccess;
  });
}

Result device_free(void* memory) noexcept {
  if (memory == nullptr) return cuda::kSuccess;
  return released("cuMemFree",
                  [&] { return cuda::driver().mem_free(reinterpret_cast<cuda::DevicePointer>(memory)); });
}

/// Where the bytes really are that a library means: of its weights it has only the addresses.
const void* real_source(const void* from, std::size_t bytes) {
  const CallContext* const context = current_context();
  return context->copies != nullptr ? context->copies->bytes_at(from, bytes) : from;
}

Result copy_on(void* to, const void* from, std::size_t bytes, int kind, cuda::StreamHandle stream) {
  const cuda::Driver& driver = cuda::driver();
  CudaObserver* const observer = call_of_library().observer;
  const void* const source = kind == kHostToDevice ? real_source(from, bytes) : from;
  // Weights that are going to be given later.
  if (bytes == 0 || source == nullptr) return cuda::kSuccess;
  if (observer != nullptr) observer->launched(CudaObserver::Kind::Copy, "cuMemcpyAsync", stream);
  return driver.memcpy_async(reinterpret_cast<cuda::DevicePointer>(to),
                             reinterpret_cast<cuda::DevicePointer>(source), bytes, stream);
}

Result copy(void* to, const void* from, std::size_t bytes, int kind) {
  return answered("cuMemcpyAsync", [&] {
    cuda::StreamHandle const stream = call_of_library().stream;
    const Result result = copy_on(to, from, bytes, kind, stream);
    if (result != cuda::kSuccess)
      cuda::check(result, "cuMemcpyAsync", fmt::format("{} bytes of weights", bytes));
    return cuda::driver().stream_synchronize(stream);
  });
}

Result copy_async(void* to, const void* from, std::size_t bytes, int kind, cuda::StreamHandle) {
  return answered("cuMemcpyAsync", [&] { return copy_on(to, from, bytes, kind, call_of_library().stream); });
}

/// How cudaPointerAttributes begins in every version.
struct PointerAttributes {
  int memory_type;
  int device;
  void* device_address;
  void* host_address;
};

/// Libraries ask whether they are to read weights on the host before they copy them. They never are: the
/// address that they have need not be where the weights lie.
Result pointer_attributes(PointerAttributes* attributes, const void* address) {
  return answered("cudaPointerGetAttributes", [&] {
    constexpr int kReadByTheDevice = 1;  // cudaMemoryTypeHost
    void* const same = const_cast<void*>(address);
    *attributes = {kReadByTheDevice, call_of_library().device, same, same};
    return cuda::kSuccess;
  });
}

Result event_create(cuda::EventHandle* event) {
  return answered("cuEventCreate",
                  [&] { return cuda::driver().event_create(event, cuda::kEventDisableTiming); });
}

Result event_create_with_flags(cuda::EventHandle* event, unsigned flags) {
  return answered("cuEventCreate", [&] { return cuda::driver().event_create(event, flags); });
}

Result event_destroy(cuda::EventHandle event) noexcept {
  return released("cuEventDestroy", [&] { return cuda::driver().event_destroy(event); });
}

/// Null is the default stream, which is never used: the call's own stands for it. A failure is kept for the
/// caller alone: a library that is told of it behind its folding of constants never deletes them.
Result event_record(cuda::EventHandle event, cuda::StreamHandle stream) {
  answered("cuEventRecord", [&] {
    return cuda::driver().event_record(event, stream != nullptr ? stream : call_of_library().stream);
  });
  return cuda::kSuccess;
}

Result event_query(cuda::EventHandle event) {
  return answered("cuEventQuery", [&] { return cuda::driver().event_query(event); });
}

Result event_synchronize(cuda::EventHandle event) {
  return answered("cuEventSynchronize", [&] { return cuda::driver().event_synchronize(event); });
}

Result stream_create_with_flags(cuda::StreamHandle* stream, unsigned) {
  return answered("cudaStreamCreateWithFlags", [&] {
    *stream = call_of_library().stream;
    return cuda::kSuccess;
  });
}

Result stream_synchronize(cuda::StreamHandle) {
  return answered("cuStreamSynchronize",
                  [&] { return cuda::driver().stream_synchronize(call_of_library().stream); });
}

/// Failures are answered where they happen, so none is ever left over.
Result last_error() { return cuda::kSuccess; }

const char* error_string(Result result) {
  const char* text = nullptr;
  if (get_error_string(result, &text) != cuda::kSuccess || text == nullptr) return "unknown error";
  return text;
}

/// The stream of a call is the caller's from its start to its end. There is nothing to set and to restore,
/// but a guard has to be something.
AOTITorchError create_stream_guard(void* stream, std::int32_t device, CUDAStreamGuardOpaque** guard) {
  return guarded([&] {
    const CudaCall& call = cuda_call();
    if (stream != static_cast<void*>(call.stream) || device != call.device) {
      base::fail(ErrorCode::Unsupported,
                 "the model wants to go on on another stream or device than the caller's");
    }
    *guard = reinterpret_cast<CUDAStreamGuardOpaque*>(const_cast<CudaCall*>(&call));
  });
}

AOTITorchError delete_stream_guard(CUDAStreamGuardOpaque*) { return 0; }

AOTITorchError current_stream(std::int32_t, void** stream) {
  return guarded([&] { *stream = cuda_call().stream; });
}

/// Host memory for copies to the device. That it is pinned would only be faster.
AOTITorchError empty_strided_pinned(std::int64_t ndim, const std::int64_t* sizes, const std::int64_t* strides,
                                    std::int32_t dtype, std::int32_t, std::int32_t, AtenTensorHandle* ret) {
  return guarded([&] {
    *ret =
        make_result(checked_dtype(dtype), checked_span(sizes, ndim), checked_span(strides, ndim)).release();
  });
}

}  // namespace

std::span<const TableEntry> cuda_runtime_functions() {
  static const std::array kTable{
      entry("cuModuleLoad", &module_load),
      entry("cuModuleLoadData", &module_load_data),
      entry("cuModuleUnload", &module_unload),
      entry("cuModuleGetFunction", &module_get_function),
      entry("cuFuncSetAttribute", &func_set_attribute),
      entry("cuGetErrorString", &get_error_string),
      entry("cuLaunchKernel", &launch_kernel),
      entry("cudaGetDevice", &device_of_call),
      entry("cudaSetDevice", &set_device),
      entry("cudaMalloc", &device_malloc),
      entry("cudaFree", &device_free),
      entry("cudaMemcpy", &copy),
      entry("cudaMemcpyAsync", &copy_async),
      entry("cudaPointerGetAttributes", &pointer_attributes),
      entry("cudaEventCreate", &event_create),
      entry("cudaEventCreateWithFlags", &event_create_with_flags),
      entry("cudaEventDestroy", &event_destroy),
      entry("cudaEventRecord", &event_record),
      entry("cudaEventQuery", &event_query),
      entry("cudaEventSynchronize", &event_synchronize),
      entry("cudaStreamCreateWithFlags", &stream_create_with_flags),
      entry("cudaStreamSynchronize", &stream_synchronize),
      entry("cudaGetLastError", &last_error),
      entry("cudaGetErrorString", &error_string),
  };
  return kTable;
}

std::span<const TableEntry> cuda_stream_functions() {
  static const std::array kTable{
      entry("aoti_torch_create_cuda_stream_guard", &create_stream_guard),
      entry("aoti_torch_delete_cuda_stream_guard", &delete_stream_guard),
      entry("aoti_torch_get_current_cuda_stream", &current_stream),
      entry("aoti_torch_empty_strided_pinned", &empty_strided_pinned),
  };
  return kTable;
}

}  // namespace penstock::shim
