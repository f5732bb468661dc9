#include "package/pickle_reader.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

/// Whatever bytes a pickle has, reading it gives a tensor's description or an Error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto tensor = penstock::package::read_pickled_tensor(std::as_bytes(std::span(data, size)), "input");
    if (tensor.sizes.size() != tensor.strides.size()) __builtin_trap();
  } catch (const penstock::Error&) {
  }
  return 0;
}
