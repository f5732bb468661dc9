#include "cuda/device_memory.hpp"

#include "cuda/driver.hpp"
#include "cuda/graph.hpp"

#include <penstock/error.hpp>

namespace penstock::cuda {
namespace {

class DeviceMemory final : public tensor::MemorySource {
 public:
  explicit DeviceMemory(std::shared_ptr<const PrimaryContext> context) : context_(std::move(context)) {}

  void* take(std::size_t bytes) noexcept override {
    try {
      const ContextScope scope(*context_);
      const CaptureModeScope relaxed(kCaptureRelaxed);
      DevicePointer pointer = 0;
      if (driver().mem_alloc(&pointer, bytes) != kSuccess) return nullptr;
      return reinterpret_cast<void*>(pointer);
    } catch (const Error&) {
      return nullptr;
    }
  }

  void give(void* data) noexcept override {
    release(*context_, "cuMemFree", "memory of a session", [&](const Driver& driver) {
      const CaptureModeScope relaxed(kCaptureRelaxed);
      return driver.mem_free(reinterpret_cast<DevicePointer>(data));
    });
  }

  /// The driver waits for all work of the device.
  [[nodiscard]] bool waits_to_give() const noexcept override { return true; }

  [[nodiscard]] Device device() const noexcept override { return {DeviceType::Cuda, context_->device()}; }

 private:
  std::shared_ptr<const PrimaryContext> context_;
};

}  // namespace

std::shared_ptr<tensor::MemorySource> device_memory(std::shared_ptr<const PrimaryContext> context) {
  return std::make_shared<DeviceMemory>(std::move(context));
}

}  // namespace penstock::cuda
