#pragma once

namespace penstock::trt_double {

/// Has the recording driver do what the kernels of the double do, until its next reset, so that results are
/// right where kernels do not run. smid then tells the block's number, modulo the SMs of the stream's
/// resource.
void add_kernel_actions();

}  // namespace penstock::trt_double
