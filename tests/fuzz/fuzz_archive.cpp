#include "package/archive.hpp"
#include "package/manifest.hpp"
#include "package/pickled_state.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

/// Whatever bytes an archive has, opening it and reading its entries, as archives of objects too, and its
/// manifest works or is an Error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  try {
    const auto archive =
        package::Archive::open_memory({std::as_bytes(std::span(data, size)), nullptr}, "input");
    for (const package::ArchiveEntry& entry : archive.entries()) {
      constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 20;
      if (entry.bytes > kMaxBytes) continue;
      try {
        const package::SharedBytes bytes = archive.read(entry.name);
        if (bytes.bytes.size() != entry.bytes) __builtin_trap();
      } catch (const Error&) {
      }
      try {
        package::ValueBudget budget;
        (void)package::read_pickled_state(archive, entry.name, "input", budget);
      } catch (const Error&) {
      }
    }
    for (const package::ModelFiles& model : package::read_manifest(archive, {.decode_code = true}).models) {
      (void)package::machine_obstacles(model.info);
    }
  } catch (const Error&) {
  }
  return 0;
}
