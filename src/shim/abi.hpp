#pragma once

#include "tensor/tensor_object.hpp"

#include <complex>
#include <cstddef>
#include <cstdint>

// Our declarations of PyTorch's C ABI, as model libraries import it. A test compiles them beside the
// headers of an installed torch. Source of the signatures: torch/csrc/inductor/aoti_torch/c/shim.h and
// generated/c_shim_cpu.h.
extern "C" {

using AtenTensorHandle = AtenTensorOpaque*;
using AOTITorchError = std::int32_t;  ///< 0: success, 1: failure.
using AOTIProxyExecutorHandle = struct AOTIProxyExecutorOpaque*;

// Metadata of one tensor.
AOTITorchError penstock_get_data_ptr(AtenTensorHandle tensor, void** ret);
AOTITorchError penstock_get_storage_size(AtenTensorHandle tensor, std::int64_t* ret);
AOTITorchError penstock_get_storage_numel(AtenTensorHandle tensor, std::int64_t* ret);
AOTITorchError penstock_get_storage_offset(AtenTensorHandle tensor, std::int64_t* ret);
AOTITorchError penstock_get_dim(AtenTensorHandle tensor, std::int64_t* ret);
AOTITorchError penstock_get_numel(AtenTensorHandle tensor, std::int64_t* ret);
AOTITorchError penstock_get_sizes(AtenTensorHandle tensor, std::int64_t** ret);
AOTITorchError penstock_get_size(AtenTensorHandle tensor, std::int64_t dim, std::int64_t* ret);
AOTITorchError penstock_get_strides(AtenTensorHandle tensor, std::int64_t** ret);
AOTITorchError penstock_get_stride(AtenTensorHandle tensor, std::int64_t dim, std::int64_t* ret);
AOTITorchError penstock_get_dtype(AtenTensorHandle tensor, std::int32_t* ret);
AOTITorchError penstock_get_device_type(AtenTensorHandle tensor, std::int32_t* ret);
AOTITorchError penstock_get_device_index(AtenTensorHandle tensor, std::int32_t* ret);
AOTITorchError penstock_get_layout(AtenTensorHandle tensor, std::int32_t* ret);
AOTITorchError penstock_is_contiguous(AtenTensorHandle tensor, bool* ret);
AOTITorchError penstock_is_defined(AtenTensorHandle tensor, bool* ret);

// Making, viewing, copying and deleting tensors.
AOTITorchError penstock_delete_tensor_object(AtenTensorHandle tensor);
AOTITorchError penstock_new_tensor_handle(AtenTensorHandle tensor, AtenTensorHandle* ret);
AOTITorchError penstock_new_uninitialized_tensor(AtenTensorHandle* ret);
AOTITorchError penstock_empty_strided(std::int64_t ndim, const std::int64_t* sizes,
                                      const std::int64_t* strides, std::int32_t dtype,
                                      std::int32_t device_type, std::int32_t device_index,
                                      AtenTensorHandle* ret);
AOTITorchError penstock_create_tensor_from_blob(void* data, std::int64_t ndim, const std::int64_t* sizes,
                                                const std::int64_t* strides, std::int64_t storage_offset,
                                                std::int32_t dtype, std::int32_t device_type,
                                                std::int32_t device_index, AtenTensorHandle* ret);
AOTITorchError penstock_create_tensor_from_blob_v2(void* data, std::int64_t ndim, const std::int64_t* sizes,
                                                   const std::int64_t* strides, std::int64_t storage_offset,
                                                   std::int32_t dtype, std::int32_t device_type,
                                                   std::int32_t device_index, AtenTensorHandle* ret,
                                                   std::int32_t layout, const std::uint8_t* opaque_metadata,
                                                   std::int64_t opaque_metadata_size);
AOTITorchError penstock_reinterpret_tensor(AtenTensorHandle self, std::int64_t ndim,
                                           const std::int64_t* sizes, const std::int64_t* strides,
                                           std::int64_t storage_offset, AtenTensorHandle* ret);
AOTITorchError penstock_alloc_from_pool(AtenTensorHandle self, std::int64_t offset_bytes, std::int32_t dtype,
                                        std::int64_t ndim, const std::int64_t* sizes,
                                        const std::int64_t* strides, AtenTensorHandle* ret);
AOTITorchError penstock_as_strided(AtenTensorHandle self, const std::int64_t* sizes,
                                   const std::int64_t* strides, AtenTensorHandle* ret);
AOTITorchError penstock_clone(AtenTensorHandle self, AtenTensorHandle* ret);
AOTITorchError penstock_clone_preserve_strides(AtenTensorHandle self, AtenTensorHandle* ret);
AOTITorchError penstock_tensor_copy_(AtenTensorHandle source, AtenTensorHandle destination);
AOTITorchError penstock_copy_(AtenTensorHandle self, AtenTensorHandle source, std::int32_t non_blocking);
AOTITorchError penstock_assign_tensors(AtenTensorHandle source, AtenTensorHandle destination);
AOTITorchError penstock_assign_tensors_out(AtenTensorHandle source, AtenTensorHandle* ret);
AOTITorchError penstock_zero_(AtenTensorHandle self);

// Guards, checks and messages.
bool penstock_grad_mode_is_enabled();
void penstock_grad_mode_set_enabled(bool enabled);
void penstock_check(bool condition, const char* function, const char* file, std::uint32_t line,
                    const char* message);
void penstock_warn(const char* function, const char* file, std::uint32_t line, const char* message);
AOTITorchError penstock_check_inf_and_nan(const char* name, AtenTensorHandle tensor);

// CPU operators.
AOTITorchError penstock_cpu_addmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat1,
                                      AtenTensorHandle mat2, double beta, double alpha);
AOTITorchError penstock_cpu_mm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat2);
AOTITorchError penstock_cpu_bmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat2);
AOTITorchError penstock_cpu_baddbmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle batch1,
                                        AtenTensorHandle batch2, double beta, double alpha);
AOTITorchError penstock_cpu_convolution(AtenTensorHandle input, AtenTensorHandle weight,
                                        AtenTensorHandle* bias, const std::int64_t* stride,
                                        std::int64_t stride_len, const std::int64_t* padding,
                                        std::int64_t padding_len, const std::int64_t* dilation,
                                        std::int64_t dilation_len, std::int32_t transposed,
                                        const std::int64_t* output_padding, std::int64_t output_padding_len,
                                        std::int64_t groups, AtenTensorHandle* ret);
}
