#include "cuda/stream_home.hpp"

#include "base/fail.hpp"

namespace penstock::cuda {
namespace {

std::uintptr_t number_of(StreamHandle stream) noexcept { return reinterpret_cast<std::uintptr_t>(stream); }

/// Null where there is none, or the driver knows of none.
GreenContextHandle green_of(StreamHandle stream) {
  const Driver& table = driver();
  GreenContextHandle green = nullptr;
  if (table.stream_get_green_ctx != nullptr) {
    check_stream(table.stream_get_green_ctx(stream, &green), "cuStreamGetGreenCtx", stream);
  }
  return green;
}

StreamHome home_of_default(StreamHandle stream) {
  StreamHome home;
  home.context = current_context();
  if (home.context == nullptr) {
    base::fail(ErrorCode::InvalidArgument,
               "{} is the one of the current context, and this thread has none; make one current "
               "(cudaSetDevice, cuCtxSetCurrent), or give a stream",
               stream_text(stream));
  }
  // A green context that is current is asked for by the legacy stream: the per-thread one does not exist
  // then.
  home.green = green_of(reinterpret_cast<StreamHandle>(kLegacyStream));
  if (home.green != nullptr && number_of(stream) == kPerThreadStream) {
    base::fail(
        ErrorCode::InvalidArgument,
        "CUDA has no per-thread default stream while a green context is current; give a stream of that "
        "context, or the legacy default stream");
  }
  DeviceNumber device = 0;
  check_stream(driver().ctx_get_device(&device), "cuCtxGetDevice", stream);
  home.device = device;
  return home;
}

}  // namespace

bool is_default(StreamHandle stream) noexcept { return number_of(stream) <= kPerThreadStream; }

std::string stream_text(StreamHandle stream) {
  if (number_of(stream) == kPerThreadStream) return "the per-thread default stream";
  if (is_default(stream)) return "the legacy default stream";
  return fmt::format("stream {:#x}", number_of(stream));
}

void check_stream(Result result, const char* call, StreamHandle stream) {
  if (result != kInvalidHandle || is_default(stream)) {
    check(result, call, stream_text(stream));
    return;
  }
  throw Error(
      ErrorCode::Cuda,
      fmt::format("{}: {} failed: {}; the stream has been destroyed, or the handle was never one of a "
                  "stream of this process",
                  stream_text(stream), call, error_text(result)),
      result);
}

DeviceNumber device_of(StreamHandle stream, ContextHandle context) {
  const Driver& table = driver();
  DeviceNumber device = 0;
  if (table.stream_get_device != nullptr) {
    check_stream(table.stream_get_device(stream, &device), "cuStreamGetDevice", stream);
    return device;
  }
  const ContextScope scope(context);
  check_stream(table.ctx_get_device(&device), "cuCtxGetDevice", stream);
  return device;
}

StreamHome home_of(StreamHandle stream) {
  if (is_default(stream)) return home_of_default(stream);
  StreamHome home;
  check_stream(driver().stream_get_ctx(stream, &home.context), "cuStreamGetCtx", stream);
  home.green = green_of(stream);
  home.device = device_of(stream, home.context);
  return home;
}

unsigned sm_count_of(const StreamHome& home) {
  const Driver& table = driver();
  const std::string what = fmt::format("cuda:{}", home.device);
  Resource sms;
  if (home.green != nullptr) {
    check(table.green_ctx_get_dev_resource(home.green, &sms, Resource::Sm), "cuGreenCtxGetDevResource", what);
    return sms.sm.sm_count;
  }
  // A context can have fewer SMs than its device: under MPS, or by execution affinity. GPUs without
  // partitions do not answer.
  if (table.ctx_get_dev_resource != nullptr) {
    const Result result = table.ctx_get_dev_resource(home.context, &sms, Resource::Sm);
    if (result == kSuccess) return sms.sm.sm_count;
    if (result != kNotSupported && result != kInvalidResourceType) check(result, "cuCtxGetDevResource", what);
  }
  int count = 0;
  check(table.device_get_attribute(&count, kMultiprocessorCount, device_number(home.device)),
        "cuDeviceGetAttribute", what);
  return static_cast<unsigned>(count);
}

StreamScope::StreamScope(StreamHandle stream) : home_(home_of(stream)) {
  if (is_default(stream)) return;
  if (home_.green == nullptr) {
    scope_.emplace(home_.context);
    return;
  }
  primary_ = primary_context(home_.device);
  scope_.emplace(*primary_);
}

}  // namespace penstock::cuda
