#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/pool.hpp"
#include "cuda_ops/search.hpp"
#include "shim/pooling_operators.hpp"

#include <array>
#include <utility>

// Windows over images, padding, and bags of embeddings.
namespace penstock::cuda_ops {
namespace {

using tensor::TensorObject;

class OnCuda {
 public:
  template <class Work>
  static AOTITorchError guard(Work&& work) noexcept {
    return cuda_ops::guarded(std::forward<Work>(work));
  }
  static tensor::TensorObjectPtr result(DType dtype, std::span<const std::int64_t> sizes,
                                        std::span<const std::int64_t> strides) {
    return shim::make_cuda_result(dtype, sizes, strides);
  }
  void max_pool(const TensorObject& out, const TensorObject& indices, const TensorObject& input,
                const cpu::PoolWindow& window) {
    cuda_ops::max_pool(call_, out, indices, input, window);
  }
  void average_pool(const TensorObject& out, const TensorObject& input, const cpu::PoolWindow& window,
                    const cpu::AverageOptions& options) {
    cuda_ops::average_pool(call_, out, input, window, options);
  }
  void adaptive_average_pool(const TensorObject& out, const TensorObject& input, std::size_t spatial) {
    cuda_ops::adaptive_average_pool(call_, out, input, spatial);
  }
  void adaptive_max_pool(const TensorObject& out, const TensorObject& indices, const TensorObject& input,
                         std::size_t spatial) {
    cuda_ops::adaptive_max_pool(call_, out, indices, input, spatial);
  }
  void max_unpool(const TensorObject& out, const TensorObject& input, const TensorObject& indices,
                  const cpu::Unpool& unpool) {
    cuda_ops::max_unpool(call_, out, input, indices, unpool);
  }
  void pad(const TensorObject& out, const TensorObject& input, std::span<const std::int64_t> amounts,
           cpu::PadMode mode, double value) {
    cuda_ops::pad(call_, out, input, {.amounts = amounts, .mode = mode, .value = value});
  }

 private:
  const shim::CudaCall& call_ = shim::cuda_call();
};

using Operators = shim::PoolingOperators<OnCuda>;

AOTITorchError embedding_bag_new(AtenTensorHandle weight, AtenTensorHandle indices, AtenTensorHandle offsets,
                                 std::int32_t /*scale_grad_by_freq*/, std::int64_t mode,
                                 std::int32_t /*sparse*/, AtenTensorHandle* per_sample_weights,
                                 std::int32_t include_last_offset, std::int64_t padding_idx,
                                 AtenTensorHandle* ret0, AtenTensorHandle* ret1, AtenTensorHandle* ret2,
                                 AtenTensorHandle* ret3) {
  return guarded([&] {
    cpu::EmbeddingBagResults results = embedding_bag(
        shim::cuda_call(), {.weight = *weight,
                            .indices = *indices,
                            .offsets = *offsets,
                            .mode = static_cast<cpu::BagMode>(mode),
                            .factors = per_sample_weights != nullptr ? *per_sample_weights : nullptr,
                            .include_last_offset = include_last_offset != 0,
                            .padding_idx = padding_idx});
    *ret0 = results.out.release();
    *ret1 = results.offset2bag.release();
    *ret2 = results.bag_size.release();
    *ret3 = results.max_indices.release();
  });
}

constexpr Needs kOfWindows{.images = {&kPoolImage}};
constexpr Needs kOfUnpools{.images = {&kIndexImage}};
constexpr Needs kOfBags{.images = {&kSearchImage}};

}  // namespace

std::span<const Operator> pooling_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_max_pool2d_with_indices", &Operators::max_pool<2>, kOfWindows),
      entry("aoti_torch_cuda_max_pool3d_with_indices", &Operators::max_pool<3>, kOfWindows),
      entry("aoti_torch_cuda_avg_pool2d", &Operators::average_pool<2>, kOfWindows),
      entry("aoti_torch_cuda_avg_pool3d", &Operators::average_pool<3>, kOfWindows),
      entry("aoti_torch_cuda__adaptive_avg_pool2d", &Operators::adaptive_average_pool<2>, kOfWindows),
      entry("aoti_torch_cuda__adaptive_avg_pool3d", &Operators::adaptive_average_pool<3>, kOfWindows),
      entry("aoti_torch_cuda_adaptive_max_pool2d", &Operators::adaptive_max_pool<2>, kOfWindows),
      entry("aoti_torch_cuda_adaptive_max_pool3d", &Operators::adaptive_max_pool<3>, kOfWindows),
      entry("aoti_torch_cuda_max_unpool2d", &Operators::max_unpool2d, kOfUnpools),
      entry("aoti_torch_cuda_max_unpool3d", &Operators::max_unpool3d, kOfUnpools),
      entry("aoti_torch_cuda_pad", &Operators::pad, kOfWindows),
      entry("aoti_torch_cuda__embedding_bag", &embedding_bag_new, kOfBags),
      entry("aoti_torch_cuda__embedding_bag_forward_only", &embedding_bag_new, kOfBags),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
