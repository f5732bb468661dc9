#pragma once

#include "cuda/abi.hpp"

#include <penstock/error.hpp>

#include <span>
#include <string>
#include <vector>

namespace penstock::cuda {

/// The functions of the CUDA driver that Penstock calls, and the only way in which it calls the driver.
/// Those that came with CUDA 12 are null where the driver is older. Names are the driver's own.
/// Thread: thread-safe; nothing of it changes once it is there.
struct Driver {
  // General
  Result (*init)(unsigned flags) = nullptr;
  Result (*driver_get_version)(int* version) = nullptr;
  Result (*get_error_name)(Result result, const char** name) = nullptr;
  Result (*get_error_string)(Result result, const char** text) = nullptr;

  // Devices
  Result (*device_get_count)(int* count) = nullptr;
  Result (*device_get)(DeviceNumber* device, int ordinal) = nullptr;
  Result (*device_get_name)(char* name, int bytes, DeviceNumber device) = nullptr;
  Result (*device_get_attribute)(int* value, int attribute, DeviceNumber device) = nullptr;
  Result (*device_total_mem)(std::size_t* bytes, DeviceNumber device) = nullptr;
  Result (*device_primary_ctx_retain)(ContextHandle* context, DeviceNumber device) = nullptr;
  Result (*device_primary_ctx_release)(DeviceNumber device) = nullptr;

  // Contexts
  Result (*ctx_get_current)(ContextHandle* context) = nullptr;
  Result (*ctx_set_current)(ContextHandle context) = nullptr;
  Result (*ctx_push_current)(ContextHandle context) = nullptr;
  Result (*ctx_pop_current)(ContextHandle* context) = nullptr;
  Result (*ctx_get_device)(DeviceNumber* device) = nullptr;
  Result (*ctx_synchronize)() = nullptr;
  Result (*ctx_get_id)(ContextHandle context, unsigned long long* id) = nullptr;
  Result (*ctx_get_stream_priority_range)(int* least, int* greatest) = nullptr;

  // Execution resources and green contexts
  Result (*ctx_get_dev_resource)(ContextHandle context, Resource* resource, int type) = nullptr;
  Result (*device_get_dev_resource)(DeviceNumber device, Resource* resource, int type) = nullptr;
  Result (*dev_sm_resource_split_by_count)(Resource* result, unsigned* groups, const Resource* input,
                                           Resource* rest, unsigned flags, unsigned least) = nullptr;
  Result (*dev_resource_generate_desc)(ResourceDescHandle* description, Resource* resources,
                                       unsigned count) = nullptr;
  Result (*green_ctx_create)(GreenContextHandle* context, ResourceDescHandle description, DeviceNumber device,
                             unsigned flags) = nullptr;
  Result (*green_ctx_destroy)(GreenContextHandle context) = nullptr;
  Result (*ctx_from_green_ctx)(ContextHandle* context, GreenContextHandle green) = nullptr;
  Result (*green_ctx_get_dev_resource)(GreenContextHandle context, Resource* resource, int type) = nullptr;
  Result (*green_ctx_get_id)(GreenContextHandle context, unsigned long long* id) = nullptr;
  Result (*green_ctx_stream_create)(StreamHandle* stream, GreenContextHandle context, unsigned flags,
                                    int priority) = nullptr;
  Result (*stream_get_green_ctx)(StreamHandle stream, GreenContextHandle* context) = nullptr;

  // Streams
  Result (*stream_create_with_priority)(StreamHandle* stream, unsigned flags, int priority) = nullptr;
  Result (*stream_destroy)(StreamHandle stream) = nullptr;
  Result (*stream_query)(StreamHandle stream) = nullptr;
  Result (*stream_synchronize)(StreamHandle stream) = nullptr;
  Result (*stream_wait_event)(StreamHandle stream, EventHandle event, unsigned flags) = nullptr;
  Result (*stream_get_ctx)(StreamHandle stream, ContextHandle* context) = nullptr;
  Result (*stream_get_flags)(StreamHandle stream, unsigned* flags) = nullptr;
  Result (*stream_get_priority)(StreamHandle stream, int* priority) = nullptr;
  Result (*stream_get_device)(StreamHandle stream, DeviceNumber* device) = nullptr;
  Result (*stream_get_id)(StreamHandle stream, unsigned long long* id) = nullptr;
  Result (*stream_is_capturing)(StreamHandle stream, int* status) = nullptr;
  Result (*stream_begin_capture)(StreamHandle stream, int mode) = nullptr;
  Result (*stream_end_capture)(StreamHandle stream, GraphHandle* graph) = nullptr;
  Result (*thread_exchange_stream_capture_mode)(int* mode) = nullptr;
  Result (*launch_host_func)(StreamHandle stream, HostFunction function, void* data) = nullptr;

