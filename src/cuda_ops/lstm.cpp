#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/views.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "system/ranges.hpp"
#include "tensor/layout.hpp"

#include <array>

using namespace penstock;

namespace {

using cuda_ops::Kernel;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

constexpr const char* kOp = "_thnn_fused_lstm_cell";

/// Row-major, in a copy that `held` keeps where it is not.
const TensorObject& contiguous(const shim::CudaCall& call, const TensorObject& tensor,
                               TensorObjectPtr& held) {
  if (tensor::is_contiguous(tensor.sizes(), tensor.strides())) return tensor;
  held = cuda_ops::copied(call, tensor);
  return *held;
}

void check(const TensorObject& input, const TensorObject& hidden, const TensorObject& cell,
           const std::array<const TensorObject*, 2>& biases) {
  const bool fits = input.rank == 2 && hidden.rank == 2 && cell.rank == 2 && input.size[0] == cell.size[0] &&
                    hidden.size[0] == cell.size[0] && input.size[1] == 4 * cell.size[1] &&
                    hidden.size[1] == input.size[1];
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "{}: gates {} and {} for cells {}", kOp,
               tensor::sizes_text(input.sizes()), tensor::sizes_text(hidden.sizes()),
               tensor::sizes_text(cell.sizes()));
  }
  for (const TensorObject* bias : biases) {
    if (bias == nullptr || bias->numel == input.size[1]) continue;
    base::fail(ErrorCode::InvalidArgument, "{}: a bias {} for gates {}", kOp,
               tensor::sizes_text(bias->sizes()), tensor::sizes_text(input.sizes()));
  }
  for (const TensorObject* tensor : {&hidden, &cell, biases[0], biases[1]}) {
    if (tensor == nullptr || tensor->dtype == input.dtype) continue;
    base::fail(ErrorCode::InvalidArgument, "{}: {} and {} tensors do not go together", kOp,
               dtype_name(input.dtype), dtype_name(tensor->dtype));
  }
}

const Kernel& kernel_for(DType dtype) {
  static constexpr Kernel kFloat32(cuda_ops::kLstmImage, "penstock_lstm_cell_float32");
  static constexpr Kernel kFloat64(cuda_ops::kLstmImage, "penstock_lstm_cell_float64");
  static constexpr Kernel kFloat16(cuda_ops::kLstmImage, "penstock_lstm_cell_float16");
  static constexpr Kernel kBFloat16(cuda_ops::kLstmImage, "penstock_lstm_cell_bfloat16");
  switch (dtype) {
    case DType::Float32: return kFloat32;
    case DType::Float64: return kFloat64;
    case DType::Float16: return kFloat16;
    case DType::BFloat16: return kBFloat16;
    default: base::fail(ErrorCode::Unsupported, "{} of {} on a GPU", kOp, dtype_name(dtype));
  }
}

AOTITorchError fused_lstm_cell(AtenTensorHandle input_gates, AtenTensorHandle hidden_gates,
                               AtenTensorHandle cx, AtenTensorHandle* input_bias,
                               AtenTensorHandle* hidden_bias, AtenTensorHandle* ret0, AtenTensorHandle* ret1,
                               AtenTensorHandle* ret2) {
  return cuda_ops::guarded([&] {
    const system::Range range(kOp);
    const shim::CudaCall& call = shim::cuda_call();
    const std::array<const TensorObject*, 2> biases{input_bias != nullptr ? *input_bias : nullptr,
                                                    hidden_bias != nullptr ? *hidden_bias : nullptr};
    check(*input_gates, *hidden_gates, *cx, biases);
    const Kernel& kernel = kernel_for(input_gates->dtype);
    auto hidden = shim::make_cuda_result(cx->dtype, cx->sizes());
    auto cell = shim::make_cuda_result(cx->dtype, cx->sizes());
    auto gates = shim::make_cuda_result(cx->dtype, input_gates->sizes());
    if (cx->numel != 0) {
      std::array<TensorObjectPtr, 5> held;
      const void* input = contiguous(call, *input_gates, held[0]).data;
      const void* recurrent = contiguous(call, *hidden_gates, held[1]).data;
      const void* before = contiguous(call, *cx, held[2]).data;
      const void* bias0 = biases[0] == nullptr ? nullptr : contiguous(call, *biases[0], held[3]).data;
      const void* bias1 = biases[1] == nullptr ? nullptr : contiguous(call, *biases[1], held[4]).data;
      kernel.launch(call, cuda_ops::grid_for(call, cx->numel, 128), input, recurrent, before, bias0, bias1,
                    static_cast<void*>(hidden->data), static_cast<void*>(cell->data),
                    static_cast<void*>(gates->data), cx->size[1], cx->numel);
    }
    *ret0 = hidden.release();
    *ret1 = cell.release();
    *ret2 = gates.release();
  });
}

}  // namespace

namespace penstock::cuda_ops {

std::span<const Operator> recurrent_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda__thnn_fused_lstm_cell", &fused_lstm_cell, {.images = {&cuda_ops::kLstmImage}})};
  return kTable;
}

}  // namespace penstock::cuda_ops
