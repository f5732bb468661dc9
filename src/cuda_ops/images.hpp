#pragma once

#include "cuda_ops/kernels.hpp"

namespace penstock::cuda_ops {

// One a file of src/cuda_ops/kernels; the build makes the definitions.
extern const KernelImage kArithmeticImage;
extern const KernelImage kAttentionImage;
extern const KernelImage kCopyImage;
extern const KernelImage kConvolutionImage;
extern const KernelImage kLstmImage;
extern const KernelImage kIndexImage;
extern const KernelImage kPickImage;
extern const KernelImage kPoolImage;
extern const KernelImage kScanImage;
extern const KernelImage kSearchImage;
extern const KernelImage kSortImage;

}  // namespace penstock::cuda_ops
