#include "model/cuda_model.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"
#include "cuda/device_memory.hpp"
#include "cuda/driver.hpp"
#include "cuda/graph.hpp"
#include "cuda/module.hpp"
#include "model/cuda_obstacles.hpp"
#include "model/kernel_files.hpp"

#include <algorithm>
#include <vector>

namespace penstock::model {
namespace {

bool is_kernel_file(std::string_view entry) {
  return entry.ends_with(".cubin") || entry.ends_with(".fatbin");
}

int attribute(cuda::DeviceNumber device, cuda::DeviceAttribute which) {
  int value = 0;
  cuda::check(cuda::driver().device_get_attribute(&value, which, device), "cuDeviceGetAttribute", "a device");
  return value;
}

shim::CudaOperators* require_operators(const std::string& what) {
  shim::CudaOperators* const operators = shim::cuda_operators();
  if (operators == nullptr) base::fail(ErrorCode::NotFound, "{}: {}", what, shim::cuda_operators_missing());
  return operators;
}

}  // namespace

CudaModel::CudaModel(int device, const package::ModelFiles* files, std::string what)
    : what_(std::move(what)),
      context_(cuda::primary_context(device)),
      operators_(require_operators(what_)),
      pool_(std::make_unique<tensor::MemoryPool>(cuda::device_memory(context_))) {
  std::vector<std::string_view> functions;
  if (files != nullptr) {
    check_capability(*files);
    functions.assign(files->info.needs.shim_functions.begin(), files->info.needs.shim_functions.end());
  }
  const cuda::ContextScope scope(*context_);
  operators_->prepare(functions);
  try {
    constexpr int kPriority = 0;
    cuda::check(cuda::driver().stream_create_with_priority(&stream_, cuda::kStreamNonBlocking, kPriority),
                "cuStreamCreateWithPriority", what_);
    lane_ = operators_->make_lane_state();
  } catch (...) {
    unload();
    throw;
  }
}

CudaModel::CudaModel(int device, const package::Archive& archive, const package::ModelFiles& files,
                     const package::ElfImage& library, std::string what)
    : CudaModel(device, &files, std::move(what)) {
  const cuda::ContextScope scope(*context_);
  load_modules(archive, files);
  require_files(library);
}

CudaModel::~CudaModel() { unload(); }

void CudaModel::unload() noexcept {
  cuda::release(*context_, "cuModuleUnload", what_.c_str(), [&](const cuda::Driver& driver) {
    cuda::Result worst = cuda::kSuccess;
    const auto note = [&](cuda::Result result) { worst = result != cuda::kSuccess ? result : worst; };
    lane_.reset();
    if (stream_ != nullptr) note(driver.stream_destroy(stream_));
    for (const auto& [name, module] : files_) note(driver.module_unload(module));
    for (const auto& [image, module] : images_) note(driver.module_unload(module));
    note(operators_->release());
    return worst;
  });
}

void CudaModel::check_capability(const package::ModelFiles& files) const {
  const bool has_cubins =
      std::ranges::any_of(files.entries, [](const std::string& entry) { return entry.ends_with(".cubin"); });
  if (!has_cubins) return;
  const int major = attribute(context_->number(), cuda::kComputeCapabilityMajor);
  const int minor = attribute(context_->number(), cuda::kComputeCapabilityMinor);
  const int wanted = stated_capability(files.info);
  if (runs_on(wanted, major, minor)) return;
  base::fail(
      ErrorCode::Incompatible,
      "{}: its kernels are for GPUs of compute capability {}.{}, cuda:{} has {}.{}; compile the package on "
      "such a GPU, or with inductor_configs={{'aot_inductor.emit_multi_arch_kernel': True}}",
      what_, wanted / 10, wanted % 10, context_->device(), major, minor);
}

cuda::ModuleHandle CudaModel::load_module(const void* image, const std::string& name) {
  const cuda::Driver& driver = cuda::driver();
  cuda::ModuleHandle module = nullptr;
  const cuda::Result result = driver.module_load_data(&module, image);
  if (result == cuda::kNoBinaryForGpu) {
    base::fail(ErrorCode::Incompatible, "{}: {} has no code for cuda:{}; compile the package on such a GPU",
               what_, name, context_->device());
  }
  if (result == cuda::kUnsupportedPtxVersion) {
    const int version = cuda::driver_version();
    base::fail(
        ErrorCode::Incompatible,
        "{}: {} is PTX of a later CUDA than this driver, of CUDA {}.{}, can read; install a later driver, "
        "or compile the package with that CUDA or an earlier one",
        what_, name, version / 1000, version % 1000 / 10);
  }
  if (result == cuda::kInvalidImage) {
    base::fail(ErrorCode::Corrupt, "{}: {} is not a kernel file that this driver can read", what_, name);
  }
  cuda::check(result, "cuModuleLoadData", what_ + ", " + name);
  try {
    cuda::load_functions(module, name);
  } catch (...) {
    driver.module_unload(module);
    throw;
  }
  return module;
}

void CudaModel::load_modules(const package::Archive& archive, const package::ModelFiles& files) {
  for (const std::string& entry : files.entries) {
    if (!is_kernel_file(entry)) continue;
    const std::string name = entry.substr(entry.rfind('/') + 1);
    files_.emplace(name, load_module(archive.read(entry).bytes.data(), name));
  }
}

/// What is missing would be missed by the first run.
void CudaModel::require_files(const package::ElfImage& library) const {
  for (const std::string_view file : named_kernel_files(library)) {
    if (!files_.contains(file)) {
      base::fail(ErrorCode::Corrupt,
                 "{}: the package has no kernel file \"{}\", which its library names; export "
                 "it again",
                 what_, file);
    }
  }
}

cuda::ModuleHandle CudaModel::module(std::string_view file) {
  const auto found = files_.find(file);
  if (found == files_.end()) {
    base::fail(ErrorCode::Corrupt, "the package has no kernel file \"{}\", which its library wants", file);
  }
  return found->second;
}

cuda::ModuleHandle CudaModel::module(const void* image) {
  const std::lock_guard lock(mutex_);
  if (const auto found = images_.find(image); found != images_.end()) return found->second;
  return images_.emplace(image, load_module(image, "a kernel within the library")).first->second;
}

shim::CudaCall CudaModel::load_call() noexcept {
  return {.stream = stream_,
          .device = context_->device(),
          .context = context_->handle(),
          .sm_count = 0,
          .pool = pool_.get(),
          .code = this,
          .operators = operators_,
          .lane = lane_.get(),
          .numerics = {},
          .observer = nullptr};
}

bool CudaModel::healthy() const noexcept {
  try {
    const cuda::ContextScope scope(*context_);
    const cuda::CaptureModeScope mode(cuda::kCaptureRelaxed);
    return !cuda::is_sticky(cuda::driver().stream_query(stream_));
  } catch (const Error&) {
    return false;
  }
}

}  // namespace penstock::model
