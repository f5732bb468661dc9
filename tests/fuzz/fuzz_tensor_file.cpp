#include "io/tensor_file.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

/// Whatever bytes a tensor file has, reading it gives tensors or an Error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto source = penstock::io::Source::memory(std::as_bytes(std::span(data, size)), "input");
    for (const auto& [name, tensor] : penstock::io::read_source(source, "x")) {
      // Touches the last byte, so that a tensor shorter than its sizes is seen.
      const std::span<const std::byte> bytes = penstock::io::bytes_of(tensor);
      if (!bytes.empty()) {
        const volatile std::byte last = bytes.back();
        (void)last;
      }
    }
  } catch (const penstock::Error&) {
  }
  return 0;
}
