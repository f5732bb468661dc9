#include "package/call_places.hpp"
#include "package/call_spec.hpp"
#include "package/json_reader.hpp"
#include "package/text_hints.hpp"

#include <penstock/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// The texts of a package: metadata, call spec, and the generated sources, which end at a NUL each.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    (void)package::parse_json(text, "input");
  } catch (const Error&) {
  }
  constexpr std::size_t kLeaves = 3;
  try {
    if (package::keyword_names(text, kLeaves).size() != kLeaves) __builtin_trap();
  } catch (const Error&) {
  }
  for (const package::CallSide side : {package::CallSide::Inputs, package::CallSide::Outputs}) {
    const std::size_t places = package::call_places(text, kLeaves, side).size();
    if (places != 0 && places != kLeaves) __builtin_trap();
  }
  const std::size_t middle = std::min(text.find('\0'), text.size());
  const package::TextHints hints = package::read_text_hints(text.substr(0, middle), text.substr(middle));
  if (hints.threads.at_most && *hints.threads.at_most < 1) __builtin_trap();
  for (const TensorSpec& input : hints.inputs) {
    if (input.dims.size() != input.strides.size() || input.dims.size() > kMaxRank) __builtin_trap();
  }
  return 0;
}
