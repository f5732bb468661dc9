#include "machine.hpp"

#include <algorithm>
#include <cstring>

using namespace penstock::recording;

namespace {

/// What a CUdevResource holds where the driver alone looks.
struct Inside {
  static constexpr std::uint32_t kMark = 0x5e500ce5;
  std::uint32_t mark = kMark;
  std::int32_t device = 0;
  std::uint64_t split = 0;  ///< Which call made it; 0: no split, so it can be split.
  SmSet sms;
};
static_assert(sizeof(Inside) <= sizeof(Resource::internal));

Inside inside_of(const Resource& resource) {
  Inside inside;
  std::memcpy(static_cast<void*>(&inside), resource.internal.data(), sizeof inside);
  if (resource.type != Resource::Sm) throw Failure{kInvalidResourceType};
  if (inside.mark != Inside::kMark) throw Failure{kInvalidValue};
  return inside;
}

void fill(const State& state, Resource& resource, const Inside& inside) {
  resource.type = Resource::Sm;
  std::memcpy(resource.internal.data(), static_cast<const void*>(&inside), sizeof inside);
  const bool tells = state.machine.driver_version >= 13000;
  resource.sm = {.sm_count = static_cast<unsigned>(inside.sms.count()),
                 .min_sm_partition_size = tells ? state.machine.least : 0,
                 .sm_coscheduled_alignment = tells ? state.machine.step : 0,
                 .flags = 0};
  resource.next_resource = nullptr;
}

void require_sm_type(int type) {
  if (type != Resource::Sm) throw Failure{kInvalidResourceType};
}

SmSet take(SmSet& from, unsigned count) {
  SmSet taken;
  for (std::size_t sm = 0; sm < kMostSms && count > 0; ++sm) {
    if (!from.test(sm)) continue;
    taken.set(sm);
    from.reset(sm);
    --count;
  }
  return taken;
}

/// SMs of a group that was asked for: up to the next step, or down where there is none above.
unsigned group_size(const Machine& machine, unsigned asked, unsigned available) {
  const unsigned least = std::max(asked, machine.least);
  const unsigned size = (least + machine.step - 1) / machine.step * machine.step;
  return size <= available ? size : available / machine.step * machine.step;
}

}  // namespace

