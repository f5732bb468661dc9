#define Eigen penstock_eigen_baseline
#include "cpu/gemm_unit.hpp"

namespace penstock::cpu {

constinit const GemmKernels kGemmBaseline{
    .float32 = gemm<float>,
    .float64 = gemm<double>,
    .integer8 = integer_gemm<std::uint8_t>,
    .integer16 = integer_gemm<std::uint16_t>,
    .integer32 = integer_gemm<std::uint32_t>,
    .integer64 = integer_gemm<std::uint64_t>,
    .widen_bfloat16 = widen<Eigen::bfloat16>,
    .widen_float16 = widen<Eigen::half>,
    .narrow_bfloat16 = narrow<Eigen::bfloat16>,
    .narrow_float16 = narrow<Eigen::half>,
};

}  // namespace penstock::cpu
