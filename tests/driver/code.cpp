#include "machine.hpp"

using namespace penstock::recording;

namespace {

Module& module_of(State& state, ModuleHandle handle) {
  const auto found = state.modules.find(handle);
  if (found == state.modules.end()) throw Failure{kInvalidHandle};
  return *found->second;
}

FunctionHandle new_function(State& state, Module& module, const std::string& name) {
  Function*& function = module.functions[name];
  if (function == nullptr) {
    const auto found = module.kernels.find(name);
    auto made = std::make_unique<Function>(
        Function{&module, name, found == module.kernels.end() ? nullptr : found->second});
    function = made.get();
    state.functions.emplace(function, std::move(made));
  }
  return reinterpret_cast<FunctionHandle>(function);
}

Result load(ModuleHandle* module, const void* image, const char* name) {
  return call(name, [&](State& state) -> Result {
    auto made = std::make_unique<Module>();
    made->device = state.current().device;
    if (image == nullptr) return kInvalidValue;
    ImageKernels found = kernels_in_image(image);
    made->any_name = found.any_name;
    made->kernels = std::move(found.kernels);
    state.log(std::string(name) + " with " + std::to_string(made->kernels.size()) + " kernels");
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
    const auto found = state.modules.find(module);
    if (found == state.modules.end()) return kInvalidHandle;
    state.require_no_capture();
    state.wait_for_device(found->second->device, "cuModuleUnload");
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
    if (!module.any_name && !module.kernels.contains(name)) return kNotFound;
    *function = new_function(state, module, name);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuModuleGetFunctionCount(unsigned* count, ModuleHandle handle) {
  return call("cuModuleGetFunctionCount", [&](State& state) -> Result {
    *count = static_cast<unsigned>(module_of(state, handle).kernels.size());
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuModuleEnumerateFunctions(FunctionHandle* functions, unsigned count,
                                               ModuleHandle handle) {
  return call("cuModuleEnumerateFunctions", [&](State& state) -> Result {
    Module& module = module_of(state, handle);
    for (const auto& [name, layout] : module.kernels) {
      if (count == 0) break;
      *functions++ = new_function(state, module, name);
      --count;
    }
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncGetName(const char** name, FunctionHandle function) {
  return call("cuFuncGetName", [&](State& state) -> Result {
    *name = state.function_of(function).name.c_str();
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncGetAttribute(int* value, int, FunctionHandle function) {
  return call("cuFuncGetAttribute", [&](State& state) -> Result {
    state.function_of(function);
    *value = 0;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncSetAttribute(FunctionHandle function, int, int) {
  return call("cuFuncSetAttribute", [&](State& state) -> Result {
    state.function_of(function);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuFuncLoad(FunctionHandle function) {
  return call("cuFuncLoad", [&](State& state) -> Result {
    state.log("cuFuncLoad " + state.function_of(function).name);
    return kSuccess;
  });
}
