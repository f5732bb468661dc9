#pragma once

#include "io/source.hpp"

#include <penstock/io.hpp>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

// Readers and writers behind penstock::read_tensors and write_tensors: docs/formats/tensor-files.md.
namespace penstock::io {

/// Told apart by content. `stem` names the tensor of a .npy file. Errors: as penstock::read_tensors.
NamedTensors read_source(const Source& source, const std::string& stem);

NamedTensors read_npz(const Source& source);
NamedTensors read_safetensors(const Source& source);

/// The tensors are defined, row-major, in host memory, and their names differ.
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors);
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors);

/// "FILE: tensor "NAME"", with which messages begin.
std::string where_text(const std::string& file, const std::string& tensor);

/// Bytes that a tensor of these sizes needs. Errors: Corrupt for negative sizes or overflow.
std::uint64_t tensor_bytes(DType dtype, std::span<const std::int64_t> sizes, const std::string& where);

/// Makes every nonzero byte of a boolean tensor 1: compiled code may rely on it. Errors: none.
void normalize_booleans(const Tensor& tensor) noexcept;

/// The bytes of a row-major tensor.
std::span<const std::byte> bytes_of(const Tensor& tensor) noexcept;

}  // namespace penstock::io
