#include "cuda_ops/lane_state.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda_ops/lane_plans.hpp"
#include "cuda_ops/vendor_library.hpp"

namespace penstock::cuda_ops {
LaneState::LaneState() : plans_(std::make_unique<Plans>()) {}

LaneState::~LaneState() {
  plans_.reset();
  if (cublaslt_ != nullptr) cublaslt_functions().Destroy(cublaslt_);
  if (cudnn_ != nullptr) cudnn_functions().Destroy(cudnn_);
}

cublaslt::Handle LaneState::cublaslt() {
  if (cublaslt_ == nullptr) {
    const cublaslt::Functions& lt = cublaslt_functions();
    if (const cublaslt::Status status = lt.Create(&cublaslt_); status != cublaslt::kSuccess) {
      base::fail(ErrorCode::Cuda, "cublasLtCreate: {} ({}), of cuBLASLt {}", lt.GetStatusName(status), status,
                 lt.GetVersion());
    }
  }
  return cublaslt_;
}

cudnn::Handle LaneState::cudnn(const shim::CudaCall& call) {
  const cudnn::Functions& dnn = cudnn_functions();
  const auto check = [&](cudnn::Status status, const char* function) {
    if (status == cudnn::kSuccess) return;
    base::fail(ErrorCode::Cuda, "{}: {} ({}), of cuDNN {}", function, dnn.GetErrorString(status), status,
               dnn.GetVersion());
  };
  if (cudnn_ == nullptr) check(dnn.Create(&cudnn_), "cudnnCreate");
  if (!has_cudnn_stream_ || cudnn_stream_ != call.stream) {
    check(dnn.SetStream(cudnn_, call.stream), "cudnnSetStream");
    cudnn_stream_ = call.stream;
    has_cudnn_stream_ = true;
  }
  return cudnn_;
}

unsigned LaneState::device_sm_count() {
  if (sm_count_ == 0) {
    cuda::DeviceNumber device = 0;
    int count = 0;
    cuda::check(cuda::driver().ctx_get_device(&device), "cuCtxGetDevice", "the current context");
    cuda::check(cuda::driver().device_get_attribute(&count, cuda::kMultiprocessorCount, device),
                "cuDeviceGetAttribute", "the number of multiprocessors");
    sm_count_ = static_cast<unsigned>(count);
  }
  return sm_count_;
}

Workspace::Workspace(const shim::CudaCall& call, std::size_t bytes, std::size_t alignment) {
  if (bytes == 0) return;
  storage_ = call.pool->allocate(bytes + alignment);
  const auto address = reinterpret_cast<std::uintptr_t>(storage_->data);
  data_ = reinterpret_cast<void*>((address + alignment - 1) / alignment * alignment);
}

Workspace::~Workspace() {
  if (storage_ != nullptr) storage_->drop();
}

}  // namespace penstock::cuda_ops
