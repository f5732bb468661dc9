#pragma once

#include "cuda_ops/kernels.hpp"

#include <span>

namespace penstock::cuda_ops {

// One a file of src/cuda_ops/kernels; the build makes the definitions.
extern const KernelImage kAttentionImage;
extern const KernelImage kCopyImage;
extern const KernelImage kConvolutionImage;
extern const KernelImage kLstmImage;

/// All of them.
std::span<const KernelImage* const> kernel_images() noexcept;

}  // namespace penstock::cuda_ops
