#include "base/fail.hpp"
#include "cuda/execution_resource.hpp"
#include "cuda/used_on_device.hpp"

#include <penstock/stream.hpp>

#include <utility>

namespace penstock {

struct Event::Impl {
  std::shared_ptr<const cuda::PrimaryContext> primary;
  EventOptions options;
  cuda::EventHandle handle = nullptr;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (handle == nullptr) return;
    cuda::release(*primary, "cuEventDestroy", "an event",
                  [this](const cuda::Driver& table) { return table.event_destroy(handle); });
  }

  [[nodiscard]] std::string text() const { return fmt::format("an event of cuda:{}", options.device); }
};

Event Event::create(const EventOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->primary = cuda::primary_context(options.device);
  impl->options = options;
  const cuda::ContextScope scope(*impl->primary);
  unsigned flags = options.timing ? cuda::kEventDefault : cuda::kEventDisableTiming;
  if (options.yielding) flags |= cuda::kEventBlockingSync;
  cuda::check(cuda::driver().event_create(&impl->handle, flags), "cuEventCreate", impl->text());
  return Event(std::move(impl));
}

Event::Event(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Event::~Event() = default;
Event::Event(Event&&) noexcept = default;
Event& Event::operator=(Event&&) noexcept = default;

void Event::record(StreamView stream) const {
  const cuda::StreamScope scope(cuda::handle_of(stream));
  if (scope.resource().device != impl_->options.device) {
    base::fail(ErrorCode::InvalidArgument,
               "{} is of cuda:{}; {} cannot be recorded on it, make one of that device",
               cuda::stream_text(cuda::handle_of(stream)), scope.resource().device, impl_->text());
  }
  cuda::check_stream(cuda::driver().event_record(impl_->handle, cuda::handle_of(stream)), "cuEventRecord",
                     cuda::handle_of(stream));
}

bool Event::is_done() const {
  const cuda::ContextScope scope(*impl_->primary);
  const cuda::Result result = cuda::driver().event_query(impl_->handle);
  if (result == cuda::kNotReady) return false;
  cuda::check(result, "cuEventQuery", impl_->text());
  return true;
}

void Event::synchronize() const {
  const cuda::ContextScope scope(*impl_->primary);
  cuda::check(cuda::driver().event_synchronize(impl_->handle), "cuEventSynchronize", impl_->text());
  cuda::let_go_of_used();
}

double Event::milliseconds_between(const Event& start, const Event& end) {
  for (const Event* event : {&start, &end}) {
    if (!event->impl_->options.timing) {
      base::fail(ErrorCode::InvalidArgument, "{} was made without timing; set EventOptions::timing",
                 event->impl_->text());
    }
  }
  const cuda::ContextScope scope(*end.impl_->primary);
  float milliseconds = 0;
  const cuda::Result result =
      cuda::driver().event_elapsed_time(&milliseconds, start.impl_->handle, end.impl_->handle);
  if (result == cuda::kNotReady || result == cuda::kInvalidHandle) {
    base::fail(ErrorCode::InvalidArgument,
               "there is no time between two events that were not both recorded on one device and are done; "
               "synchronize with the later one first");
  }
  cuda::check(result, "cuEventElapsedTime", end.impl_->text());
  return static_cast<double>(milliseconds);
}

void* Event::handle() const noexcept { return impl_->handle; }

}  // namespace penstock
