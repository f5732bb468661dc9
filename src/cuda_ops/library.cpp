#include "cuda_ops/library.hpp"

#include "cuda/driver.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/kernels.hpp"
#include "cuda_ops/lane_state.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/vendor_library.hpp"

#include <array>
#include <vector>

namespace penstock::cuda_ops {
namespace {

class Library final : public shim::CudaOperators {
 public:
  Library() {
    const std::array families{linear_algebra_functions(), convolution_functions(), attention_functions(),
                              recurrent_functions(),      order_functions(),       indexing_functions(),
                              pooling_functions(),        random_functions()};
    for (const auto family : families) functions_.insert(functions_.end(), family.begin(), family.end());
  }

  [[nodiscard]] std::span<const shim::TableEntry> functions() const noexcept override { return functions_; }

  void prepare(std::span<const std::string_view> functions) override {
    open_libraries(functions);
    cuda::ContextHandle context = nullptr;
    cuda::check(cuda::driver().ctx_get_current(&context), "cuCtxGetCurrent", "the operators of Penstock");
    load_kernels(context);
  }

  cuda::Result release() noexcept override {
    cuda::ContextHandle context = nullptr;
    const cuda::Result result = cuda::driver().ctx_get_current(&context);
    return result == cuda::kSuccess ? release_kernels(context) : result;
  }

  [[nodiscard]] std::unique_ptr<shim::CudaLaneState> make_lane_state() override {
    return std::make_unique<LaneState>();
  }

  void copy(const shim::CudaCall& call, const tensor::TensorObject& to,
            const tensor::TensorObject& from) override {
    scrub_in_capture(call);
    cuda_ops::copy(call, to, from);
  }

  void zero(const shim::CudaCall& call, const tensor::TensorObject& to) override {
    scrub_in_capture(call);
    cuda_ops::zero(call, to);
  }

  [[nodiscard]] const cuda::cupti::Functions& cupti() override { return cupti_functions(); }

 private:
  std::vector<shim::TableEntry> functions_;
};

}  // namespace

shim::CudaOperators& library() {
  static auto* const made = new Library;
  return *made;
}

}  // namespace penstock::cuda_ops
