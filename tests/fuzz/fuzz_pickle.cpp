#include "package/pickle_reader.hpp"
#include "package/pickled_state.hpp"

#include <penstock/error.hpp>
#include <penstock/value.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace {

using namespace penstock;

/// Reads the first and the last byte of every tensor, so that one which reaches too far is seen.
void touch(const Value& value) {
  switch (value.kind()) {
    case ValueKind::List:
    case ValueKind::Tuple:
      for (const Value& item : value.items()) touch(item);
      break;
    case ValueKind::Dictionary:
      for (const auto& [key, item] : value.entries()) {
        touch(key);
        touch(item);
      }
      break;
    case ValueKind::Tensor: {
      const TensorView& view = value.tensor().view();
      if (view.numel() != 0) (void)Tensor::copy_of(view);
      break;
    }
    default: break;
  }
}

}  // namespace

/// Whatever bytes a pickle has, reading it gives what it describes or an Error: a tensor, or an object's
/// state.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto tensor = package::read_pickled_tensor(bytes, "input");
    if (tensor.sizes.size() != tensor.strides.size()) __builtin_trap();
  } catch (const Error&) {
  }
  try {
    alignas(64) std::array<std::byte, 4096> memory{};
    const package::StorageReader storages = [&](const package::PickledTensor& tensor) {
      // As many as are stated, where that is possible.
      const std::uint64_t stated = tensor.storage_elements * element_bytes(tensor.dtype);
      const std::size_t bytes = std::min<std::uint64_t>(stated, memory.size());
      return package::PrivateBytes{.bytes = std::span(memory).first(bytes), .owner = nullptr};
    };
    package::ValueBudget budget;
    const auto state =
        package::read_pickled_state(package::SharedBytes{bytes, nullptr}, storages, "input", budget);
    // Small: what is there twice is gone through twice.
    if (to_string(state.state, 1000).size() < 1000) touch(state.state);
  } catch (const Error&) {
  }
  return 0;
}
