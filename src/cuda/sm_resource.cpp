#include "base/fail.hpp"
#include "cuda/execution_resource.hpp"
#include "cuda/sm_resource_impl.hpp"
#include "cuda/split_request.hpp"

#include <numeric>
#include <utility>

namespace penstock {
namespace {

using cuda::Resource;

/// Groups of at least `least` SMs, at most `most` of them, and what is left over.
struct Groups {
  std::vector<Resource> groups;
  Resource rest;
};

Groups split_by_count(const SmResource::Impl& from, unsigned most, unsigned least) {
  Groups result;
  result.groups.resize(most);
  unsigned count = most;
  cuda::check_partition(cuda::partition_driver(from.device)
                            .dev_sm_resource_split_by_count(result.groups.data(), &count, from.parts.data(),
                                                            &result.rest, 0, least),
                        "cuDevSmResourceSplitByCount", from.device);
  result.groups.resize(count);
  return result;
}

unsigned size_of_group(const SmResource::Impl& from, unsigned least) {
  const Groups groups = split_by_count(from, 1, least);
  return groups.groups.empty() ? 0 : groups.groups[0].sm.sm_count;
}

/// Drivers before CUDA 13 do not tell the least and the step: they are seen by what splits give.
cuda::SplitLimits limits_of(const SmResource::Impl& from) {
  if (!from.divisible) {
    base::fail(
        ErrorCode::Unsupported,
        "{} SMs of {} came of a split, which CUDA does not split again; make a GreenContext of them and "
        "split its resource()",
        from.sm_count(), from.text());
  }
  cuda::SplitLimits limits{.sm_count = from.sm_count()};
  limits.least = from.parts[0].sm.min_sm_partition_size;
  limits.step = from.parts[0].sm.sm_coscheduled_alignment;
  if (limits.least != 0 && limits.step != 0) return limits;
  limits.least = std::max(size_of_group(from, 1), 1U);
  limits.step = limits.least;
  if (limits.least < limits.sm_count) {
    const unsigned next = size_of_group(from, limits.least + 1);
    if (next > limits.least) limits.step = next - limits.least;
  }
  return limits;
}

SmResource make(int device, bool divisible, std::vector<Resource> parts) {
  auto impl = std::make_shared<SmResource::Impl>();
  impl->device = device;
  impl->divisible = divisible;
  impl->parts = std::move(parts);
  return SmResource(std::move(impl));
}

/// One split into equal groups, of which parts of different sizes are put together: only resources of one
/// split can share a green context. As large as they can be, since a group keeps its SMs near each other.
Groups split_into_groups(const SmResource::Impl& from, std::span<const unsigned> plan, unsigned least) {
  unsigned sum = 0;
  unsigned size = 0;
  for (const unsigned each : plan) {
    sum += each;
    size = std::gcd(size, each);
  }
  if (sum == 0) return {.groups = {}, .rest = from.parts[0]};
  Groups groups = split_by_count(from, sum / size, size);
  if (groups.groups.size() < sum / size && size > least && size % least == 0) {
    size = least;
    groups = split_by_count(from, sum / size, size);
  }
  if (groups.groups.size() < sum / size) {
    base::fail(ErrorCode::InvalidArgument, "parts of {} SMs do not fit: {} gives {} groups of {} SMs, not {}",
               fmt::join(plan, " + "), from.text(), groups.groups.size(), size, sum / size);
  }
  return groups;
}

std::vector<SmResource> split_by_parts(const SmResource::Impl& from, std::span<const cuda::SplitPart> parts) {
  const cuda::SplitLimits limits = limits_of(from);
  const std::vector<unsigned> plan = cuda::plan_split(parts, limits, from.text());
  const Groups groups = split_into_groups(from, plan, limits.least);
  const unsigned sum = std::accumulate(plan.begin(), plan.end(), 0U);
  std::vector<SmResource> result;
  std::size_t next = 0;
  for (const unsigned size : plan) {
    if (size == 0) {
      if (groups.rest.type != Resource::Sm || groups.rest.sm.sm_count == 0) {
        base::fail(ErrorCode::InvalidArgument, "{} leaves no SMs for the rest behind parts of {} SMs",
                   from.text(), sum);
      }
      result.push_back(make(from.device, sum == 0, {groups.rest}));
      continue;
    }
    const std::size_t count = groups.groups.size() * size / sum;
    const auto first = groups.groups.begin() + static_cast<std::ptrdiff_t>(next);
    result.push_back(make(from.device, false, {first, first + static_cast<std::ptrdiff_t>(count)}));
    next += count;
  }
  return result;
}

}  // namespace

namespace cuda {

const Driver& partition_driver(int device) {
  const Driver& table = driver();
  if (table.device_get_dev_resource == nullptr || table.green_ctx_stream_create == nullptr) {
    base::fail(
        ErrorCode::Unsupported,
        "cuda:{}: the driver is of CUDA {}.{}, and partitions need one of CUDA 12.5 or later; streams work "
        "without",
        device, driver_version() / 1000, driver_version() % 1000 / 10);
  }
  return table;
}

void check_partition(Result result, const char* call, int device) {
  const std::string what = fmt::format("cuda:{}", device);
  if (result == kNotSupported || result == kInvalidResourceType) {
    throw Error(
        ErrorCode::Unsupported,
        fmt::format("{}: this GPU cannot be partitioned: {} failed: {}", what, call, error_text(result)),
        result);
  }
  check(result, call, what);
}

}  // namespace cuda

unsigned SmResource::Impl::sm_count() const noexcept {
  unsigned count = 0;
  for (const Resource& part : parts) count += part.sm.sm_count;
  return count;
}

std::string SmResource::Impl::text() const { return fmt::format("cuda:{}", device); }

SmResource::SmResource(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
SmResource::SmResource(const SmResource&) = default;
SmResource& SmResource::operator=(const SmResource&) = default;
SmResource::~SmResource() = default;

SmResource SmResource::of_device(int device) {
  const cuda::DeviceNumber number = cuda::device_number(device);
  Resource sms;
  cuda::check_partition(cuda::partition_driver(device).device_get_dev_resource(number, &sms, Resource::Sm),
                        "cuDeviceGetDevResource", device);
  return make(device, true, {sms});
}

SmResource SmResource::of_stream(StreamView stream) {
  const cuda::ExecutionResource resource = cuda::resource_of(cuda::handle_of(stream));
  const cuda::Driver& table = cuda::partition_driver(resource.device);
  Resource sms;
  if (resource.green != nullptr) {
    cuda::check_partition(table.green_ctx_get_dev_resource(resource.green, &sms, Resource::Sm),
                          "cuGreenCtxGetDevResource", resource.device);
  } else {
    cuda::check_partition(table.ctx_get_dev_resource(resource.context, &sms, Resource::Sm),
                          "cuCtxGetDevResource", resource.device);
  }
  return make(resource.device, true, {sms});
}

int SmResource::device() const noexcept { return impl_->device; }
unsigned SmResource::sm_count() const noexcept { return impl_->sm_count(); }
unsigned SmResource::least_sm_count() const { return limits_of(*impl_).least; }
unsigned SmResource::step_sm_count() const { return limits_of(*impl_).step; }

std::vector<SmResource> SmResource::split(std::string_view parts) const {
  return split_by_parts(*impl_, cuda::parse_split(parts));
}

std::vector<SmResource> SmResource::split(std::span<const unsigned> sm_counts) const {
  std::vector<cuda::SplitPart> parts;
  for (const unsigned count : sm_counts) {
    if (count == 0) base::fail(ErrorCode::InvalidArgument, "{}: a part of no SMs", impl_->text());
    parts.push_back({.kind = cuda::SplitPart::Kind::Count, .count = count});
  }
  return split_by_parts(*impl_, parts);
}

}  // namespace penstock
