#pragma once

#include <penstock/export.hpp>
#include <penstock/tensor.hpp>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace penstock {

/// Tensors with their names, in file order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Reads tensors from a `.npy` (one, called by the file's stem), `.npz` or `.safetensors` file, told
/// apart by content. Blocking. Thread: thread-safe.
/// Sources: numpy/lib/format.py (NPY 1.0 to 3.0), the safetensors README (format).
/// Errors: NotFound; Corrupt with what is wrong where; Unsupported for object arrays, other dtypes,
/// and big-endian data, by name; OutOfMemory.
PENSTOCK_API NamedTensors read_tensors(const std::filesystem::path& path);

/// Writes tensors to a `.npz` or `.safetensors` file, or one tensor to `.npy`, by extension. The file
/// appears whole or not at all (written beside and renamed). Blocking. Thread: thread-safe.
/// Errors: InvalidArgument for another extension, and for bfloat16 and 8-bit floats in `.npy` and
/// `.npz`, which NumPy does not have (use `.safetensors`); NotFound for a missing folder.
PENSTOCK_API void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace penstock
