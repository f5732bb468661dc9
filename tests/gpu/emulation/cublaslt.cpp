// cuBLASLt without a GPU, as far as Penstock uses it: products as the manual describes them, of memory that
// is the host's. It is strict about what the library is strict about.
#include "cuda_ops/cublaslt_abi.hpp"
#include "numbers.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#define PENSTOCK_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace penstock::cuda_ops::cublaslt;
using penstock::emulation::Number;

constexpr Status kInvalidValue = 7;
constexpr std::size_t kWorkspaceBytes = 1024;

struct Desc {
  ComputeType compute;
  DataType scale;
  std::map<int, std::int64_t> values;
  [[nodiscard]] std::int64_t value(int attribute, std::int64_t otherwise) const {
    const auto found = values.find(attribute);
    return found == values.end() ? otherwise : found->second;
  }
};

struct Layout {
  DataType type;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t leading;
  std::int64_t batch = 1;
  std::int64_t batch_stride = 0;
};

Desc& of(MatmulDesc desc) { return *reinterpret_cast<Desc*>(desc); }
Layout& of(MatrixLayout layout) { return *reinterpret_cast<Layout*>(layout); }

Number number_of(DataType type) {
  switch (type) {
    case kReal16: return Number::Float16;
    case kBrain16: return Number::BFloat16;
    case kReal32: return Number::Float32;
    case kReal64: return Number::Float64;
    case kComplex32: return Number::Complex64;
    default: return Number::Complex128;
  }
}

std::complex<double> factor(const void* data, DataType scale) {
  return penstock::emulation::load(data, 0, number_of(scale));
}

/// A matrix of a batch, turned over where the operation says so.
struct Matrix {
  const Layout& layout;
  std::byte* data;
  bool transposed;

  [[nodiscard]] std::int64_t rows() const { return transposed ? layout.columns : layout.rows; }
  [[nodiscard]] std::int64_t columns() const { return transposed ? layout.rows : layout.columns; }
  [[nodiscard]] std::int64_t place(std::int64_t batch, std::int64_t row, std::int64_t column) const {
    return batch * layout.batch_stride +
           (transposed ? column + row * layout.leading : row + column * layout.leading);
  }
  [[nodiscard]] std::complex<double> at(std::int64_t batch, std::int64_t row, std::int64_t column) const {
    return penstock::emulation::load(data, place(batch, row, column), number_of(layout.type));
  }
};

struct Problem {
  const Desc& desc;
  Matrix a;
  Matrix b;
  Matrix c;
  Matrix d;
  std::complex<double> alpha;
  std::complex<double> beta;
};

bool is_valid(const Problem& problem) {
  const auto& [desc, a, b, c, d, alpha, beta] = problem;
  const auto fits = [&](const Matrix& matrix) {
    return matrix.layout.batch == d.layout.batch &&
           matrix.layout.leading >= std::max<std::int64_t>(matrix.layout.rows, 1) && matrix.layout.rows > 0 &&
           matrix.layout.columns > 0;
  };
  return fits(a) && fits(b) && fits(c) && fits(d) && a.rows() == d.rows() && b.columns() == d.columns() &&
         a.columns() == b.rows() && c.rows() == d.rows() && c.columns() == d.columns();
}

double rounded(const Desc& desc, double value) {
  return desc.compute == kCompute32Tf32 ? penstock::emulation::to_tf32(value) : value;
}

std::complex<double> dot(const Problem& problem, std::int64_t batch, std::int64_t row, std::int64_t column) {
  std::complex<double> sum = 0;
  for (std::int64_t k = 0; k < problem.a.columns(); ++k) {
    const auto left = problem.a.at(batch, row, k);
    const auto right = problem.b.at(batch, k, column);
    sum += std::complex<double>(rounded(problem.desc, left.real()), left.imag()) *
           std::complex<double>(rounded(problem.desc, right.real()), right.imag());
  }
  return sum;
}

void multiply(const Problem& problem) {
  const bool has_bias = problem.desc.value(kEpilogue, kEpilogueDefault) == kEpilogueBias;
  const auto* bias = reinterpret_cast<const void*>(problem.desc.value(kBiasPointer, 0));
  const Number number = number_of(problem.d.layout.type);
  for (std::int64_t batch = 0; batch < problem.d.layout.batch; ++batch) {
    for (std::int64_t column = 0; column < problem.d.columns(); ++column) {
      for (std::int64_t row = 0; row < problem.d.rows(); ++row) {
        std::complex<double> value = problem.alpha * dot(problem, batch, row, column);
        if (problem.beta != 0.0) value += problem.beta * problem.c.at(batch, row, column);
        if (has_bias) value += penstock::emulation::load(bias, row, number);
        penstock::emulation::store(problem.d.data, problem.d.place(batch, row, column), number, value);
      }
    }
  }
}

}  // namespace

