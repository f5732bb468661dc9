#define Eigen penstock_eigen_avx2
#include "cpu/gemm_unit.hpp"

namespace penstock::cpu {

constinit const GemmKernels kGemmAvx2{
    .float32 = gemm<float>,
    .float64 = gemm<double>,
    .integer8 = nullptr,
    .integer16 = nullptr,
    .integer32 = nullptr,
    .integer64 = nullptr,
    .widen_bfloat16 = widen<Eigen::bfloat16>,
    .widen_float16 = widen<Eigen::half>,
    .narrow_bfloat16 = narrow<Eigen::bfloat16>,
    .narrow_float16 = narrow<Eigen::half>,
};

}  // namespace penstock::cpu
