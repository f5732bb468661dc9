#include "cuda/execution_resource.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"

namespace penstock::cuda {
namespace {

constexpr int kDefaultPriority = 0;

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

/// The device of a stream of this context. Drivers before CUDA 12.8 tell only that of the current context,
/// which this one is for a moment then; others do not tell that of a stream that is being captured.
DeviceNumber device_of(StreamHandle stream, ContextHandle context) {
  const Driver& table = driver();
  DeviceNumber device = 0;
  if (table.stream_get_device != nullptr) {
    const Result result = table.stream_get_device(stream, &device);
    if (result == kSuccess) return device;
    if (result != kStreamCaptureUnsupported) check_stream(result, "cuStreamGetDevice", stream);
  }
  const ContextScope scope(context);
  check_stream(table.ctx_get_device(&device), "cuCtxGetDevice", stream);
  return device;
}

ExecutionResource resource_of_default(StreamHandle stream) {
  ExecutionResource resource;
  resource.context = current_context();
  if (resource.context == nullptr) {
    base::fail(ErrorCode::InvalidArgument,
               "{} is the one of the current context, and this thread has none; make one current "
               "(cudaSetDevice, cuCtxSetCurrent), or give a stream",
               stream_text(stream));
  }
  // A green context that is current is asked for by the legacy stream: the per-thread one does not exist
  // then.
  resource.green = green_of(reinterpret_cast<StreamHandle>(kLegacyStream));
  if (resource.green != nullptr && number_of(stream) == kPerThreadStream) {
    base::fail(
        ErrorCode::InvalidArgument,
        "CUDA has no per-thread default stream while a green context is current; give a stream of that "
        "context (GreenContext::create_stream), or the legacy default stream");
  }
  DeviceNumber device = 0;
  check_stream(driver().ctx_get_device(&device), "cuCtxGetDevice", stream);
  resource.device = device;
  return resource;
}

/// `known`: a context whose device need not be asked for; null: none.
ExecutionResource resource_of_own(StreamHandle stream, const PrimaryContext* known) {
  ExecutionResource resource;
  check_stream(driver().stream_get_ctx(stream, &resource.context), "cuStreamGetCtx", stream);
  resource.green = green_of(stream);
  const bool is_known = known != nullptr && known->handle() == resource.context;
  resource.device = is_known ? known->device() : device_of(stream, resource.context);
  return resource;
}

/// Refuses a stream of another device than the model's, and of a context there that is neither the primary
/// one, where its kernels and events are, nor a green one, which takes these.
void require_same(const ExecutionResource& resource, const PrimaryContext& context, const std::string& what) {
  if (resource.device != context.device()) {
    base::fail(ErrorCode::InvalidArgument, "{} another device than cuda:{}, where the model is", what,
               context.device());
  }
  if (resource.green != nullptr || resource.context == context.handle()) return;
  base::fail(
      ErrorCode::InvalidArgument,
      "{} a context of cuda:{} that is not its primary one (of cuCtxCreate), and what a model has is of "
      "the primary one; give a stream of that, as CUDA's runtime makes them, or of a partition",
      what, context.device());
}

}  // namespace

bool is_default(StreamHandle stream) noexcept { return number_of(stream) <= kPerThreadStream; }

std::string stream_text(StreamHandle stream) {
  if (number_of(stream) == kPerThreadStream) return "the per-thread default stream";
  if (is_default(stream)) return "the legacy default stream";
  return fmt::format("stream {:#x}", number_of(stream));
}

void check_stream(Result result, const char* call, StreamHandle stream) {
  const bool is_gone = result == kInvalidHandle || result == kInvalidContext || result == kContextIsDestroyed;
  if (!is_gone || is_default(stream)) {
    check(result, call, stream_text(stream));
    return;
  }
  throw Error(
      ErrorCode::Cuda,
      fmt::format("{}: {} failed: {}; the stream or its green context has been destroyed, or the handle was "
                  "never one of a stream of this process",
                  stream_text(stream), call, error_text(result)),
      result);
}

ExecutionResource resource_of(StreamHandle stream) {
  return is_default(stream) ? resource_of_default(stream) : resource_of_own(stream, nullptr);
}

ExecutionResource resource_of(StreamHandle stream, const PrimaryContext& context) {
  if (!is_default(stream)) {
    const ExecutionResource resource = resource_of_own(stream, &context);
    require_same(resource, context, stream_text(stream) + " belongs to");
    return resource;
  }
  if (current_context() == nullptr) return {.device = context.device(), .context = context.handle()};
  const ExecutionResource resource = resource_of_default(stream);
  require_same(resource, context, stream_text(stream) + " is that of the current context, which is of");
  return resource;
}

ExecutionResource resource_of_captured(StreamHandle stream, const PrimaryContext& context) {
  ExecutionResource resource{.device = context.device()};
  check_stream(driver().stream_get_ctx(stream, &resource.context), "cuStreamGetCtx", stream);
  resource.green = green_of(stream);
  if (resource.green != nullptr || resource.context == context.handle()) return resource;
  base::fail(ErrorCode::InvalidArgument,
             "{} belongs to another device than cuda:{}, where the model is, or to a context that is not its "
             "primary one",
             stream_text(stream), context.device());
}

unsigned long long green_id_of(const ExecutionResource& resource) {
  const Driver& table = driver();
  unsigned long long id = 0;
  if (resource.green == nullptr) return id;
  if (table.green_ctx_get_id != nullptr) {
    check(table.green_ctx_get_id(resource.green, &id), "cuGreenCtxGetId", "the green context of a stream");
  } else {
    check(table.ctx_get_id(resource.context, &id), "cuCtxGetId", "the green context of a stream");
  }
  return id;
}

unsigned sm_count_of(int device) {
  int count = 0;
  check(driver().device_get_attribute(&count, kMultiprocessorCount, device_number(device)),
        "cuDeviceGetAttribute", fmt::format("cuda:{}", device));
  return static_cast<unsigned>(count);
}

unsigned sm_count_of(const ExecutionResource& resource) {
  const Driver& table = driver();
  const std::string what = fmt::format("cuda:{}", resource.device);
  Resource sms;
  if (resource.green != nullptr) {
    check(table.green_ctx_get_dev_resource(resource.green, &sms, Resource::Sm), "cuGreenCtxGetDevResource",
          what);
    return sms.sm.sm_count;
  }
  // A context can have fewer SMs than its device: under MPS, or by execution affinity. GPUs without
  // partitions do not answer.
  if (table.ctx_get_dev_resource != nullptr) {
    const Result result = table.ctx_get_dev_resource(resource.context, &sms, Resource::Sm);
    if (result == kSuccess) return sms.sm.sm_count;
    if (result != kNotSupported && result != kInvalidResourceType) check(result, "cuCtxGetDevResource", what);
  }
  return sm_count_of(resource.device);
}

StreamHandle create_stream_in(const ExecutionResource& resource, const PrimaryContext& context) {
  const Driver& table = driver();
  const std::string what = fmt::format("cuda:{}", resource.device);
  StreamHandle stream = nullptr;
  if (resource.green != nullptr) {
    if (table.green_ctx_stream_create == nullptr) {
      base::fail(ErrorCode::Incompatible, "streams of green contexts need a driver of CUDA 12.5 or later");
    }
    check(table.green_ctx_stream_create(&stream, resource.green, kStreamNonBlocking, kDefaultPriority),
          "cuGreenCtxStreamCreate", what);
    return stream;
  }
  const ContextScope scope(context);
  check(table.stream_create_with_priority(&stream, kStreamNonBlocking, kDefaultPriority),
        "cuStreamCreateWithPriority", what);
  return stream;
}

StreamScope::StreamScope(StreamHandle stream) : resource_(resource_of(stream)) {
  if (is_default(stream)) return;
  if (resource_.green == nullptr) {
    scope_.emplace(resource_.context);
    return;
  }
  primary_ = primary_context(resource_.device);
  scope_.emplace(*primary_);
}

}  // namespace penstock::cuda
