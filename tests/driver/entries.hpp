#pragma once

#include "cuda/driver.hpp"

#include <type_traits>

// The entry points: the member of the core's table, the name by which the driver is asked for the function,
// the name under which it is exported.
// clang-format off
#define PENSTOCK_DRIVER_ENTRIES(X) \
  X(init, cuInit, cuInit) \
  X(driver_get_version, cuDriverGetVersion, cuDriverGetVersion) \
  X(get_error_name, cuGetErrorName, cuGetErrorName) \
  X(get_error_string, cuGetErrorString, cuGetErrorString) \
  X(device_get_count, cuDeviceGetCount, cuDeviceGetCount) \
  X(device_get, cuDeviceGet, cuDeviceGet) \
  X(device_get_name, cuDeviceGetName, cuDeviceGetName) \
  X(device_get_attribute, cuDeviceGetAttribute, cuDeviceGetAttribute) \
  X(device_total_mem, cuDeviceTotalMem, cuDeviceTotalMem_v2) \
  X(device_primary_ctx_retain, cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain) \
  X(device_primary_ctx_release, cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2) \
  X(ctx_get_current, cuCtxGetCurrent, cuCtxGetCurrent) \
  X(ctx_set_current, cuCtxSetCurrent, cuCtxSetCurrent) \
  X(ctx_push_current, cuCtxPushCurrent, cuCtxPushCurrent_v2) \
  X(ctx_pop_current, cuCtxPopCurrent, cuCtxPopCurrent_v2) \
  X(ctx_get_device, cuCtxGetDevice, cuCtxGetDevice) \
  X(ctx_synchronize, cuCtxSynchronize, cuCtxSynchronize) \
  X(ctx_get_id, cuCtxGetId, cuCtxGetId) \
  X(ctx_get_stream_priority_range, cuCtxGetStreamPriorityRange, cuCtxGetStreamPriorityRange) \
  X(ctx_get_dev_resource, cuCtxGetDevResource, cuCtxGetDevResource) \
  X(device_get_dev_resource, cuDeviceGetDevResource, cuDeviceGetDevResource) \
  X(dev_sm_resource_split_by_count, cuDevSmResourceSplitByCount, cuDevSmResourceSplitByCount) \
  X(dev_resource_generate_desc, cuDevResourceGenerateDesc, cuDevResourceGenerateDesc) \
  X(green_ctx_create, cuGreenCtxCreate, cuGreenCtxCreate) \
  X(green_ctx_destroy, cuGreenCtxDestroy, cuGreenCtxDestroy) \
  X(ctx_from_green_ctx, cuCtxFromGreenCtx, cuCtxFromGreenCtx) \
  X(green_ctx_get_dev_resource, cuGreenCtxGetDevResource, cuGreenCtxGetDevResource) \
  X(green_ctx_get_id, cuGreenCtxGetId, cuGreenCtxGetId) \
  X(green_ctx_stream_create, cuGreenCtxStreamCreate, cuGreenCtxStreamCreate) \
  X(stream_get_green_ctx, cuStreamGetGreenCtx, cuStreamGetGreenCtx) \
  X(stream_create_with_priority, cuStreamCreateWithPriority, cuStreamCreateWithPriority) \
  X(stream_destroy, cuStreamDestroy, cuStreamDestroy_v2) \
  X(stream_query, cuStreamQuery, cuStreamQuery) \
  X(stream_synchronize, cuStreamSynchronize, cuStreamSynchronize) \
  X(stream_wait_event, cuStreamWaitEvent, cuStreamWaitEvent) \
  X(stream_get_ctx, cuStreamGetCtx, cuStreamGetCtx) \
  X(stream_get_flags, cuStreamGetFlags, cuStreamGetFlags) \
  X(stream_get_priority, cuStreamGetPriority, cuStreamGetPriority) \
  X(stream_get_device, cuStreamGetDevice, cuStreamGetDevice) \
  X(stream_get_id, cuStreamGetId, cuStreamGetId) \
  X(stream_is_capturing, cuStreamIsCapturing, cuStreamIsCapturing) \
  X(stream_begin_capture, cuStreamBeginCapture, cuStreamBeginCapture_v2) \
  X(stream_end_capture, cuStreamEndCapture, cuStreamEndCapture) \
  X(thread_exchange_stream_capture_mode, cuThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode) \
  X(launch_host_func, cuLaunchHostFunc, cuLaunchHostFunc) \
  X(event_create, cuEventCreate, cuEventCreate) \
  X(event_destroy, cuEventDestroy, cuEventDestroy_v2) \
  X(event_record, cuEventRecord, cuEventRecord) \
  X(event_query, cuEventQuery, cuEventQuery) \
  X(event_synchronize, cuEventSynchronize, cuEventSynchronize) \
  X(event_elapsed_time, cuEventElapsedTime, cuEventElapsedTime) \
  X(mem_alloc, cuMemAlloc, cuMemAlloc_v2) \
  X(mem_free, cuMemFree, cuMemFree_v2) \
  X(mem_get_info, cuMemGetInfo, cuMemGetInfo_v2) \
  X(mem_host_alloc, cuMemHostAlloc, cuMemHostAlloc) \
  X(mem_free_host, cuMemFreeHost, cuMemFreeHost) \
  X(memcpy_async, cuMemcpyAsync, cuMemcpyAsync) \
  X(memcpy_htod_async, cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2) \
  X(memcpy_dtoh_async, cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2) \
  X(memcpy_dtod_async, cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2) \
  X(memset_d8_async, cuMemsetD8Async, cuMemsetD8Async) \
  X(memset_d16_async, cuMemsetD16Async, cuMemsetD16Async) \
  X(memset_d32_async, cuMemsetD32Async, cuMemsetD32Async) \
  X(pointer_get_attributes, cuPointerGetAttributes, cuPointerGetAttributes) \
  X(module_load_data, cuModuleLoadData, cuModuleLoadData) \
  X(module_load_data_ex, cuModuleLoadDataEx, cuModuleLoadDataEx) \
  X(module_unload, cuModuleUnload, cuModuleUnload) \
  X(module_get_function, cuModuleGetFunction, cuModuleGetFunction) \
  X(func_get_attribute, cuFuncGetAttribute, cuFuncGetAttribute) \
  X(func_set_attribute, cuFuncSetAttribute, cuFuncSetAttribute) \
  X(func_load, cuFuncLoad, cuFuncLoad) \
  X(func_get_name, cuFuncGetName, cuFuncGetName) \
  X(module_get_function_count, cuModuleGetFunctionCount, cuModuleGetFunctionCount) \
  X(module_enumerate_functions, cuModuleEnumerateFunctions, cuModuleEnumerateFunctions) \
  X(launch_kernel, cuLaunchKernel, cuLaunchKernel) \
  X(func_get_param_info, cuFuncGetParamInfo, cuFuncGetParamInfo) \
  X(kernel_get_param_info, cuKernelGetParamInfo, cuKernelGetParamInfo) \
  X(kernel_get_name, cuKernelGetName, cuKernelGetName) \
  X(stream_get_capture_info, cuStreamGetCaptureInfo, cuStreamGetCaptureInfo_v2) \
  X(stream_update_capture_dependencies, cuStreamUpdateCaptureDependencies, cuStreamUpdateCaptureDependencies) \
  X(graph_add_child_graph_node, cuGraphAddChildGraphNode, cuGraphAddChildGraphNode) \
  X(graph_destroy_node, cuGraphDestroyNode, cuGraphDestroyNode) \
  X(graph_destroy, cuGraphDestroy, cuGraphDestroy) \
  X(graph_get_nodes, cuGraphGetNodes, cuGraphGetNodes) \
  X(graph_get_edges, cuGraphGetEdges, cuGraphGetEdges) \
  X(graph_child_graph_node_get_graph, cuGraphChildGraphNodeGetGraph, cuGraphChildGraphNodeGetGraph) \
  X(graph_node_get_type, cuGraphNodeGetType, cuGraphNodeGetType) \
  X(graph_kernel_node_get_params, cuGraphKernelNodeGetParams, cuGraphKernelNodeGetParams_v2) \
  X(graph_memcpy_node_get_params, cuGraphMemcpyNodeGetParams, cuGraphMemcpyNodeGetParams) \
  X(graph_memset_node_get_params, cuGraphMemsetNodeGetParams, cuGraphMemsetNodeGetParams) \
  X(graph_instantiate, cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags) \
  X(graph_upload, cuGraphUpload, cuGraphUpload) \
  X(graph_launch, cuGraphLaunch, cuGraphLaunch) \
  X(graph_exec_destroy, cuGraphExecDestroy, cuGraphExecDestroy) \
  X(graph_exec_kernel_node_set_params, cuGraphExecKernelNodeSetParams, cuGraphExecKernelNodeSetParams_v2) \
  X(graph_exec_memcpy_node_set_params, cuGraphExecMemcpyNodeSetParams, cuGraphExecMemcpyNodeSetParams) \
  X(graph_exec_memset_node_set_params, cuGraphExecMemsetNodeSetParams, cuGraphExecMemsetNodeSetParams) \
  X(user_object_create, cuUserObjectCreate, cuUserObjectCreate) \
  X(user_object_release, cuUserObjectRelease, cuUserObjectRelease) \
  X(graph_retain_user_object, cuGraphRetainUserObject, cuGraphRetainUserObject)
// clang-format on

// Declared by the types of the table, so that no definition can differ from them.
#define PENSTOCK_DECLARE_ENTRY(member, name, exported) \
  extern "C" std::remove_pointer_t<decltype(penstock::cuda::Driver::member)> exported;
PENSTOCK_DRIVER_ENTRIES(PENSTOCK_DECLARE_ENTRY)
#undef PENSTOCK_DECLARE_ENTRY

/// A definition of one.
#define PENSTOCK_DRIVER_API extern "C" __attribute__((visibility("default"))) penstock::cuda::Result
