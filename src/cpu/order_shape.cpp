#include "base/fail.hpp"
#include "cpu/search.hpp"
#include "cpu/sort.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <string_view>

namespace penstock::cpu {

using tensor::TensorObject;

Dims topk_sizes(const TensorObject& self, const TopK& options) {
  const std::size_t dim = wrap_dim(options.dim, self.rank);
  if (options.k < 0 || options.k > lane_of(self, dim).size) {
    base::fail(ErrorCode::InvalidArgument, "selected index k out of range");
  }
  Dims sizes(self.sizes().begin(), self.sizes().end());
  if (!sizes.empty()) sizes[dim] = options.k;
  return sizes;
}

void check_kth(const TensorObject& self, std::int64_t k, std::size_t dim) {
  if (k >= 1 && k <= lane_of(self, dim).size) return;
  base::fail(ErrorCode::InvalidArgument, "kthvalue(): selected number k out of range for dimension {}", dim);
}

bool is_right_side(bool right, const char* side) {
  if (side == nullptr) return right;
  const std::string_view text = side;
  if (text != "left" && text != "right") {
    base::fail(ErrorCode::InvalidArgument,
               "torch.searchsorted(): side can only be 'left' or 'right' but got {}", text);
  }
  if (right && text == "left") {
    base::fail(ErrorCode::InvalidArgument,
               "torch.searchsorted(): side and right can't be set to opposites, got side of left while right "
               "was True");
  }
  return text == "right";
}

void check_search(const TensorObject& sequence, const TensorObject& values, const TensorObject* sorter) {
  const auto leading = [](const TensorObject& tensor) {
    return tensor.sizes().first(static_cast<std::size_t>(std::max(tensor.rank - 1, 0)));
  };
  const bool fits = sequence.rank == 1 || (sequence.rank > 0 && sequence.rank == values.rank &&
                                           std::ranges::equal(leading(sequence), leading(values)));
  if (!fits) {
    base::fail(
        ErrorCode::InvalidArgument,
        "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
        "boundaries tensor and input value tensor must match, but we got boundaries tensor {} and input "
        "value tensor {}",
        tensor::sizes_text(sequence.sizes()), tensor::sizes_text(values.sizes()));
  }
  if (sorter == nullptr) return;
  if (sorter->dtype != DType::Int64 || !std::ranges::equal(sorter->sizes(), sequence.sizes())) {
    base::fail(ErrorCode::InvalidArgument,
               "torch.searchsorted(): a sorter of {}{} for boundaries of sizes {}", dtype_name(sorter->dtype),
               tensor::sizes_text(sorter->sizes()), tensor::sizes_text(sequence.sizes()));
  }
}

}  // namespace penstock::cpu
