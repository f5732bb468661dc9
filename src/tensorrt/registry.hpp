#pragma once

#include <penstock/operators.hpp>

#include <filesystem>
#include <vector>

namespace penstock::tensorrt {

/// The class `tensorrt.Engine` and the operator `tensorrt::execute_engine`. `libraries` are those of TensorRT
/// to use; none: those that are found. Errors: OutOfMemory.
Registry registry(const std::vector<std::filesystem::path>& libraries);

}  // namespace penstock::tensorrt