PENSTOCK_DRIVER_API cuDeviceGetDevResource(DeviceNumber device, Resource* resource, int type) {
  return call("cuDeviceGetDevResource", [&](State& state) -> Result {
    require_sm_type(type);
    if (device < 0 || device >= state.machine.devices) return kInvalidDevice;
    fill(state, *resource, {.device = device, .sms = state.primary(device).sms});
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxGetDevResource(ContextHandle handle, Resource* resource, int type) {
  return call("cuCtxGetDevResource", [&](State& state) -> Result {
    require_sm_type(type);
    const Context& context = handle == nullptr ? state.current() : state.context_of(handle);
    fill(state, *resource, {.device = context.device, .sms = context.sms});
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGreenCtxGetDevResource(GreenContextHandle green, Resource* resource, int type) {
  return call("cuGreenCtxGetDevResource", [&](State& state) -> Result {
    require_sm_type(type);
    const Context& context = *state.green_of(green).context;
    fill(state, *resource, {.device = context.device, .sms = context.sms});
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDevSmResourceSplitByCount(Resource* result, unsigned* groups, const Resource* input,
                                                Resource* rest, unsigned flags, unsigned least) {
  return call("cuDevSmResourceSplitByCount", [&](State& state) -> Result {
    Inside left = inside_of(*input);
    if (left.split != 0) return kInvalidResourceConfiguration;
    const auto available = static_cast<unsigned>(left.sms.count());
    if (flags != 0 || least > available || groups == nullptr) return kInvalidValue;
    const unsigned size = group_size(state.machine, least, available);
    const unsigned possible = size == 0 ? 0 : available / size;
    *groups = result == nullptr ? possible : std::min(possible, *groups);
    if (result == nullptr) return kSuccess;
    left.split = state.next_split++;
    for (unsigned i = 0; i < *groups; ++i) {
      fill(state, result[i], {.device = left.device, .split = left.split, .sms = take(left.sms, size)});
    }
    if (rest != nullptr) {
      *rest = Resource();
      if (left.sms.any()) fill(state, *rest, left);
    }
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDevResourceGenerateDesc(ResourceDescHandle* description, Resource* resources,
                                              unsigned count) {
  return call("cuDevResourceGenerateDesc", [&](State& state) -> Result {
    if (count == 0) return kInvalidValue;
    const Inside first = inside_of(resources[0]);
    auto made = std::make_unique<Description>();
    made->device = first.device;
    for (unsigned i = 0; i < count; ++i) {
      const Inside inside = inside_of(resources[i]);
      if (inside.device != first.device || inside.split != first.split) return kInvalidResourceConfiguration;
      if (i > 0 && inside.split == 0) return kInvalidResourceConfiguration;
      made->sms |= inside.sms;
    }
    *description = reinterpret_cast<ResourceDescHandle>(made.get());
    state.descriptions.push_back(std::move(made));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGreenCtxCreate(GreenContextHandle* green, ResourceDescHandle description,
                                     DeviceNumber device, unsigned flags) {
  return call("cuGreenCtxCreate", [&](State& state) -> Result {
    const auto* const wanted = reinterpret_cast<Description*>(description);
    if (flags != kGreenContextDefaultStream || wanted == nullptr || wanted->device != device)
      return kInvalidValue;
    state.require_sound(device);
    auto context = std::make_unique<Context>();
    context->id = state.next_green++;
    context->device = device;
    context->green = true;
    context->sms = wanted->sms;
    // A handle comes again as soon as it can, which the driver's may at any time.
    std::unique_ptr<Green> made = std::move(state.last_green);
    if (made == nullptr) made = std::make_unique<Green>();
    made->context = context.get();
    *green = reinterpret_cast<GreenContextHandle>(made.get());
    ++state.primary(device).retained;
    state.log("cuGreenCtxCreate " + state.name_of(*context));
    Context* const key = context.get();
    state.green_contexts.emplace(key, std::move(context));
    Green* const green_key = made.get();
    state.greens.emplace(green_key, std::move(made));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGreenCtxDestroy(GreenContextHandle green) {
  const auto body = [&](State& state) -> Result {
    Context* const context = state.green_of(green).context;
    state.log("cuGreenCtxDestroy " + state.name_of(*context));
    --state.primary(context->device).retained;
    std::erase_if(state.streams, [&](const auto& each) {
      if (each.second->context != context) return false;
      state.detached.insert(each.first);
      return true;
    });
    const auto found = state.greens.find(green);
    state.last_green = std::move(found->second);
    state.greens.erase(found);
    state.green_contexts.erase(context);
    return kSuccess;
  };
  return call("cuGreenCtxDestroy", body, true);
}

PENSTOCK_DRIVER_API cuCtxFromGreenCtx(ContextHandle* context, GreenContextHandle green) {
  return call("cuCtxFromGreenCtx", [&](State& state) -> Result {
    *context = reinterpret_cast<ContextHandle>(state.green_of(green).context);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGreenCtxGetId(GreenContextHandle green, unsigned long long* id) {
  return call("cuGreenCtxGetId", [&](State& state) -> Result {
    *id = state.green_of(green).context->id;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGreenCtxStreamCreate(StreamHandle* stream, GreenContextHandle green, unsigned flags,
                                           int priority) {
  return call("cuGreenCtxStreamCreate", [&](State& state) -> Result {
    Context& context = *state.green_of(green).context;
    state.require_sound(context.device);
    if (flags != kStreamNonBlocking) return kInvalidValue;
    const int used = std::clamp(priority, -5, 0);
    Stream& made = state.new_stream(context, Stream::Kind::Created, flags, used);
    state.log("cuGreenCtxStreamCreate " + state.name_of(made));
    *stream = reinterpret_cast<StreamHandle>(&made);
    return kSuccess;
  });
}
