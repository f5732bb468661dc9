#include "cuda/device_memory.hpp"

#include "cuda/driver.hpp"
#include "cuda/graph.hpp"

#include <fmt/format.h>

#include <utility>

namespace penstock::cuda {
namespace {

class DeviceMemory final : public tensor::MemorySource {
 public:
  DeviceMemory(std::shared_ptr<const PrimaryContext> context, std::shared_ptr<const RunEnd> users)
      : context_(std::move(context)), users_(std::move(users)) {}

  void* take(std::size_t bytes) override {
    const ContextScope scope(*context_);
    const CaptureModeScope relaxed(kCaptureRelaxed);
    DevicePointer pointer = 0;
    const Result result = driver().mem_alloc(&pointer, bytes);
    if (result == kOutOfMemory) return nullptr;
    // A kernel that has failed shows at any call.
    if (result != kSuccess) {
      check(result, "cuMemAlloc", fmt::format("{} bytes of memory of cuda:{}", bytes, context_->device()));
    }
    return reinterpret_cast<void*>(pointer);
  }

  void give(void* data) noexcept override {
    release(*context_, "cuMemFree", "memory of a session", [&](const Driver& driver) {
      const Result waited = users_ != nullptr ? users_->wait() : kSuccess;
      const Result freed = driver.mem_free(reinterpret_cast<DevicePointer>(data));
      return freed != kSuccess ? freed : waited;
    });
  }

  /// For all work of the device, that is.
  [[nodiscard]] bool waits_to_give() const noexcept override { return true; }

  [[nodiscard]] Device device() const noexcept override { return {DeviceType::Cuda, context_->device()}; }

 private:
  std::shared_ptr<const PrimaryContext> context_;
  std::shared_ptr<const RunEnd> users_;
};

}  // namespace

std::shared_ptr<tensor::MemorySource> device_memory(std::shared_ptr<const PrimaryContext> context,
                                                    std::shared_ptr<const RunEnd> users) {
  return std::make_shared<DeviceMemory>(std::move(context), std::move(users));
}

}  // namespace penstock::cuda
