#pragma once

#include <penstock/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// A tensor as torch.save describes it in `data.pkl`. Its bytes are in another file, `data/KEY`.
struct PickledTensor {
  DType dtype = DType::Float32;
  std::string key;
  std::uint64_t storage_elements = 0;
  std::uint64_t offset = 0;  ///< In elements.
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
};

/// Reads the pickle of one tensor or parameter. Nothing is executed: of Python's objects there are numbers,
/// strings, booleans, None, tuples and empty ordered dictionaries, and of its functions the two that
/// torch.save writes for tensors are known by name. Everything else is refused. docs/formats/weights.md lists
/// it all. Sources: Python's pickletools (opcodes of protocols 2 to 5), torch/_utils.py,
/// torch/serialization.py. Errors: Corrupt; Unsupported names an opcode, a Python name or a dtype that is not
/// known. `what` names the text in messages.
PickledTensor read_pickled_tensor(std::span<const std::byte> bytes, std::string_view what);

}  // namespace penstock::package
