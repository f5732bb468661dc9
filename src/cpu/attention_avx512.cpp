#define Eigen penstock_eigen_avx512
#include "cpu/attention_unit.hpp"

namespace penstock::cpu {

constinit const AttentionKernels kAttentionAvx512{
    .float32 = attend<float>,
    .float64 = attend<double>,
    .float32_lanes = kLanes<float>,
    .float64_lanes = kLanes<double>,
};

}  // namespace penstock::cpu
