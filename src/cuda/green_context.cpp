#include "cuda/green_context_impl.hpp"

#include "base/fail.hpp"
#include "cuda/execution_resource.hpp"
#include "cuda/sm_resource_impl.hpp"
#include "cuda/stream_impl.hpp"

#include <utility>

namespace penstock {
namespace {

using cuda::Resource;

/// The driver's resources of all of them, of one device.
std::vector<Resource> gather(std::span<const SmResource> sms) {
  if (sms.empty()) base::fail(ErrorCode::InvalidArgument, "a green context needs at least one set of SMs");
  std::vector<Resource> parts;
  for (const SmResource& each : sms) {
    if (each.device() != sms.front().device()) {
      base::fail(ErrorCode::InvalidArgument,
                 "a green context has the SMs of one GPU, not of cuda:{} and cuda:{}", sms.front().device(),
                 each.device());
    }
    parts.insert(parts.end(), each.impl().parts.begin(), each.impl().parts.end());
  }
  return parts;
}

cuda::ResourceDescHandle describe(const cuda::Driver& table, std::vector<Resource> parts, int device) {
  cuda::ResourceDescHandle description = nullptr;
  const cuda::Result result =
      table.dev_resource_generate_desc(&description, parts.data(), static_cast<unsigned>(parts.size()));
  if (result == cuda::kInvalidResourceConfiguration) {
    throw Error(
        ErrorCode::InvalidArgument,
        fmt::format("cuda:{}: the sets of SMs of a green context have to come of one split, each given once",
                    device),
        result);
  }
  cuda::check_partition(result, "cuDevResourceGenerateDesc", device);
  return description;
}

}  // namespace

GreenContext::Impl::~Impl() {
  if (handle == nullptr) return;
  cuda::release(*primary, "cuGreenCtxDestroy", "a green context",
                [this](const cuda::Driver& table) { return table.green_ctx_destroy(handle); });
}

GreenContext GreenContext::create(const SmResource& sms, const GreenContextOptions& options) {
  return create(std::span(&sms, 1), options);
}

GreenContext GreenContext::create(std::span<const SmResource> sms, const GreenContextOptions&) {
  std::vector<Resource> parts = gather(sms);
  const int device = sms.front().device();
  const cuda::Driver& table = cuda::partition_driver(device);
  auto impl = std::make_shared<Impl>();
  impl->primary = cuda::primary_context(device);
  cuda::ResourceDescHandle const description = describe(table, std::move(parts), device);
  cuda::check_partition(table.green_ctx_create(&impl->handle, description, impl->primary->number(),
                                               cuda::kGreenContextDefaultStream),
                        "cuGreenCtxCreate", device);
  cuda::check_partition(table.ctx_from_green_ctx(&impl->context, impl->handle), "cuCtxFromGreenCtx", device);
  Resource given;
  cuda::check_partition(table.green_ctx_get_dev_resource(impl->handle, &given, Resource::Sm),
                        "cuGreenCtxGetDevResource", device);
  impl->sm_count = given.sm.sm_count;
  return GreenContext(std::move(impl));
}

GreenContext::GreenContext(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}

int GreenContext::device() const noexcept { return impl_->primary->device(); }
unsigned GreenContext::sm_count() const noexcept { return impl_->sm_count; }
GreenContextView GreenContext::view() const noexcept { return GreenContextView(impl_->handle); }
void* GreenContext::context_handle() const noexcept { return impl_->context; }

SmResource GreenContext::resource() const {
  Resource given;
  cuda::check_partition(
      cuda::partition_driver(device()).green_ctx_get_dev_resource(impl_->handle, &given, Resource::Sm),
      "cuGreenCtxGetDevResource", device());
  auto made = std::make_shared<SmResource::Impl>();
  made->device = device();
  made->divisible = true;
  made->parts.push_back(given);
  return SmResource(std::move(made));
}

Stream GreenContext::create_stream(const PartitionStreamOptions& options) const {
  auto stream = std::make_unique<Stream::Impl>();
  stream->primary = impl_->primary;
  stream->green = impl_;
  const cuda::Driver& table = cuda::driver();
  cuda::check(table.green_ctx_stream_create(&stream->handle, impl_->handle, cuda::kStreamNonBlocking,
                                            options.priority),
              "cuGreenCtxStreamCreate", fmt::format("a stream in {} SMs of cuda:{}", sm_count(), device()));
  return Stream(std::move(stream));
}

std::optional<GreenContextView> GreenContextView::of(StreamView stream) {
  const cuda::ExecutionResource resource = cuda::resource_of(cuda::handle_of(stream));
  if (resource.green == nullptr) return std::nullopt;
  return GreenContextView(resource.green);
}

}  // namespace penstock
