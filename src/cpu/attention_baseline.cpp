#define Eigen penstock_eigen_baseline
#include "cpu/attention_unit.hpp"

namespace penstock::cpu {

constinit const AttentionKernels kAttentionBaseline{
    .float32 = attend<float>,
    .float64 = attend<double>,
    .float32_lanes = kLanes<float>,
    .float64_lanes = kLanes<double>,
};

}  // namespace penstock::cpu
