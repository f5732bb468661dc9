#pragma once

#include <penstock/export.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

/// A shared library that Penstock loads only when a package needs it.
struct OptionalLibrary {
  std::string name;  ///< "oneDNN", "SLEEF", "libgomp", "cuBLASLt".
  std::string needed_for;
  std::string path;                   ///< Where it was found; empty: it was not.
  std::string version;                ///< As the library says; empty where it does not.
  std::string advice;                 ///< How to get it, where it is missing.
  std::vector<std::string> attempts;  ///< What was tried where, where it is missing; not told of all.
};

/// What this machine offers to packages.
struct SystemInfo {
  std::string cpu;                            ///< Model name.
  std::string architecture;                   ///< "x86_64".
  int threads = 1;                            ///< That this process may use.
  std::vector<std::string> instruction_sets;  ///< Of CPU and kernel together: "AVX2", "AVX512F", ...
  std::string glibc;                          ///< "2.36".
  std::string libstdcxx;                      ///< "3.4.30".
  std::vector<OptionalLibrary> libraries;
};

/// Looks at the machine. Blocking: opens the optional libraries. Thread: thread-safe.
/// Errors: OutOfMemory.
PENSTOCK_API SystemInfo system_info();

/// A GPU that CUDA sees.
struct CudaDevice {
  int index = 0;          ///< Its ordinal: `Device::index`.
  std::string name;       ///< "NVIDIA H200".
  int compute_major = 0;  ///< Of the compute capability.
  int compute_minor = 0;
  unsigned sm_count = 0;  ///< Streaming multiprocessors.
  std::uint64_t memory_bytes = 0;
  unsigned least_partition_sm_count = 0;  ///< Of a part in `SmResource::split`; 0 where there are none.
  unsigned partition_step_sm_count = 0;   ///< In whose multiples parts grow.
  std::string no_partitions_because;      ///< Empty: it can be partitioned.
};

/// CUDA on this machine.
struct CudaInfo {
  int driver_version = 0;      ///< Of CUDA that the driver supports: 13000 is 13.0. 0: there is no driver.
  std::string driver_library;  ///< The file; empty: there is none.
  std::string problem;         ///< Why CUDA cannot be used, and what to do; empty: it can.
  std::vector<CudaDevice> devices;
};

/// The GPUs that CUDA sees, by ordinal. Blocking: opens the driver the first time, but makes no context.
/// Thread: thread-safe. Errors: NotFound where there is no driver or GPU; Incompatible where the driver is
/// older than CUDA 12.0; Cuda.
PENSTOCK_API std::vector<CudaDevice> cuda_devices();

/// The same with the driver, and with what is wrong instead of an error. Blocking, as `cuda_devices`.
/// Thread: thread-safe. Errors: none of CUDA.
PENSTOCK_API CudaInfo cuda_info();

/// The libraries that models on CUDA and audits need: Penstock's own with the operators and, where that is
/// there, those of NVIDIA. Blocking: opens them all, which takes some hundred megabytes. Needs no GPU.
/// Thread: thread-safe. Errors: OutOfMemory.
PENSTOCK_API std::vector<OptionalLibrary> cuda_libraries();

}  // namespace penstock
