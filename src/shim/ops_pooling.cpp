#include "shim/pooling_operators.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include <array>
#include <utility>

namespace penstock::shim {
namespace {

using tensor::TensorObject;

class OnCpu {
 public:
  template <class Work>
  static AOTITorchError guard(Work&& work) noexcept {
    return shim::guarded(std::forward<Work>(work));
  }
  static tensor::TensorObjectPtr result(DType dtype, std::span<const std::int64_t> sizes,
                                        std::span<const std::int64_t> strides) {
    return make_result(dtype, sizes, strides);
  }
  void max_pool(TensorObject& out, TensorObject& indices, const TensorObject& input,
                const cpu::PoolWindow& window) {
    cpu::max_pool(context_, out, indices, input, window);
  }
  void average_pool(TensorObject& out, const TensorObject& input, const cpu::PoolWindow& window,
                    const cpu::AverageOptions& options) {
    cpu::average_pool(context_, out, input, window, options);
  }
  void adaptive_average_pool(TensorObject& out, const TensorObject& input, std::size_t spatial) {
    cpu::adaptive_average_pool(context_, out, input, spatial);
  }
  void adaptive_max_pool(TensorObject& out, TensorObject& indices, const TensorObject& input,
                         std::size_t spatial) {
    cpu::adaptive_max_pool(context_, out, indices, input, spatial);
  }
  static void max_unpool(TensorObject& out, const TensorObject& input, const TensorObject& indices,
                         const cpu::Unpool& unpool) {
    cpu::max_unpool(out, input, indices, unpool);
  }
  static void pad(TensorObject& out, const TensorObject& input, std::span<const std::int64_t> amounts,
                  cpu::PadMode mode, double value) {
    cpu::pad(out, input, amounts, mode, value);
  }

 private:
  cpu::OpContext context_ = operator_context();
};

using Operators = PoolingOperators<OnCpu>;

}  // namespace

std::span<const TableEntry> pooling_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_max_pool2d_with_indices", &Operators::max_pool<2>),
      entry("aoti_torch_cpu_max_pool3d_with_indices", &Operators::max_pool<3>),
      entry("aoti_torch_cpu_avg_pool2d", &Operators::average_pool<2>),
      entry("aoti_torch_cpu_avg_pool3d", &Operators::average_pool<3>),
      entry("aoti_torch_cpu__adaptive_avg_pool2d", &Operators::adaptive_average_pool<2>),
      entry("aoti_torch_cpu__adaptive_avg_pool3d", &Operators::adaptive_average_pool<3>),
      entry("aoti_torch_cpu_adaptive_max_pool2d", &Operators::adaptive_max_pool<2>),
      entry("aoti_torch_cpu_adaptive_max_pool3d", &Operators::adaptive_max_pool<3>),
      entry("aoti_torch_cpu_max_unpool2d", &Operators::max_unpool2d),
      entry("aoti_torch_cpu_max_unpool3d", &Operators::max_unpool3d),
      entry("aoti_torch_cpu_pad", &Operators::pad),
  };
  return kTable;
}

}  // namespace penstock::shim