  // Events
  Result (*event_create)(EventHandle* event, unsigned flags) = nullptr;
  Result (*event_destroy)(EventHandle event) = nullptr;
  Result (*event_record)(EventHandle event, StreamHandle stream) = nullptr;
  Result (*event_query)(EventHandle event) = nullptr;
  Result (*event_synchronize)(EventHandle event) = nullptr;
  Result (*event_elapsed_time)(float* milliseconds, EventHandle start, EventHandle end) = nullptr;

  // Memory
  Result (*mem_alloc)(DevicePointer* pointer, std::size_t bytes) = nullptr;
  Result (*mem_free)(DevicePointer pointer) = nullptr;
  Result (*mem_get_info)(std::size_t* free, std::size_t* total) = nullptr;
  Result (*mem_host_alloc)(void** pointer, std::size_t bytes, unsigned flags) = nullptr;
  Result (*mem_free_host)(void* pointer) = nullptr;
  Result (*memcpy_async)(DevicePointer to, DevicePointer from, std::size_t bytes,
                         StreamHandle stream) = nullptr;
  Result (*memcpy_htod_async)(DevicePointer to, const void* from, std::size_t bytes,
                              StreamHandle stream) = nullptr;
  Result (*memcpy_dtoh_async)(void* to, DevicePointer from, std::size_t bytes, StreamHandle stream) = nullptr;
  Result (*memcpy_dtod_async)(DevicePointer to, DevicePointer from, std::size_t bytes,
                              StreamHandle stream) = nullptr;
  Result (*memset_d8_async)(DevicePointer to, unsigned char value, std::size_t count,
                            StreamHandle stream) = nullptr;
  Result (*memset_d16_async)(DevicePointer to, unsigned short value, std::size_t count,
                             StreamHandle stream) = nullptr;
  Result (*memset_d32_async)(DevicePointer to, unsigned value, std::size_t count,
                             StreamHandle stream) = nullptr;
  Result (*pointer_get_attributes)(unsigned count, int* attributes, void** values,
                                   DevicePointer pointer) = nullptr;

  // Code
  Result (*module_load_data)(ModuleHandle* module, const void* image) = nullptr;
  Result (*module_load_data_ex)(ModuleHandle* module, const void* image, unsigned count, int* options,
                                void** values) = nullptr;
  Result (*module_unload)(ModuleHandle module) = nullptr;
  Result (*module_get_function)(FunctionHandle* function, ModuleHandle module, const char* name) = nullptr;
  Result (*func_get_attribute)(int* value, int attribute, FunctionHandle function) = nullptr;
  Result (*func_set_attribute)(FunctionHandle function, int attribute, int value) = nullptr;
  Result (*func_load)(FunctionHandle function) = nullptr;
  Result (*func_get_name)(const char** name, FunctionHandle function) = nullptr;
  Result (*module_get_function_count)(unsigned* count, ModuleHandle module) = nullptr;
  Result (*module_enumerate_functions)(FunctionHandle* functions, unsigned count,
                                       ModuleHandle module) = nullptr;
  Result (*launch_kernel)(FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                          StreamHandle stream, void** parameters, void** extra) = nullptr;
  Result (*func_get_param_info)(FunctionHandle function, std::size_t index, std::size_t* offset,
                                std::size_t* bytes) = nullptr;
  Result (*kernel_get_param_info)(KernelHandle kernel, std::size_t index, std::size_t* offset,
                                  std::size_t* bytes) = nullptr;
  Result (*kernel_get_name)(const char** name, KernelHandle kernel) = nullptr;

