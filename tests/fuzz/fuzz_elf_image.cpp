#include "package/elf_image.hpp"
#include "package/instruction_sets.hpp"
#include "package/weights.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

/// Whatever bytes a model library has, all that is read of it lies within the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  try {
    const auto image = package::ElfImage::parse(std::as_bytes(std::span(data, size)), "input");
    for (const package::ElfSymbol& symbol : image.symbols()) {
      const auto offset = image.file_offset(symbol.value, symbol.size);
      if (offset && (*offset > size || symbol.size > size - *offset)) __builtin_trap();
    }
    const auto& tables = image.tables();
    if (tables.dynamic + tables.dynamic_count * 16 > size ||
        tables.symbols + tables.symbol_count * 24 > size) {
      __builtin_trap();
    }
    (void)package::instruction_sets_of_code(image);
    const auto weights = package::find_embedded_weights(image);
    if (weights && weights->file_offset + weights->bytes > size) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
