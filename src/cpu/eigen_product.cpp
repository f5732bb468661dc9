#include "cpu/gemm_kernels.hpp"
#include "cpu/matrix_product.hpp"

#include "base/fail.hpp"
#include "system/machine.hpp"
#include "tensor/address.hpp"

#include <new>

namespace penstock::cpu {
namespace {

const GemmKernels& choose_kernels() {
  const auto has = [](std::string_view name) { return system::has_instruction_set(name); };
  if (!has("AVX2") || !has("FMA") || !has("F16C")) return kGemmBaseline;
  if (has("AVX512F") && has("AVX512DQ") && has("AVX512BW") && has("AVX512VL")) return kGemmAvx512;
  return kGemmAvx2;
}

void (*find_kernel(DType dtype))(const GemmCall&) {
  switch (dtype) {
    case DType::Float32: return gemm_kernels().float32;
    case DType::Float64: return gemm_kernels().float64;
    case DType::Int8:
    case DType::UInt8: return kGemmBaseline.integer8;
    case DType::Int16: return kGemmBaseline.integer16;
    case DType::Int32: return kGemmBaseline.integer32;
    case DType::Int64: return kGemmBaseline.integer64;
    default: return nullptr;
  }
}

}  // namespace

const GemmKernels& gemm_kernels() noexcept {
  static const GemmKernels& kernels = choose_kernels();
  return kernels;
}

void multiply_with_eigen(const DenseProduct& product) {
  const auto kernel = find_kernel(product.dtype);
  if (kernel == nullptr) {
    base::fail(ErrorCode::Internal, "{}: no kernel for {}", product.name, dtype_name(product.dtype));
  }
  const auto element = static_cast<std::int64_t>(element_bytes(product.dtype));
  GemmCall call{product.rows,
                product.columns,
                product.depth,
                {product.left.data, product.left.stride, product.left.transposed},
                {product.right.data, product.right.stride, product.right.transposed},
                product.out.data,
                product.out.stride,
                product.alpha,
                product.beta};
  try {
    for (std::int64_t i = 0; i < product.batch; ++i) {
      call.a.data = tensor::address_at(product.left.data, i * product.left.batch_stride * element);
      call.b.data = tensor::address_at(product.right.data, i * product.right.batch_stride * element);
      call.c = tensor::address_at(product.out.data, i * product.out.batch_stride * element);
      kernel(call);
    }
  } catch (const std::bad_alloc&) {
    base::fail(ErrorCode::OutOfMemory, "{}: out of memory in a product of [{}, {}] and [{}, {}]",
               product.name, product.rows, product.depth, product.depth, product.columns);
  }
}

}  // namespace penstock::cpu
