#include "cpu/cat.hpp"

#include "cpu/copy.hpp"

namespace penstock::cpu {

using tensor::TensorObject;

void cat(const TensorObject& out, TensorList tensors, std::int64_t dim) {
  const std::size_t along = wrap_dim(dim, out.rank);
  std::int64_t begin = 0;
  for (const TensorObject* tensor : tensors) check_host("cat", *tensor);
  for (const TensorObject* tensor : tensors) {
    if (is_left_out(*tensor)) continue;
    const tensor::TensorObjectPtr part(
        tensor::make_tensor(out.storage, {.dtype = out.dtype,
                                          .sizes = tensor->sizes(),
                                          .strides = out.strides(),
                                          .storage_offset = out.storage_offset + begin * out.stride[along]}));
    copy(*part, *tensor);
    begin += tensor->size[along];
  }
}

}  // namespace penstock::cpu