  // Graphs
  Result (*stream_get_capture_info)(StreamHandle stream, int* status, unsigned long long* id,
                                    GraphHandle* graph, const GraphNodeHandle** dependencies,
                                    std::size_t* dependency_count) = nullptr;
  Result (*stream_update_capture_dependencies)(StreamHandle stream, GraphNodeHandle* dependencies,
                                               std::size_t count, unsigned flags) = nullptr;
  Result (*graph_add_child_graph_node)(GraphNodeHandle* node, GraphHandle graph,
                                       const GraphNodeHandle* dependencies, std::size_t count,
                                       GraphHandle child) = nullptr;
  Result (*graph_destroy_node)(GraphNodeHandle node) = nullptr;
  Result (*graph_destroy)(GraphHandle graph) = nullptr;
  Result (*graph_get_nodes)(GraphHandle graph, GraphNodeHandle* nodes, std::size_t* count) = nullptr;
  Result (*graph_get_edges)(GraphHandle graph, GraphNodeHandle* from, GraphNodeHandle* to,
                            std::size_t* count) = nullptr;
  Result (*graph_child_graph_node_get_graph)(GraphNodeHandle node, GraphHandle* graph) = nullptr;
  Result (*graph_node_get_type)(GraphNodeHandle node, int* type) = nullptr;
  Result (*graph_kernel_node_get_params)(GraphNodeHandle node, KernelNodeParams* params) = nullptr;
  Result (*graph_memcpy_node_get_params)(GraphNodeHandle node, MemcpyNodeParams* params) = nullptr;
  Result (*graph_memset_node_get_params)(GraphNodeHandle node, MemsetNodeParams* params) = nullptr;
  Result (*graph_instantiate)(GraphExecHandle* exec, GraphHandle graph, unsigned long long flags) = nullptr;
  Result (*graph_upload)(GraphExecHandle exec, StreamHandle stream) = nullptr;
  Result (*graph_launch)(GraphExecHandle exec, StreamHandle stream) = nullptr;
  Result (*graph_exec_destroy)(GraphExecHandle exec) = nullptr;
  Result (*graph_exec_kernel_node_set_params)(GraphExecHandle exec, GraphNodeHandle node,
                                              const KernelNodeParams* params) = nullptr;
  Result (*graph_exec_memcpy_node_set_params)(GraphExecHandle exec, GraphNodeHandle node,
                                              const MemcpyNodeParams* params,
                                              ContextHandle context) = nullptr;
  Result (*graph_exec_memset_node_set_params)(GraphExecHandle exec, GraphNodeHandle node,
                                              const MemsetNodeParams* params,
                                              ContextHandle context) = nullptr;
  Result (*user_object_create)(UserObjectHandle* object, void* data, HostFunction destroy,
                               unsigned references, unsigned flags) = nullptr;
  Result (*user_object_release)(UserObjectHandle object, unsigned references) = nullptr;
  Result (*graph_retain_user_object)(GraphHandle graph, UserObjectHandle object, unsigned references,
                                     unsigned flags) = nullptr;
};

/// A function of the table, for whoever fills or checks it.
struct DriverFunction {
  const char* name;  ///< The driver's: "cuInit".
  int version;  ///< Of CUDA, that the function's signature is of: 12040 is 12.4. What a driver must have.
  std::size_t offset;  ///< Of its pointer in Driver.
};
std::span<const DriverFunction> driver_functions() noexcept;

/// The driver of this process: libcuda.so.1, or the library that the variable PENSTOCK_LIBCUDA names, opened
/// and initialized at the first call. It stays for the life of the process.
/// Errors: NotFound where there is no driver (where it was looked for, what to install); Incompatible where
/// it is older than CUDA 12.0; Cuda where it cannot be initialized, in particular after a fork.
const Driver& driver();

/// True where `driver` would give one. Blocking the first time. Errors: none.
bool has_driver() noexcept;

/// The version of CUDA that the driver supports, such as 13000.
int driver_version();

/// Throws what a driver call answered, unless that is success. `call` is the driver's name of the function,
/// `what` the stream, model, device or size that is concerned. Errors that a context does not recover from
/// are named so.
void check(Result result, const char* call, const std::string& what);

/// "CUDA_ERROR_NOT_READY (device not ready)". Errors: none.
std::string error_text(Result result);

/// True for errors after which every later call on the device fails until the process ends. Errors: none.
bool is_sticky(Result result) noexcept;

/// True in a child that was forked from a process that had opened the driver, where CUDA cannot be used.
bool is_forked_child() noexcept;

/// False where no call may be made: in a child of a process that used CUDA, and while the process exits.
/// For destructors. Errors: none.
bool may_call_driver() noexcept;

/// To be called before anything is made whose destructor calls the driver: `may_call_driver` knows by it when
/// the process exits. Errors: none.
void note_driver_use() noexcept;

/// What came of opening a driver.
struct OpenedDriver {
  Driver table;
  int version = 0;                       ///< As driver_version; 0 where it is not known.
  std::string path;                      ///< Of the library; empty where there is none.
  std::string problem;                   ///< Why the table cannot be used; empty: it can.
  ErrorCode code = ErrorCode::Internal;  ///< Of the problem.
  Result result = kSuccess;              ///< Of the problem, where a call answered it.
};

/// Opens the first library of these names that there is and fills a table. Errors: none; see `problem`.
OpenedDriver open_driver(const std::vector<std::string>& names);

/// The one of `driver`. Errors: none.
const OpenedDriver& opened_driver() noexcept;

}  // namespace penstock::cuda
