#pragma once

#include "cuda/abi.hpp"
#include "shim/cuda_call.hpp"

#include <array>
#include <cstdint>
#include <set>
#include <type_traits>

namespace penstock::cuda_ops {

/// A file of src/cuda_ops/kernels, compiled for some GPUs into one image, which is linked in.
struct KernelImage {
  const char* name;  ///< Of the file: "copy".
  const void* data;
};

/// Size of a launch, in blocks and threads.
struct Grid {
  unsigned blocks_x = 1;
  unsigned blocks_y = 1;
  unsigned blocks_z = 1;
  unsigned threads = 1;
  unsigned shared_bytes = 0;
};

/// A kernel by the name that it has in its file (extern "C"). Loaded into a context by
/// CudaOperators::prepare, and only there: a run, which may be recorded, loads nothing. Thread: thread-safe.
/// Lifetime: the process.
class Kernel {
 public:
  constexpr Kernel(const KernelImage& image, const char* name) noexcept : image_(&image), name_(name) {}

  /// Puts the kernel on the call's stream, arguments by value. Stream-ordered.
  /// Errors: Cuda names the kernel; Internal where its image is not loaded.
  template <class... Arguments>
  void launch(const shim::CudaCall& call, const Grid& grid, Arguments... arguments) const {
    static_assert((std::is_trivially_copyable_v<Arguments> && ...));
    std::array<void*, sizeof...(Arguments) + 1> addresses{&arguments..., nullptr};
    launch_with(call, grid, addresses.data());
  }

 private:
  void launch_with(const shim::CudaCall& call, const Grid& grid, void** arguments) const;

  const KernelImage* image_;
  const char* name_;
};

/// Blocks of `threads` threads that cover `count`, but no more than fill the partition some times over: for
/// kernels that step by the whole grid.
Grid grid_for(const shim::CudaCall& call, std::int64_t count, unsigned threads = 256);

/// Loads the images into the current context, where nobody has yet, with all their kernels. Each call takes
/// one of `release_kernels`. Errors: Cuda, Incompatible.
void load_kernels(cuda::ContextHandle context, const std::set<const KernelImage*>& images);

/// Takes all images out of the current context with the last of those that loaded them: the context may go
/// then, and another one come at its address. Errors: none; the driver's answer is returned.
cuda::Result release_kernels(cuda::ContextHandle context) noexcept;

}  // namespace penstock::cuda_ops
