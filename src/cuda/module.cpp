#include "cuda/module.hpp"

#include "cuda/driver.hpp"

#include <vector>

// Compiled into libpenstock_cuda too.
namespace penstock::cuda {

void load_functions(ModuleHandle module, const std::string& what) {
  const Driver& table = driver();
  if (table.module_get_function_count == nullptr || table.module_enumerate_functions == nullptr ||
      table.func_load == nullptr) {
    return;
  }
  unsigned count = 0;
  check(table.module_get_function_count(&count, module), "cuModuleGetFunctionCount", what);
  std::vector<FunctionHandle> functions(count);
  check(table.module_enumerate_functions(functions.data(), count, module), "cuModuleEnumerateFunctions",
        what);
  for (FunctionHandle function : functions) check(table.func_load(function), "cuFuncLoad", what);
}

}  // namespace penstock::cuda
