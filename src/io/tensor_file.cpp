#include "io/tensor_file.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "io/atomic_file.hpp"
#include "io/npy.hpp"
#include "tensor/layout.hpp"

#include <array>
#include <set>
#include <string_view>

namespace penstock {
namespace io {

std::string where_text(const std::string& file, const std::string& tensor) {
  return fmt::format("{}: tensor \"{}\"", file, tensor);
}

std::uint64_t tensor_bytes(DType dtype, std::span<const std::int64_t> sizes, const std::string& where) {
  const std::optional<std::int64_t> numel = tensor::checked_numel(sizes);
  const std::optional<std::int64_t> bytes =
      numel ? base::checked_mul<std::int64_t>(*numel, static_cast<std::int64_t>(element_bytes(dtype)))
            : std::nullopt;
  if (!bytes) {
    base::fail(ErrorCode::Corrupt, "{}: {}{} would be larger than any memory", where, dtype_name(dtype),
               tensor::sizes_text(sizes));
  }
  return static_cast<std::uint64_t>(*bytes);
}

void normalize_booleans(const Tensor& tensor) noexcept {
  if (tensor.dtype() != DType::Bool) return;
  auto* bytes = static_cast<unsigned char*>(tensor.view().data());
  for (std::int64_t i = 0; i < tensor.numel(); ++i) bytes[i] = bytes[i] != 0 ? 1 : 0;
}

std::span<const std::byte> bytes_of(const Tensor& tensor) noexcept {
  return {static_cast<const std::byte*>(tensor.view().data()),
          static_cast<std::size_t>(tensor.numel()) * element_bytes(tensor.dtype())};
}

namespace {

/// A safetensors file has no magic; its header is a JSON object behind a length.
bool looks_like_safetensors(const Source& source) {
  if (source.bytes() < 10) return false;
  std::array<char, 9> start{};
  source.read(0, std::as_writable_bytes(std::span(start)));
  return start[8] == '{';
}

Tensor read_npy_file(const Source& source, const std::string& name) {
  std::uint64_t offset = 0;
  const ReadNext read_next = [&](std::span<std::byte> destination) {
    source.read(offset, destination);
    offset += destination.size();
  };
  return read_npy(read_next, source.bytes(), where_text(source.name(), name));
}

}  // namespace

NamedTensors read_source(const Source& source, const std::string& stem) {
  std::array<char, 6> bytes{};
  const std::size_t count = std::min<std::size_t>(bytes.size(), source.bytes());
  source.read(0, std::as_writable_bytes(std::span(bytes).first(count)));
  const std::string_view start(bytes.data(), count);
  if (start == kNpyMagic) {
    NamedTensors result;
    result.emplace_back(stem, read_npy_file(source, stem));
    return result;
  }
  // An archive begins with its first entry, or with the end record where it has none.
  if (start.starts_with(std::string_view("PK\x03\x04", 4)) ||
      start.starts_with(std::string_view("PK\x05\x06", 4))) {
    return read_npz(source);
  }
  if (looks_like_safetensors(source)) return read_safetensors(source);
  if (source.bytes() == 0) base::fail(ErrorCode::Corrupt, "{}: is empty", source.name());
  base::fail(
      ErrorCode::Corrupt,
      "{}: is not a tensor file; .npy, .npz and .safetensors are read, told apart by their first bytes",
      source.name());
}

namespace {

/// The same tensors as the writers want them: checked, row-major.
NamedTensors checked_tensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::set<std::string_view> names;
  NamedTensors result;
  result.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const std::string where = where_text(path.string(), name);
    if (!names.insert(name).second) {
      base::fail(ErrorCode::InvalidArgument, "{}: is given twice; names in a file differ", where);
    }
    if (!tensor.defined()) base::fail(ErrorCode::InvalidArgument, "{}: is not defined", where);
    if (tensor.view().device().type != DeviceType::Cpu) {
      base::fail(ErrorCode::InvalidArgument, "{}: is not in host memory; copy it there first", where);
    }
    result.emplace_back(name, tensor.view().is_contiguous() ? tensor : tensor.clone());
  }
  return result;
}

void write_npy(const std::filesystem::path& path, const NamedTensors& tensors) {
  if (tensors.size() != 1) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: a .npy file holds one tensor, not {}; write a .npz or .safetensors file", path.string(),
               tensors.size());
  }
  const auto& [name, tensor] = tensors.front();
  const std::string preamble = npy_preamble(tensor.view(), where_text(path.string(), name));
  AtomicFile file(path);
  file.write(preamble);
  file.write(bytes_of(tensor));
  file.commit();
}

}  // namespace
}  // namespace io

NamedTensors read_tensors(const std::filesystem::path& path) {
  return io::read_source(io::Source::open(path), path.stem().string());
}

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  const std::string extension = path.extension().string();
  const NamedTensors checked = io::checked_tensors(path, tensors);
  if (extension == ".npz") return io::write_npz(path, checked);
  if (extension == ".safetensors") return io::write_safetensors(path, checked);
  if (extension == ".npy") return io::write_npy(path, checked);
  base::fail(ErrorCode::InvalidArgument,
             "{}: tensors are written to .npz, .safetensors or .npy files, not to \"{}\"", path.string(),
             extension);
}

}  // namespace penstock
