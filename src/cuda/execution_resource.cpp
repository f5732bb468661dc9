#include "cuda/execution_resource.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda/stream_home.hpp"

#include <fmt/format.h>

namespace penstock::cuda {
namespace {

constexpr int kDefaultPriority = 0;

std::string handle_text(StreamHandle stream) {
  const auto number = reinterpret_cast<std::uintptr_t>(stream);
  if (number == kPerThreadStream) return "the per-thread default stream";
  if (is_default_stream(stream)) return "the legacy default stream";
  return fmt::format("stream {:#x}", number);
}

/// The device of a context: only the current one can be asked.
DeviceNumber device_of(ContextHandle context) {
  const ContextScope scope(context);
  DeviceNumber device = 0;
  check(driver().ctx_get_device(&device), "cuCtxGetDevice", "the context of a stream");
  return device;
}

void require_device(StreamHandle stream, const PrimaryContext& context) {
  ContextHandle of_stream = nullptr;
  const Result result = driver().stream_get_ctx(stream, &of_stream);
  if (result == kInvalidHandle || result == kInvalidContext) {
    base::fail(ErrorCode::InvalidArgument, "{} is not a stream of this process, or has been destroyed",
               handle_text(stream));
  }
  check(result, "cuStreamGetCtx", handle_text(stream));
  if (of_stream == context.handle() || device_of(stream, of_stream) == context.number()) return;
  base::fail(ErrorCode::InvalidArgument, "{} belongs to another device than cuda:{}, where the model is",
             handle_text(stream), context.device());
}

unsigned sm_count_of(GreenContextHandle green, const PrimaryContext& context) {
  if (green != nullptr) {
    Resource resource;
    check(driver().green_ctx_get_dev_resource(green, &resource, Resource::Sm), "cuGreenCtxGetDevResource",
          "the green context of a stream");
    return resource.sm.sm_count;
  }
  int count = 0;
  check(driver().device_get_attribute(&count, kMultiprocessorCount, context.number()), "cuDeviceGetAttribute",
        fmt::format("cuda:{}", context.device()));
  return static_cast<unsigned>(count);
}

}  // namespace

ExecutionResource resource_of(StreamHandle stream, const PrimaryContext& context) {
  const Driver& table = driver();
  const bool is_default = is_default_stream(stream);
  if (!is_default) require_device(stream, context);
  GreenContextHandle green = nullptr;
  if (table.stream_get_green_ctx != nullptr && (!is_default || current_context() != nullptr)) {
    // Asked as the legacy stream: the per-thread one is refused under a green context.
    StreamHandle const asked = is_default ? reinterpret_cast<StreamHandle>(kLegacyStream) : stream;
    check(table.stream_get_green_ctx(asked, &green), "cuStreamGetGreenCtx", handle_text(stream));
  }
  if (is_default && current_context() != nullptr && device_of(current_context()) != context.number()) {
    base::fail(
        ErrorCode::InvalidArgument,
        "{} is that of the current context, which is of another device than cuda:{}, where the model is",
        handle_text(stream), context.device());
  }
  if (green != nullptr && reinterpret_cast<std::uintptr_t>(stream) == kPerThreadStream) {
    base::fail(
        ErrorCode::InvalidArgument,
        "the per-thread default stream cannot be used while a green context is current: CUDA refuses it; "
        "take a stream of the green context (GreenContext::create_stream)");
  }
  return {.green = green, .device = context.device(), .sm_count = sm_count_of(green, context)};
}

StreamHandle create_stream_in(const ExecutionResource& resource, const PrimaryContext& context) {
  const Driver& table = driver();
  StreamHandle stream = nullptr;
  if (resource.green != nullptr) {
    if (table.green_ctx_stream_create == nullptr) {
      base::fail(ErrorCode::Incompatible, "streams of green contexts need a driver of CUDA 12.5 or later");
    }
    check(table.green_ctx_stream_create(&stream, resource.green, kStreamNonBlocking, kDefaultPriority),
          "cuGreenCtxStreamCreate", fmt::format("cuda:{}", resource.device));
    return stream;
  }
  const ContextScope scope(context);
  check(table.stream_create_with_priority(&stream, kStreamNonBlocking, kDefaultPriority),
        "cuStreamCreateWithPriority", fmt::format("cuda:{}", resource.device));
  return stream;
}

std::string stream_text(StreamHandle stream, const ExecutionResource& resource) {
  return fmt::format("{} ({}{} SMs of cuda:{})", handle_text(stream), resource.green != nullptr ? "" : "all ",
                     resource.sm_count, resource.device);
}

}  // namespace penstock::cuda
