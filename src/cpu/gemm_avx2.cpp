#define Eigen penstock_eigen_avx2
#include "cpu/gemm_unit.hpp"

namespace penstock::cpu {

constinit const GemmKernels kGemmAvx2 = vector_kernels();

}  // namespace penstock::cpu
