#pragma once

#include "cuda/cupti_abi.hpp"
#include "cuda_ops/cublaslt_abi.hpp"
#include "cuda_ops/cudnn_abi.hpp"

#include <penstock/system.hpp>

#include <string>
#include <vector>

namespace penstock::cuda_ops {

/// The functions of cuBLASLt 12 or 13, of cuDNN 9, and of CUPTI 12 or 13, opened at the first call and never
/// closed. Looked for in this order: the file that PENSTOCK_CUBLASLT, PENSTOCK_CUDNN or PENSTOCK_CUPTI names,
/// and then nowhere else; where the dynamic linker looks; beside libpenstock; the nvidia-* wheels of the
/// Python environment around it, of the active one and of the first python3 on PATH; toolkits. No program is
/// run for that. Of CUPTI the one that the process has already comes first: there can be no two.
/// Thread: thread-safe. Errors: NotFound says where it was looked for and how to get it.
const cublaslt::Functions& cublaslt_functions();
const cudnn::Functions& cudnn_functions();
const cuda::cupti::Functions& cupti_functions();

/// Both, opened as above. Errors: OutOfMemory.
std::vector<OptionalLibrary> vendor_libraries();

/// Where, besides the dynamic linker's own places, a library of NVIDIA may be. Of the surroundings that
/// `Surroundings` gives. Errors: none.
struct Surroundings {
  std::string own_folder;   ///< Of libpenstock_cuda.
  std::string virtual_env;  ///< VIRTUAL_ENV, CONDA_PREFIX, CUDA_PATH: empty where not set.
  std::string conda_prefix;
  std::string cuda_path;
  std::string path;                     ///< PATH
  std::string toolkits = "/usr/local";  ///< Folder with cuda, cuda-13.0, ...
};
std::vector<std::string> vendor_folders(const Surroundings& around);

}  // namespace penstock::cuda_ops
