#pragma once

#include <string>
#include <vector>

namespace penstock::isolation {

/// Runs a package on its recorded inputs and compares with its recorded outputs, all of float32:
/// `stem`.pt2, `stem`.inputs.safetensors, `stem`.outputs.safetensors. Empty: they agree; else what is
/// wrong. Throws nothing.
std::string disagreement(const std::string& stem) noexcept;

/// The recorded tensors of a file, "out0", "out1", ..., as plain numbers.
std::vector<std::vector<float>> recorded_numbers(const std::string& path);

}  // namespace penstock::isolation
