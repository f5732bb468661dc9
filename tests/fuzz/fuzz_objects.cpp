#include "package/custom_objects.hpp"
#include "package/extern_nodes.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

/// The texts about a package's objects: the calls of its model, and which file each object has.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const package::ExternNode& node : package::read_extern_nodes(text, "input")) {
      for (const package::NodeValue& output : node.outputs) {
        const bool has_one = output.kind == package::NodeValueKind::OptionalTensor;
        if (has_one && output.present.size() != 1) __builtin_trap();
      }
    }
  } catch (const Error&) {
  }
  try {
    std::set<std::string> files;
    for (const auto& [name, file] : package::read_object_config(text, "input")) {
      if (file.find('/') != std::string::npos || !files.insert(file).second) __builtin_trap();
    }
  } catch (const Error&) {
  }
  return 0;
}
