#pragma once

#include <penstock/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// NumPy's array format, versions 1.0 to 3.0 (source: numpy/lib/format.py).
namespace penstock::io {

inline constexpr std::string_view kNpyMagic{"\x93NUMPY", 6};

/// Fills a span with the next bytes of a file or archive entry; throws Error where they are not there.
using ReadNext = std::function<void(std::span<std::byte>)>;

/// What the header of an array says.
struct NpyHeader {
  DType dtype = DType::Float32;
  bool fortran_order = false;
  std::vector<std::int64_t> sizes;
};

/// Parses the Python dict literal of a header. `where` begins messages: file and tensor.
/// Errors: Corrupt; Unsupported for dtypes that Penstock does not have.
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

/// Reads one array of `bytes` bytes, header included, as a row-major tensor.
/// Errors: Corrupt; Unsupported; OutOfMemory.
Tensor read_npy(const ReadNext& read_next, std::uint64_t bytes, const std::string& where);

/// What stands before the bytes of a row-major tensor in a file.
/// Errors: InvalidArgument for a dtype that NumPy does not have, with what to use instead.
std::string npy_preamble(const TensorView& view, const std::string& where);

}  // namespace penstock::io
