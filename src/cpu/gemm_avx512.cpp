#define Eigen penstock_eigen_avx512
#include "cpu/gemm_unit.hpp"

namespace penstock::cpu {

constinit const GemmKernels kGemmAvx512 = vector_kernels();

}  // namespace penstock::cpu
