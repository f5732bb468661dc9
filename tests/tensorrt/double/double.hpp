#pragma once

#include <cstddef>

// A stand-in for libnvinfer: libpenstock_tensorrt_double_10.so, _11.so and _rtx.so have TensorRT's binary
// layout in the numberings of 10.16, of 11.1 and of TensorRT-RTX 1.7.1, and launch real kernels of their own
// on the streams that they are given. An engine is described by the plan's JSON; see plan.hpp.
//
// These functions steer a library and tell what was called. They are to be found by dlsym in the one that the
// host opened: each has a state of its own. All are thread-safe.

/// What has been made and not been given back.
struct PenstockDoubleAlive {
  unsigned runtimes;
  unsigned engines;
  unsigned contexts;
  std::size_t bytes;  ///< Of device memory that the double allocated.
};

extern "C" {

/// What was called, a line each, but for getters. The objects of a library are numbered from 1; after
/// penstock_double_clear anew, where none is alive.
///   createInferRuntime runtime#1 version 110100
///   deserializeCudaEngine engine#1 NAME
///   createExecutionContext context#1 engine#1 strategy 2
///   setInputShape context#1 x [2,4]
///   setTensorAddress context#1 x 0x7f0000001000
///   setAuxStreams context#1 0x5500 0x5600
///   enqueueV3 context#1 stream 0x5400 aux 0x5500 own shapes x [2,4] y [2,4]
///   reallocateOutputAsync context#1 y 12 stream 0x5400 gave 0x7f0000002000
///   notifyShape context#1 y [3]
///   destroy context#1
/// and alike setOptimizationProfileAsync (context, profile, stream), setOutputAllocator (context, tensor,
/// address), inferShapes, setDeviceMemoryV2 (context, address, bytes), setProfiler, setCommunicator and
/// setInputConsumedEvent (context, address), setWeightStreamingBudgetV2 (engine, bytes).
/// "own": a stream that the double made, as the host gave none. A call that is refused has a second line,
/// "failed: " and what was logged. "violation: " begins a line that says what no host may do: an engine
/// destroyed before its contexts, a runtime before its engines, a context that two threads use at once, a
/// logger that is none. Valid until the next call of this function on the thread.
const char* penstock_double_calls();

/// Forgets the calls and the failures to come.
void penstock_double_clear();

/// The nth call of this function from now on fails as TensorRT would: "createInferRuntime" (11.x then answers
/// with 0x228, as measured, the others null), "deserializeCudaEngine", "createExecutionContext",
/// "setInputShape", "setTensorAddress", "setOutputAllocator", "setOptimizationProfileAsync",
/// "setDeviceMemoryV2", "inferShapes", "setWeightStreamingBudgetV2", "setCommunicator",
/// "setInputConsumedEvent", "createEngineInspector", "enqueueV3", which then has put nothing on the stream,
/// "enqueueV3 late", which has put all of its work there.
void penstock_double_fail(const char* call, int nth);

PenstockDoubleAlive penstock_double_alive();

}  // extern "C"
