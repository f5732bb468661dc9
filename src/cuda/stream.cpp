#include <penstock/stream.hpp>

#include "base/fail.hpp"
#include "cuda/execution_resource.hpp"
#include "cuda/stream_impl.hpp"
#include "cuda/used_on_device.hpp"

#include <optional>
#include <utility>

namespace penstock {
namespace {

using cuda::handle_of;
using cuda::StreamScope;

}  // namespace

StreamView StreamView::legacy_default() noexcept {
  return StreamView(reinterpret_cast<void*>(cuda::kLegacyStream));
}

StreamView StreamView::per_thread_default() noexcept {
  return StreamView(reinterpret_cast<void*>(cuda::kPerThreadStream));
}

StreamView StreamView::from_handle(void* handle) noexcept {
  return handle == nullptr ? legacy_default() : StreamView(handle);
}

bool StreamView::is_default() const noexcept { return cuda::is_default(handle_of(*this)); }

Device StreamView::device() const { return {DeviceType::Cuda, cuda::resource_of(handle_of(*this)).device}; }

unsigned StreamView::sm_count() const { return cuda::sm_count_of(cuda::resource_of(handle_of(*this))); }

bool StreamView::in_green_context() const { return cuda::resource_of(handle_of(*this)).green != nullptr; }

bool StreamView::is_capturing() const {
  // Any other stream can be asked with whatever context is current.
  std::optional<StreamScope> scope;
  if (is_default()) scope.emplace(handle_of(*this));
  int status = cuda::kCaptureNone;
  cuda::check_stream(cuda::driver().stream_is_capturing(handle_of(*this), &status), "cuStreamIsCapturing",
                     handle_of(*this));
  return status != cuda::kCaptureNone;
}

bool StreamView::is_done() const {
  const StreamScope scope(handle_of(*this));
  const cuda::Result result = cuda::driver().stream_query(handle_of(*this));
  if (result == cuda::kNotReady) return false;
  cuda::check_stream(result, "cuStreamQuery", handle_of(*this));
  return true;
}

void StreamView::synchronize() const {
  const StreamScope scope(handle_of(*this));
  cuda::check_stream(cuda::driver().stream_synchronize(handle_of(*this)), "cuStreamSynchronize",
                     handle_of(*this));
  cuda::let_go_of_used();
}

void StreamView::wait_for(const Event& event) const {
  const StreamScope scope(handle_of(*this));
  cuda::check_stream(
      cuda::driver().stream_wait_event(handle_of(*this), static_cast<cuda::EventHandle>(event.handle()), 0),
      "cuStreamWaitEvent", handle_of(*this));
}

StreamPriorities stream_priorities(int device) {
  const auto primary = cuda::primary_context(device);
  const cuda::ContextScope scope(*primary);
  StreamPriorities range;
  cuda::check(cuda::driver().ctx_get_stream_priority_range(&range.least, &range.greatest),
              "cuCtxGetStreamPriorityRange", fmt::format("cuda:{}", device));
  return range;
}

Stream::Impl::~Impl() {
  if (handle == nullptr) return;
  cuda::release(*primary, "cuStreamDestroy", "a stream",
                [this](const cuda::Driver& table) { return table.stream_destroy(handle); });
}

Stream Stream::create(const StreamOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->primary = cuda::primary_context(options.device);
  const cuda::ContextScope scope(*impl->primary);
  const unsigned flags = options.waits_for_default_stream ? cuda::kStreamDefault : cuda::kStreamNonBlocking;
  cuda::check(cuda::driver().stream_create_with_priority(&impl->handle, flags, options.priority),
              "cuStreamCreateWithPriority", fmt::format("a stream on cuda:{}", options.device));
  return Stream(std::move(impl));
}

Stream::Stream(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;

StreamView Stream::view() const noexcept { return StreamView::from_handle(impl_->handle); }

int Stream::priority() const {
  const StreamScope scope(impl_->handle);
  int priority = 0;
  cuda::check_stream(cuda::driver().stream_get_priority(impl_->handle, &priority), "cuStreamGetPriority",
                     impl_->handle);
  return priority;
}

}  // namespace penstock
