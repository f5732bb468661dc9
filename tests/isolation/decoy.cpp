// Functions with the names that model libraries import and export. Whoever is bound to them dies: a
// process that has them in its global scope shows that models are bound to Penstock's and no one else's.

#include <cstdlib>
#include <cstring>

extern char** environ;

namespace {

[[noreturn]] void die() { std::abort(); }

}  // namespace

#define DECOY(name) \
  extern "C" __attribute__((visibility("default"))) void name() { die(); }

DECOY(aoti_torch_get_data_ptr)
DECOY(aoti_torch_get_sizes)
DECOY(aoti_torch_get_strides)
DECOY(aoti_torch_get_size)
DECOY(aoti_torch_get_stride)
DECOY(aoti_torch_get_dim)
DECOY(aoti_torch_get_numel)
DECOY(aoti_torch_get_dtype)
DECOY(aoti_torch_get_device_type)
DECOY(aoti_torch_get_device_index)
DECOY(aoti_torch_get_storage_offset)
DECOY(aoti_torch_get_storage_size)
DECOY(aoti_torch_delete_tensor_object)
DECOY(aoti_torch_new_tensor_handle)
DECOY(aoti_torch_empty_strided)
DECOY(aoti_torch_create_tensor_from_blob)
DECOY(aoti_torch_create_tensor_from_blob_v2)
DECOY(aoti_torch__reinterpret_tensor)
DECOY(aoti_torch_clone)
DECOY(aoti_torch_clone_preserve_strides)
DECOY(aoti_torch_assign_tensors_out)
DECOY(aoti_torch_check)
DECOY(aoti_torch_warn)
DECOY(aoti_torch_grad_mode_is_enabled)
DECOY(aoti_torch_grad_mode_set_enabled)
DECOY(aoti_torch_dtype_float32)
DECOY(aoti_torch_dtype_int64)
DECOY(aoti_torch_device_type_cpu)
DECOY(aoti_torch_layout_strided)
DECOY(aoti_torch_cpu_addmm_out)
DECOY(aoti_torch_cpu_mm_out)
DECOY(aoti_torch_cpu_bmm_out)
DECOY(aoti_torch_cpu_baddbmm_out)
DECOY(AOTInductorModelContainerCreateWithDevice)
DECOY(AOTInductorModelContainerDelete)
DECOY(AOTInductorModelContainerRun)
DECOY(AOTInductorModelContainerRunSingleThreaded)
DECOY(AOTInductorModelContainerGetNumInputs)
DECOY(AOTInductorModelContainerGetNumOutputs)
DECOY(AOTInductorModelContainerRunConstantFolding)
DECOY(AOTInductorGetLastError)
DECOY(GOMP_parallel)
DECOY(GOMP_barrier)
DECOY(omp_get_thread_num)
DECOY(omp_get_max_threads)
DECOY(omp_get_num_threads)
DECOY(omp_set_num_threads)
DECOY(Sleef_expf8_u10)
DECOY(Sleef_expf16_u10)
DECOY(Sleef_erff8_u10)
DECOY(Sleef_tanhf8_u10)

/// Libraries of all kinds read the environment; only a model asks for this.
extern "C" __attribute__((visibility("default"))) char* getenv(const char* name) noexcept {
  const std::size_t length = std::strlen(name);
  if (std::strcmp(name, "AOTI_RUNTIME_CHECK_INPUTS") == 0) die();
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
  }
  return nullptr;
}
