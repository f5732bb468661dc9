#pragma once

#include "cuda/driver.hpp"

#include <penstock/partition.hpp>

#include <string>
#include <vector>

namespace penstock {

/// SMs of one device: one of the driver's resources, or several of one split.
struct SmResource::Impl {
  int device = 0;
  bool divisible = false;  ///< CUDA splits what it gave for a device or context, not what came of a split.
  std::vector<cuda::Resource> parts;

  [[nodiscard]] unsigned sm_count() const noexcept;
  /// "cuda:0".
  [[nodiscard]] std::string text() const;
};

namespace cuda {

/// The driver's table, where it knows of partitions. Errors: Unsupported says what is needed.
const Driver& partition_driver(int device);

/// Throws for a call about partitions; says what a GPU without them answers.
void check_partition(Result result, const char* call, int device);

}  // namespace cuda
}  // namespace penstock
