#include "package/archive.hpp"
#include "package/manifest.hpp"
#include "package/pickled_weights.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

/// Weights in a file each: whatever an archive and its weights_config.json say, a weight lies within the file
/// that it names.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const auto owner = std::make_shared<std::vector<std::uint8_t>>(data, data + size);
  package::ModelFiles files;
  files.folder = "data/aotinductor/model/";
  unsigned sum = 0;
  try {
    const auto archive = package::Archive::open_memory({std::as_bytes(std::span(*owner)), owner}, "input");
    for (const package::PackagedWeight& weight : package::read_pickled_weights(archive, files)) {
      if (weight.layout.sizes.size() != weight.layout.strides.size()) __builtin_trap();
      // The first and the last byte, so that one which reaches too far is seen; and they may be written to.
      for (std::byte* const at :
           {weight.bytes.bytes.data(), weight.bytes.bytes.data() + weight.bytes.bytes.size() - 1}) {
        if (weight.bytes.bytes.empty()) break;
        sum += std::to_integer<unsigned>(*at);
        *at = std::byte{1};
      }
    }
  } catch (const Error&) {
  }
  [[maybe_unused]] volatile unsigned kept = sum;
  return 0;
}
