// Included once by each of the gemm_*.cpp units, which rename Eigen's namespace first: code that the
// compiler does not inline is merged by name when the library is linked, and the linker may keep the
// copy with instructions that this machine does not have. For the same reason this file uses
// nothing of the standard library that could be emitted out of line.

#include "cpu/gemm_kernels.hpp"

#define EIGEN_NO_DEBUG
#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

#include <type_traits>

namespace penstock::cpu {
namespace {

template <class T, int kOrder>
using MatrixMap = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, kOrder>, Eigen::Unaligned,
                             Eigen::OuterStride<>>;
template <class T, int kOrder>
using ConstMatrixMap = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, kOrder>,
                                  Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T, int kOrderA, int kOrderB>
void multiply(const GemmCall& call) {
  const ConstMatrixMap<T, kOrderA> a(static_cast<const T*>(call.a.data), call.rows, call.depth,
                                     Eigen::OuterStride<>(call.a.stride));
  const ConstMatrixMap<T, kOrderB> b(static_cast<const T*>(call.b.data), call.depth, call.columns,
                                     Eigen::OuterStride<>(call.b.stride));
  MatrixMap<T, Eigen::RowMajor> c(static_cast<T*>(call.c), call.rows, call.columns,
                                  Eigen::OuterStride<>(call.c_stride));
  if (call.beta == 0) {
    c.setZero();
  } else if (call.beta != 1) {
    c *= static_cast<T>(call.beta);
  }
  c.noalias() += static_cast<T>(call.alpha) * a * b;
}

template <class T>
void gemm(const GemmCall& call) {
  constexpr int kRow = Eigen::RowMajor;
  constexpr int kColumn = Eigen::ColMajor;
  if (call.a.transposed) {
    call.b.transposed ? multiply<T, kColumn, kColumn>(call) : multiply<T, kColumn, kRow>(call);
  } else {
    call.b.transposed ? multiply<T, kRow, kColumn>(call) : multiply<T, kRow, kRow>(call);
  }
}

/// T is unsigned, so that results wrap around as PyTorch's do. Row updates instead of Eigen's blocked
/// product: integer products are rare, and this is a tenth of the code.
template <class T>
void integer_gemm(const GemmCall& call) {
  using Map = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
                         Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;
  const auto stride = [](const GemmOperand& operand) {
    return operand.transposed ? Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(1, operand.stride)
                              : Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(operand.stride, 1);
  };
  const Map a(static_cast<const T*>(call.a.data), call.rows, call.depth, stride(call.a));
  const Map b(static_cast<const T*>(call.b.data), call.depth, call.columns, stride(call.b));
  MatrixMap<T, Eigen::RowMajor> c(static_cast<T*>(call.c), call.rows, call.columns,
                                  Eigen::OuterStride<>(call.c_stride));
  // Narrow types are promoted to int, where overflow is undefined.
  using Wide = std::conditional_t<(sizeof(T) < sizeof(std::uint32_t)), std::uint32_t, T>;
  // Through int64, as a negative double is no value of an unsigned type.
  const auto alpha = static_cast<Wide>(static_cast<std::int64_t>(call.alpha));
  const auto beta = static_cast<Wide>(static_cast<std::int64_t>(call.beta));
  for (std::int64_t row = 0; row < call.rows; ++row) {
    auto line = c.row(row);
    if (beta == 0) {
      line.setZero();
    } else {
      line = (line.template cast<Wide>() * beta).template cast<T>();
    }
    for (std::int64_t k = 0; k < call.depth; ++k) {
      const Wide factor = alpha * static_cast<Wide>(a(row, k));
      line = (line.template cast<Wide>() + factor * b.row(k).template cast<Wide>()).template cast<T>();
    }
  }
}

template <class To, class From>
void convert(const void* source, void* destination, std::int64_t count) {
  using ConstMap = Eigen::Map<const Eigen::Array<From, Eigen::Dynamic, 1>>;
  using Map = Eigen::Map<Eigen::Array<To, Eigen::Dynamic, 1>>;
  Map(static_cast<To*>(destination), count) =
      ConstMap(static_cast<const From*>(source), count).template cast<To>();
}

template <class From>
void widen(const void* source, float* destination, std::int64_t count) {
  convert<float, From>(source, destination, count);
}

template <class To>
void narrow(const float* source, void* destination, std::int64_t count) {
  convert<To, float>(source, destination, count);
}

/// What vectors make faster. Products of integers are as fast in the baseline.
[[maybe_unused]] consteval GemmKernels vector_kernels() {
  return {
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
}

}  // namespace
}  // namespace penstock::cpu
