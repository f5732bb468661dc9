#pragma once

#include "cuda/context.hpp"
#include "package/archive.hpp"
#include "package/elf_image.hpp"
#include "package/manifest.hpp"
#include "shim/cuda_call.hpp"
#include "tensor/memory_pool.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::model {

/// What a model has on its device besides weights: the context, the package's kernels, the stream that loads
/// run on. Thread: thread-safe, but for `load_call`, which one load uses at a time.
class CudaModel final : public shim::CudaCode {
 public:
  /// Creates the device's context where there is none, loads all kernels of the package, from memory, and
  /// opens the libraries that its operators need. `library` is the package's own. Blocking.
  /// Errors: Incompatible (another compute capability, too old a driver); Corrupt (a kernel file that the
  /// library names is not there, or is none); NotFound (no such device, a library that is missing); Cuda;
  /// OutOfMemory.
  CudaModel(int device, const package::Archive& archive, const package::ModelFiles& files,
            const package::ElfImage& library, std::string what);

  /// Of a model that has no kernels of its own. Blocking. Errors: NotFound; Cuda; OutOfMemory.
  CudaModel(int device, std::string what) : CudaModel(device, nullptr, std::move(what)) {}
  ~CudaModel() override;
  CudaModel(const CudaModel&) = delete;
  CudaModel& operator=(const CudaModel&) = delete;

  [[nodiscard]] const std::shared_ptr<const cuda::PrimaryContext>& context() const noexcept {
    return context_;
  }
  [[nodiscard]] shim::CudaOperators& operators() const noexcept { return *operators_; }

  /// For calls into the library that load: on the load's own stream.
  [[nodiscard]] shim::CudaCall load_call() noexcept;

  cuda::ModuleHandle module(std::string_view file) override;
  cuda::ModuleHandle module(const void* image) override;

  /// False once the context answers nothing but the error of a fault. Errors: none.
  [[nodiscard]] bool healthy() const noexcept;

 private:
  /// All but kernels; `files` is null where there are none.
  CudaModel(int device, const package::ModelFiles* files, std::string what);
  void check_capability(const package::ModelFiles& files) const;
  void load_modules(const package::Archive& archive, const package::ModelFiles& files);
  void require_files(const package::ElfImage& library) const;
  cuda::ModuleHandle load_module(const void* image, const std::string& name);
  void unload() noexcept;

  std::string what_;
  std::shared_ptr<const cuda::PrimaryContext> context_;
  shim::CudaOperators* operators_;
  std::map<std::string, cuda::ModuleHandle, std::less<>> files_;
  std::map<const void*, cuda::ModuleHandle> images_;
  std::mutex mutex_;  ///< Of `images_`.
  cuda::StreamHandle stream_ = nullptr;
  std::unique_ptr<tensor::MemoryPool> pool_;
  std::unique_ptr<shim::CudaLaneState> lane_;
};

}  // namespace penstock::model
