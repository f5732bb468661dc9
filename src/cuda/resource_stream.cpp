#include "cuda/resource_stream.hpp"

#include "cuda/driver.hpp"

#include <utility>

namespace penstock::cuda {

bool has_gone(const Driver& driver, StreamHandle stream, unsigned long long id) noexcept {
  if (driver.stream_get_id == nullptr) return false;
  unsigned long long now = 0;
  const Result result = driver.stream_get_id(stream, &now);
  return result == kContextIsDestroyed || (result == kSuccess && now != id);
}

unsigned long long id_of(StreamHandle stream) {
  const Driver& table = driver();
  unsigned long long id = 0;
  if (table.stream_get_id != nullptr)
    check(table.stream_get_id(stream, &id), "cuStreamGetId", stream_text(stream));
  return id;
}

ResourceStream::ResourceStream(const ExecutionResource& resource,
                               std::shared_ptr<const PrimaryContext> context)
    : context_(std::move(context)), handle_(create_stream_in(resource, *context_)) {
  try {
    id_ = id_of(handle_);
  } catch (...) {
    driver().stream_destroy(handle_);
    throw;
  }
}

ResourceStream::~ResourceStream() {
  release(*context_, "cuStreamDestroy", "a session", [this](const Driver& table) {
    return has_gone(table, handle_, id_) ? kSuccess : table.stream_destroy(handle_);
  });
}

}  // namespace penstock::cuda