PENSTOCK_EXPORT Status cublasLtCreate(Handle* handle) {
  *handle = reinterpret_cast<Handle>(new char);
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtDestroy(Handle handle) {
  delete reinterpret_cast<char*>(handle);
  return kSuccess;
}
PENSTOCK_EXPORT std::size_t cublasLtGetVersion() { return 130000; }
PENSTOCK_EXPORT const char* cublasLtGetStatusName(Status) { return "emulated status"; }

PENSTOCK_EXPORT Status cublasLtMatmulDescCreate(MatmulDesc* desc, ComputeType compute, DataType scale) {
  *desc = reinterpret_cast<MatmulDesc>(new Desc{compute, scale, {}});
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtMatmulDescDestroy(MatmulDesc desc) {
  delete &of(desc);
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtMatmulDescSetAttribute(MatmulDesc desc, MatmulDescAttribute attribute,
                                                      const void* value, std::size_t bytes) {
  if (bytes != (attribute == kBiasPointer ? sizeof(void*) : sizeof(std::int32_t))) return kInvalidValue;
  std::int64_t kept = 0;
  std::memcpy(&kept, value, bytes);
  of(desc).values[attribute] = kept;
  return kSuccess;
}

PENSTOCK_EXPORT Status cublasLtMatrixLayoutCreate(MatrixLayout* layout, DataType type, std::uint64_t rows,
                                                  std::uint64_t columns, std::int64_t leading) {
  *layout = reinterpret_cast<MatrixLayout>(
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), leading});
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtMatrixLayoutDestroy(MatrixLayout layout) {
  delete &of(layout);
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtMatrixLayoutSetAttribute(MatrixLayout layout, MatrixLayoutAttribute attribute,
                                                        const void* value, std::size_t bytes) {
  if (attribute == kBatchCount && bytes == sizeof(std::int32_t)) {
    of(layout).batch = *static_cast<const std::int32_t*>(value);
    return kSuccess;
  }
  if (attribute != kStridedBatchOffset || bytes != sizeof(std::int64_t)) return kInvalidValue;
  of(layout).batch_stride = *static_cast<const std::int64_t*>(value);
  return kSuccess;
}

PENSTOCK_EXPORT Status cublasLtMatmulPreferenceCreate(Preference* preference) {
  *preference = reinterpret_cast<Preference>(new char);
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete reinterpret_cast<char*>(preference);
  return kSuccess;
}
PENSTOCK_EXPORT Status cublasLtMatmulPreferenceSetAttribute(Preference, PreferenceAttribute attribute,
                                                            const void*, std::size_t bytes) {
  return bytes == (attribute == kMaxWorkspaceBytes ? sizeof(std::uint64_t) : sizeof(std::uint32_t))
             ? kSuccess
             : kInvalidValue;
}

PENSTOCK_EXPORT Status cublasLtMatmulAlgoGetHeuristic(Handle, MatmulDesc, MatrixLayout, MatrixLayout,
                                                      MatrixLayout, MatrixLayout, Preference, int,
                                                      HeuristicResult* results, int* count) {
  *count = 1;
  results[0] = {
      .algorithm = {}, .workspace_bytes = kWorkspaceBytes, .state = kSuccess, .waves = 1, .reserved = {}};
  return kSuccess;
}

PENSTOCK_EXPORT Status cublasLtMatmul(Handle, MatmulDesc desc, const void* alpha, const void* a,
                                      MatrixLayout a_layout, const void* b, MatrixLayout b_layout,
                                      const void* beta, const void* c, MatrixLayout c_layout, void* d,
                                      MatrixLayout d_layout, const Algorithm*, void* workspace,
                                      std::size_t workspace_bytes, penstock::cuda::StreamHandle) {
  const auto bytes = [](const void* data) { return static_cast<std::byte*>(const_cast<void*>(data)); };
  const Desc& operation = of(desc);
  const Problem problem{operation,
                        {of(a_layout), bytes(a), operation.value(kTransposeA, kAsIs) == kTransposed},
                        {of(b_layout), bytes(b), operation.value(kTransposeB, kAsIs) == kTransposed},
                        {of(c_layout), bytes(c), false},
                        {of(d_layout), bytes(d), false},
                        factor(alpha, operation.scale),
                        factor(beta, operation.scale)};
  if (!is_valid(problem) || workspace_bytes < kWorkspaceBytes || workspace == nullptr) return kInvalidValue;
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return kInvalidValue;
  // So that whoever keeps something in there notices.
  std::memset(workspace, 0xFF, workspace_bytes);
  multiply(problem);
  return kSuccess;
}
