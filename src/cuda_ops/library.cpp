#include "cuda_ops/library.hpp"

#include "cuda/driver.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/kernels.hpp"
#include "cuda_ops/lane_state.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/vendor_library.hpp"

#include <array>
#include <map>
#include <set>
#include <vector>

namespace penstock::cuda_ops {
namespace {

class Library final : public shim::CudaOperators {
 public:
  Library() {
    const std::array families{linear_algebra_functions(), convolution_functions(), attention_functions(),
                              recurrent_functions(),      order_functions(),       indexing_functions(),
                              pooling_functions(),        random_functions(),      elementwise_functions()};
    for (const auto family : families) {
      for (const Operator& each : family) {
        functions_.push_back(each.entry);
        needs_.emplace(each.entry.name, each.needs);
      }
    }
  }

  [[nodiscard]] std::span<const shim::TableEntry> functions() const noexcept override { return functions_; }

  [[nodiscard]] std::vector<OptionalLibrary> libraries() const override { return vendor_libraries(); }

  void prepare(std::span<const std::string_view> functions) override {
    // Copies and fills are the session's too.
    std::set<const KernelImage*> images{&kCopyImage};
    for (const std::string_view function : functions) {
      const auto found = needs_.find(function);
      if (found == needs_.end()) continue;
      if (found->second.cublaslt) cublaslt_functions();
      if (found->second.cudnn) cudnn_functions();
      for (const KernelImage* image : found->second.images) {
        if (image != nullptr) images.insert(image);
      }
    }
    cuda::ContextHandle context = nullptr;
    cuda::check(cuda::driver().ctx_get_current(&context), "cuCtxGetCurrent", "the operators of Penstock");
    load_kernels(context, images);
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
  std::map<std::string_view, Needs> needs_;
};

}  // namespace

shim::CudaOperators& library() {
  static auto* const made = new Library;
  return *made;
}

}  // namespace penstock::cuda_ops
