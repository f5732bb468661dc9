#pragma once

#include "cuda/context.hpp"
#include "cuda/execution_resource.hpp"

#include <memory>

namespace penstock::cuda {

/// A non-blocking stream of ours in an execution resource, which may be a green context of others: where that
/// is destroyed first, the stream has gone with it. Thread: one caller at a time.
class ResourceStream {
 public:
  /// Errors: as create_stream_in.
  ResourceStream(const ExecutionResource& resource, std::shared_ptr<const PrimaryContext> context);
  ~ResourceStream();
  ResourceStream(const ResourceStream&) = delete;
  ResourceStream& operator=(const ResourceStream&) = delete;

  [[nodiscard]] StreamHandle handle() const noexcept { return handle_; }

 private:
  std::shared_ptr<const PrimaryContext> context_;
  StreamHandle handle_;
  unsigned long long id_ = 0;  ///< Tells it from one of others at the same address.
};

/// True where the handle is not that of the stream with this id any more: it is gone with its green context,
/// and may have come again as a stream of others. False where the driver has no ids. Errors: none.
bool has_gone(const Driver& driver, StreamHandle stream, unsigned long long id) noexcept;

/// A number that the driver gives to no other stream; 0 where it has none. Errors: Cuda.
unsigned long long id_of(StreamHandle stream);

}  // namespace penstock::cuda
