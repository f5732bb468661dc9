#pragma once

#include "abi.hpp"
#include "control.hpp"

#include <atomic>
#include <memory>

namespace penstock::trt_double {

/// VRuntime.
struct Runtime {
  Runtime(HostObject* host_logger, std::int32_t version);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const VtableEntry* vtable;
  Face face;
  Counted counted{Kind::Runtime};
  HostObject* logger;
  std::shared_ptr<std::atomic<int>> engines = std::make_shared<std::atomic<int>>(0);
  // What is only kept.
  void* gpu_allocator = nullptr;
  void* error_recorder = nullptr;
  std::int32_t dla_core = -1;
  std::int32_t max_threads = 1;
  std::string temporary_directory;
  std::uint32_t tempfile_flags = 3;
  bool engine_host_code_allowed = false;
};

}  // namespace penstock::trt_double
