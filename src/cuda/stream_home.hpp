#pragma once

#include "cuda/context.hpp"

#include <penstock/stream.hpp>

#include <memory>
#include <optional>
#include <string>

namespace penstock::cuda {

/// Where a stream belongs: to a green context or to an ordinary one, of one device.
struct StreamHome {
  int device = 0;
  ContextHandle context = nullptr;     ///< That the stream belongs to; of a green context, its own.
  GreenContextHandle green = nullptr;  ///< Null: none.

  friend bool operator==(const StreamHome&, const StreamHome&) = default;
};

/// That of a stream; of a default stream, the context that is current on the thread.
/// Errors: as StreamView::device.
StreamHome home_of(StreamHandle stream);

/// SMs that its work may run on. Errors: Cuda.
unsigned sm_count_of(const StreamHome& home);

/// The device of a stream of this context. Drivers before CUDA 12.8 tell only that of the current context,
/// which this one is for a moment then. Errors: Cuda.
DeviceNumber device_of(StreamHandle stream, ContextHandle context);

/// "stream 0x5581", "the legacy default stream", "the per-thread default stream".
std::string stream_text(StreamHandle stream);

bool is_default(StreamHandle stream) noexcept;

inline StreamHandle handle_of(StreamView stream) noexcept {
  return static_cast<StreamHandle>(stream.handle());
}

/// Makes a context current in which calls about the stream may be made, for as long as it lives: the stream's
/// own, but of a stream in a green context the primary one, since a green one may be current on one thread
/// only. For a default stream the context stays the one that is current. Errors: as home_of.
class StreamScope {
 public:
  explicit StreamScope(StreamHandle stream);
  [[nodiscard]] const StreamHome& home() const noexcept { return home_; }

 private:
  StreamHome home_;
  std::shared_ptr<const PrimaryContext> primary_;
  std::optional<ContextScope> scope_;
};

/// `check` for a call about a stream: says what an invalid handle means.
void check_stream(Result result, const char* call, StreamHandle stream);

}  // namespace penstock::cuda
