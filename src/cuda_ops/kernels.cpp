#include "cuda_ops/kernels.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda/module.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

namespace penstock::cuda_ops {
namespace {

/// What is loaded into which context.
struct Loaded {
  std::shared_mutex mutex;
  std::map<cuda::ContextHandle, unsigned> users;
  std::map<std::pair<cuda::ContextHandle, const KernelImage*>, cuda::ModuleHandle> modules;
  std::map<std::tuple<cuda::ContextHandle, const KernelImage*, const char*>, cuda::FunctionHandle> functions;
};

Loaded& loaded() {
  static auto* const kept = new Loaded;
  return *kept;
}

void load_image(Loaded& store, cuda::ContextHandle context, const KernelImage& image) {
  const auto key = std::pair(context, &image);
  if (store.modules.contains(key)) return;
  cuda::ModuleHandle module = nullptr;
  const cuda::Result result = cuda::driver().module_load_data(&module, image.data);
  if (result == cuda::kNoBinaryForGpu) {
    base::fail(ErrorCode::Incompatible,
               "Penstock's kernels \"{}\" were not compiled for this GPU; configure with "
               "-DPENSTOCK_CUDA_ARCHITECTURES and build again",
               image.name);
  }
  if (result == cuda::kUnsupportedPtxVersion) {
    base::fail(ErrorCode::Incompatible,
               "Penstock's kernels \"{}\" are PTX of a later CUDA than this driver can read; install a later "
               "driver, or configure with -DPENSTOCK_CUDA_ARCHITECTURES for this GPU and build again",
               image.name);
  }
  cuda::check(result, "cuModuleLoadData", image.name);
  try {
    cuda::load_functions(module, image.name);
    store.modules.emplace(key, module);
  } catch (...) {
    cuda::driver().module_unload(module);
    throw;
  }
}

cuda::FunctionHandle find_function(Loaded& store, cuda::ContextHandle context, const KernelImage& image,
                                   const char* name) {
  const auto module = store.modules.find(std::pair(context, &image));
  if (module == store.modules.end()) {
    base::fail(ErrorCode::Internal, "the kernel {} is of none of the images that the model's functions need",
               name);
  }
  cuda::FunctionHandle function = nullptr;
  cuda::check(cuda::driver().module_get_function(&function, module->second, name), "cuModuleGetFunction",
              name);
  store.functions.emplace(std::tuple(context, &image, name), function);
  return function;
}

cuda::Result unload(Loaded& store, cuda::ContextHandle context) noexcept {
  cuda::Result worst = cuda::kSuccess;
  std::erase_if(store.functions, [&](const auto& each) { return std::get<0>(each.first) == context; });
  std::erase_if(store.modules, [&](const auto& each) {
    if (each.first.first != context) return false;
    const cuda::Result result = cuda::driver().module_unload(each.second);
    if (result != cuda::kSuccess) worst = result;
    return true;
  });
  store.users.erase(context);
  return worst;
}

}  // namespace

void load_kernels(cuda::ContextHandle context, const std::set<const KernelImage*>& images) {
  Loaded& store = loaded();
  const std::lock_guard lock(store.mutex);
  unsigned& users = store.users[context];
  try {
    for (const KernelImage* image : images) load_image(store, context, *image);
  } catch (...) {
    if (users == 0) unload(store, context);
    throw;
  }
  ++users;
}

cuda::Result release_kernels(cuda::ContextHandle context) noexcept {
  Loaded& store = loaded();
  const std::lock_guard lock(store.mutex);
  const auto found = store.users.find(context);
  if (found == store.users.end() || --found->second != 0) return cuda::kSuccess;
  return unload(store, context);
}

void Kernel::launch_with(const shim::CudaCall& call, const Grid& grid, void** arguments) const {
  Loaded& store = loaded();
  const auto key = std::tuple(call.context, image_, name_);
  cuda::FunctionHandle function = nullptr;
  {
    const std::shared_lock lock(store.mutex);
    if (const auto found = store.functions.find(key); found != store.functions.end())
      function = found->second;
  }
  if (function == nullptr) {
    const std::lock_guard lock(store.mutex);
    function = find_function(store, call.context, *image_, name_);
  }
  if (call.observer != nullptr) call.observer->launched(shim::CudaObserver::Kind::Kernel, name_, call.stream);
  cuda::check(
      cuda::driver().launch_kernel(function, grid.blocks_x, grid.blocks_y, grid.blocks_z, grid.threads, 1, 1,
                                   grid.shared_bytes, call.stream, arguments, nullptr),
      "cuLaunchKernel", name_);
}

Grid grid_for(const shim::CudaCall& call, std::int64_t count, unsigned threads) {
  constexpr std::int64_t kWaves = 16;
  const std::int64_t wanted = (count + threads - 1) / threads;
  const std::int64_t most = std::max<std::int64_t>(call.sm_count, 1) * kWaves;
  return {.blocks_x = static_cast<unsigned>(std::clamp<std::int64_t>(wanted, 1, most)), .threads = threads};
}

}  // namespace penstock::cuda_ops
