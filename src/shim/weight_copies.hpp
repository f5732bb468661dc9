#pragma once

#include "tensor/storage.hpp"
#include "tensor/tensor_object.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock::shim {

/// Where a library's weights really are while it makes tensors of them. Stock libraries copy all of their
/// weights to memory of their own first; copies out of `stand_in` are noted instead of made, and the tensors
/// are made over `weights`. docs/design/0007-weights.md says why.
/// Thread: one caller at a time.
struct WeightCopies {
  /// What the library takes for its weights. May be memory that holds nothing.
  std::span<const std::byte> stand_in;
  /// What lies there instead, byte by byte. Null: no weights are wanted yet, so tensors get no memory.
  tensor::Storage* weights = nullptr;
  /// A library whose weights are appended to its file maps them. It gets `stand_in` for that.
  bool appended = false;

  /// Weights that the library is given one by one, in this order. It gets handles of these very tensors.
  std::span<const tensor::TensorObjectPtr> given;
  std::size_t given_next = 0;

  const void* copied_to = nullptr;  ///< Of the last copy.
  std::uint64_t copied_from = 0;    ///< Within `stand_in`.
  std::uint64_t copied_bytes = 0;

  /// Notes a copy. False where it is none of weights.
  bool note(const void* to, const void* from, std::size_t bytes) noexcept;

  /// Where the bytes are that lie at `from`: elsewhere where that is in `stand_in`; null where nothing is
  /// there yet.
  [[nodiscard]] const void* bytes_at(const void* from, std::size_t bytes) const noexcept;

  /// The next weight that is given. Errors: Internal where there is none; InvalidArgument where it is not of
  /// the sizes that the library has.
  [[nodiscard]] tensor::TensorObjectPtr take_given(std::span<const std::int64_t> sizes);

  /// The storage, with a reference for the caller, of a weight of `bytes` bytes that the library believes at
  /// `data`. Errors: Corrupt where it reaches past the weights; Internal where it was not seen to be copied;
  /// OutOfMemory.
  [[nodiscard]] tensor::Storage* storage(void* data, std::uint64_t bytes) const;
};

}  // namespace penstock::shim
