#pragma once

#include "cuda/cupti_abi.hpp"
#include "cuda_ops/cublaslt_abi.hpp"
#include "cuda_ops/cudnn_abi.hpp"

#include <penstock/system.hpp>

#include <vector>

namespace penstock::cuda_ops {

/// The functions of cuBLASLt 12 or 13, of cuDNN 9, and of CUPTI 12 or 13, opened at the first call and never
/// closed. Looked for as system::open_library says, by PENSTOCK_CUBLASLT, PENSTOCK_CUDNN or PENSTOCK_CUPTI
/// first. Of CUPTI the one that the process has already comes first: there can be no two.
/// Thread: thread-safe. Errors: NotFound says where it was looked for and how to get it.
const cublaslt::Functions& cublaslt_functions();
const cudnn::Functions& cudnn_functions();
const cuda::cupti::Functions& cupti_functions();

/// Both, opened as above. Errors: OutOfMemory.
std::vector<OptionalLibrary> vendor_libraries();

}  // namespace penstock::cuda_ops
