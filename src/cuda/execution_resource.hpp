#pragma once

#include "cuda/abi.hpp"
#include "cuda/context.hpp"

#include <string>

namespace penstock::cuda {

/// What a stream's work runs on: a green context's SMs, or all of a device.
struct ExecutionResource {
  GreenContextHandle green = nullptr;  ///< Null: the primary context, all SMs.
  int device = 0;
  unsigned sm_count = 0;

  friend bool operator==(const ExecutionResource&, const ExecutionResource&) = default;
};

/// True for the handles that stand for a default stream: null, the legacy one, the one per thread.
[[nodiscard]] inline bool is_default_stream(StreamHandle stream) noexcept {
  return reinterpret_cast<std::uintptr_t>(stream) <= kPerThreadStream;
}

/// The resource that `stream` belongs to; of a default stream, that of the current context.
/// `context` is that of the device that is expected. Errors: InvalidArgument for a stream of another device,
/// or one that is not valid (any more); Cuda.
ExecutionResource resource_of(StreamHandle stream, const PrimaryContext& context);

/// A new non-blocking stream in a resource. Errors: Cuda; Incompatible where the driver has no green
/// contexts.
StreamHandle create_stream_in(const ExecutionResource& resource, const PrimaryContext& context);

/// "stream 0x55... (32 SMs of cuda:0)": how messages name a stream.
std::string stream_text(StreamHandle stream, const ExecutionResource& resource);

}  // namespace penstock::cuda
