#include "machine.hpp"

using namespace penstock::recording;

namespace {

ContextHandle handle_of(Context* context) { return reinterpret_cast<ContextHandle>(context); }

/// What a released context leaves behind is gone with it.
void drop_streams(State& state, const Context& context) {
  std::erase_if(state.streams, [&](const auto& each) { return each.second->context == &context; });
}

}  // namespace

PENSTOCK_DRIVER_API cuDevicePrimaryCtxRetain(ContextHandle* context, DeviceNumber device) {
  return call("cuDevicePrimaryCtxRetain", [&](State& state) -> Result {
    if (device < 0 || device >= state.machine.devices) return kInvalidDevice;
    state.require_sound(device);
    Context& primary = state.primary(device);
    if (primary.retained++ == 0) state.log("cuDevicePrimaryCtxRetain " + state.name_of(primary));
    *context = handle_of(&primary);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDevicePrimaryCtxRelease_v2(DeviceNumber device) {
  const auto body = [&](State& state) -> Result {
    Context& primary = state.primary(device);
    if (primary.retained == 0) return kInvalidContext;
    if (--primary.retained == 0) {
      state.log("cuDevicePrimaryCtxRelease " + state.name_of(primary));
      drop_streams(state, primary);
      primary.legacy = nullptr;
      primary.per_thread.clear();
    }
    return kSuccess;
  };
  return call("cuDevicePrimaryCtxRelease", body, true);
}

PENSTOCK_DRIVER_API cuCtxGetCurrent(ContextHandle* context) {
  return call("cuCtxGetCurrent", [&](State&) -> Result {
    *context = context_stack().empty() ? nullptr : handle_of(context_stack().back());
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxSetCurrent(ContextHandle context) {
  return call("cuCtxSetCurrent", [&](State& state) -> Result {
    std::vector<Context*>& stack = context_stack();
    Context* const wanted = context == nullptr ? nullptr : &state.context_of(context);
    if (!stack.empty()) stack.pop_back();
    if (wanted != nullptr) stack.push_back(wanted);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxPushCurrent_v2(ContextHandle context) {
  return call("cuCtxPushCurrent", [&](State& state) -> Result {
    context_stack().push_back(&state.context_of(context));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxPopCurrent_v2(ContextHandle* context) {
  const auto body = [&](State&) -> Result {
    std::vector<Context*>& stack = context_stack();
    if (stack.empty()) return kInvalidContext;
    if (context != nullptr) *context = handle_of(stack.back());
    stack.pop_back();
    return kSuccess;
  };
  return call("cuCtxPopCurrent", body, true);
}

PENSTOCK_DRIVER_API cuCtxGetDevice(DeviceNumber* device) {
  return call("cuCtxGetDevice", [&](State& state) -> Result {
    *device = state.current().device;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxSynchronize() {
  return call("cuCtxSynchronize", [&](State& state) -> Result {
    Context& context = state.current();
    state.log("cuCtxSynchronize " + state.name_of(context));
    state.wait_for_context(context, "cuCtxSynchronize");
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxGetId(ContextHandle handle, unsigned long long* id) {
  return call("cuCtxGetId", [&](State& state) -> Result {
    const Context& context = handle == nullptr ? state.current() : state.context_of(handle);
    constexpr unsigned kPrimaryContexts = 100;
    *id = context.green ? kPrimaryContexts + context.id : static_cast<unsigned>(context.device) + 1;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return call("cuCtxGetStreamPriorityRange", [&](State& state) -> Result {
    state.current();
    *least = 0;
    *greatest = -5;
    return kSuccess;
  });
}
