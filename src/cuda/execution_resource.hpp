#pragma once

#include "cuda/context.hpp"

#include <penstock/stream.hpp>

#include <memory>
#include <optional>
#include <string>

namespace penstock::cuda {

/// What a stream's work runs on: a green context's SMs, or those of an ordinary context, of one device.
struct ExecutionResource {
  int device = 0;
  ContextHandle context = nullptr;     ///< That the stream belongs to; of a green context, its own.
  GreenContextHandle green = nullptr;  ///< Null: none.
};

/// That of a stream; of a default stream, the context that is current on the thread.
/// Errors: as StreamView::device.
ExecutionResource resource_of(StreamHandle stream);

/// The same for work of a model on the device of `context`, which a default stream is of where no context is
/// current. Errors: InvalidArgument also for a stream of another device.
ExecutionResource resource_of(StreamHandle stream, const PrimaryContext& context);

/// The same of a stream that is being captured, whose device the driver does not tell: that of a green
/// context is taken for the model's. Errors: as StreamView::device; InvalidArgument for a stream of another
/// device.
ExecutionResource resource_of_captured(StreamHandle stream, const PrimaryContext& context);

/// A number that the driver gives to no other green context of the process: handles come again when their
/// contexts are gone. 0 where there is no green context. Errors: Cuda.
unsigned long long green_id_of(const ExecutionResource& resource);

/// SMs of a device. Errors: Cuda.
unsigned sm_count_of(int device);

/// SMs that its work may run on. Errors: Cuda.
unsigned sm_count_of(const ExecutionResource& resource);

/// A new non-blocking stream in a resource; where that is no green context, in the primary context.
/// Errors: Cuda; Incompatible where the driver has no green contexts.
StreamHandle create_stream_in(const ExecutionResource& resource, const PrimaryContext& context);

/// "stream 0x5581", "the legacy default stream", "the per-thread default stream".
std::string stream_text(StreamHandle stream);

/// True for the handles that stand for a default stream: null, the legacy one, the one per thread.
bool is_default(StreamHandle stream) noexcept;

inline StreamHandle handle_of(StreamView stream) noexcept {
  return static_cast<StreamHandle>(stream.handle());
}

/// Makes a context current in which calls about the stream may be made, for as long as it lives: the stream's
/// own, but of a stream in a green context the primary one, since a green one may be current on one thread
/// only. For a default stream the context stays the one that is current. Errors: as resource_of.
class StreamScope {
 public:
  explicit StreamScope(StreamHandle stream);
  [[nodiscard]] const ExecutionResource& resource() const noexcept { return resource_; }

 private:
  ExecutionResource resource_;
  std::shared_ptr<const PrimaryContext> primary_;
  std::optional<ContextScope> scope_;
};

/// `check` for a call about a stream: says what an invalid handle means.
void check_stream(Result result, const char* call, StreamHandle stream);

}  // namespace penstock::cuda
