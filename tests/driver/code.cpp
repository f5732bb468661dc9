#include "images.hpp"
#include "machine.hpp"

#include <cstring>

using namespace penstock::recording;

namespace {

/// The one kernel that is run: it writes down the SM of each of its blocks, which is what the stream's
/// resource says.
constexpr const char* kProbe = "penstock_sm_probe";

struct Launch {
  unsigned x, y, z;
  [[nodiscard]] std::string text() const {
    return std::to_string(x) + "x" + std::to_string(y) + "x" + std::to_string(z);
  }
};

void run_probe(const Context& context, const Launch& grid, DevicePointer out) {
  std::vector<unsigned> sms;
  for (unsigned sm = 0; sm < kMostSms; ++sm) {
    if (context.sms.test(sm)) sms.push_back(sm);
  }
  auto* const written = reinterpret_cast<unsigned*>(static_cast<std::uintptr_t>(out));
  for (unsigned block = 0; block < grid.x; ++block) written[block] = sms[block % sms.size()];
}

Function& function_of(State& state, FunctionHandle handle) {
  const auto found = state.functions.find(handle);
  if (found == state.functions.end()) throw Failure{kInvalidHandle};
  return *found->second;
}

Module& module_of(State& state, ModuleHandle handle) {
  const auto found = state.modules.find(handle);
  if (found == state.modules.end()) throw Failure{kInvalidHandle};
  return *found->second;
}

FunctionHandle new_function(State& state, Module& module, const std::string& name) {
  auto made = std::make_unique<Function>(Function{&module, name});
  Function* const key = made.get();
  state.functions.emplace(key, std::move(made));
  return reinterpret_cast<FunctionHandle>(key);
}

Result load(ModuleHandle* module, const void* image, const char* name) {
  return call(name, [&](State& state) -> Result {
    auto made = std::make_unique<Module>();
    made->device = state.current().device;
    if (image == nullptr) return kInvalidValue;
    ImageNames found = names_in_image(image);
    made->any_name = found.any_name;
    made->names = std::move(found.names);
    state.log(std::string(name) + " with " + std::to_string(made->names.size()) + " kernels");
    *module = reinterpret_cast<ModuleHandle>(made.get());
    Module* const key = made.get();
    state.modules.emplace(key, std::move(made));
    return kSuccess;
  });
}

}  // namespace

PENSTOCK_DRIVER_API cuModuleLoadData(ModuleHandle* module, const void* image) {
  return load(module, image, "cuModuleLoadData");
}

PENSTOCK_DRIVER_API cuModuleLoadDataEx(ModuleHandle* module, const void* image, unsigned, int*, void**) {
  return load(module, image, "cuModuleLoadDataEx");
}

PENSTOCK_DRIVER_API cuModuleUnload(ModuleHandle module) {
  const auto body = [&](State& state) -> Result {
    if (!state.modules.contains(module)) return kInvalidHandle;
    std::erase_if(state.functions,
                  [&](const auto& each) { return static_cast<void*>(each.second->module) == module; });
    state.modules.erase(module);
    state.log("cuModuleUnload");
    return kSuccess;
  };
  return call("cuModuleUnload", body, true);
}

PENSTOCK_DRIVER_API cuModuleGetFunction(FunctionHandle* function, ModuleHandle handle, const char* name) {
  return call("cuModuleGetFunction", [&](State& state) -> Result {
    Module& module = module_of(state, handle);
    if (!module.any_name && !module.names.contains(name)) return kNotFound;
    *function = new_function(state, module, name);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuModuleGetFunctionCount(unsigned* count, ModuleHandle handle) {
  return call("cuModuleGetFunctionCount", [&](State& state) -> Result {
    *count = static_cast<unsigned>(module_of(state, handle).names.size());
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuModuleEnumerateFunctions(FunctionHandle* functions, unsigned count,
                                               ModuleHandle handle) {
  return call("cuModuleEnumerateFunctions", [&](State& state) -> Result {
    Module& module = module_of(state, handle);
    for (const std::string& name : module.names) {
      if (count == 0) break;
      *functions++ = new_function(state, module, name);
      --count;
    }
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncGetName(const char** name, FunctionHandle function) {
  return call("cuFuncGetName", [&](State& state) -> Result {
    *name = function_of(state, function).name.c_str();
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncGetAttribute(int* value, int, FunctionHandle function) {
  return call("cuFuncGetAttribute", [&](State& state) -> Result {
    function_of(state, function);
    *value = 0;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncSetAttribute(FunctionHandle function, int, int) {
  return call("cuFuncSetAttribute", [&](State& state) -> Result {
    function_of(state, function);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncLoad(FunctionHandle function) {
  return call("cuFuncLoad", [&](State& state) -> Result {
    state.log("cuFuncLoad " + function_of(state, function).name);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuLaunchKernel(FunctionHandle handle, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned,
                                   StreamHandle stream_handle, void** parameters, void**) {
  return call("cuLaunchKernel", [&](State& state) -> Result {
    const Function& function = function_of(state, handle);
    Stream& stream = state.stream_of(stream_handle);
    const Launch grid{grid_x, grid_y, grid_z};
    const std::size_t threads = std::size_t{block_x} * block_y * block_z;
    if (grid_x == 0 || grid_y == 0 || grid_z == 0 || threads == 0 || threads > 1024) return kInvalidValue;
    if (function.module->device != stream.context->device) return kInvalidContext;
    Operation operation;
    if (function.name == kProbe) {
      DevicePointer out = 0;
      std::memcpy(&out, parameters[0], sizeof out);
      operation.act = [context = stream.context, grid, out] { run_probe(*context, grid, out); };
    }
    state.submit(stream, "cuLaunchKernel " + function.name + " grid " + grid.text(), std::move(operation));
    return kSuccess;
  });
}
