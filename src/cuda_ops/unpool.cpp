#include "cuda_ops/copy.hpp"
#include "cuda_ops/operands.hpp"
#include "cuda_ops/pool.hpp"
#include "cuda_ops/scatter.hpp"
#include "cuda_ops/views.hpp"

namespace penstock::cuda_ops {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

/// The last `spatial` dimensions as one, in a row-major copy where no stride steps through all of them.
TensorObjectPtr joined(const shim::CudaCall& call, const TensorObject& tensor, std::size_t spatial) {
  const auto rank = static_cast<std::size_t>(tensor.rank);
  cpu::Dims sizes(tensor.sizes().begin(), tensor.sizes().end() - static_cast<std::ptrdiff_t>(spatial));
  cpu::Dims strides(tensor.strides().begin(), tensor.strides().end() - static_cast<std::ptrdiff_t>(spatial));
  std::int64_t places = 1;
  for (std::size_t dim = rank; dim-- > rank - spatial;) {
    if (tensor.stride[dim] != places * tensor.stride[rank - 1]) {
      return joined(call, *copied(call, tensor), spatial);
    }
    places *= tensor.size[dim];
  }
  sizes.push_back(places);
  strides.push_back(tensor.stride[rank - 1]);
  return view(tensor, sizes, strides);
}

}  // namespace

void max_unpool(const shim::CudaCall& call, const TensorObject& out, const TensorObject& input,
                const TensorObject& indices, const cpu::Unpool& unpool) {
  check_device("max_unpool", input);
  check_device("max_unpool", indices);
  check_dtype("max_unpool", input.dtype, float_dtypes());
  if (out.numel == 0) return;
  zero(call, out);
  const TensorObjectPtr places = joined(call, out, unpool.spatial);
  const TensorObjectPtr index = joined(call, indices, unpool.spatial);
  constexpr std::int64_t kPlaces = -1;
  scatter(call, *places, {.dim = kPlaces, .index = *index}, *joined(call, input, unpool.spatial));
}

}  // namespace penstock::cuda_ops
