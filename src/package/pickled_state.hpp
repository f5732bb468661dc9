#pragma once

#include "package/archive.hpp"
#include "package/pickle_reader.hpp"

#include <penstock/value.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace penstock::package {

/// What an object of PyTorch's users wrote of itself.
struct PickledState {
  std::string class_name;  ///< "ns.Name"
  Value state;
};

/// Gives the bytes of a tensor's storage, to be written to, which may be fewer or more than its elements
/// take.
using StorageReader = std::function<PrivateBytes(const PickledTensor& tensor)>;

/// How many values the objects that are read with it may still have, all together.
struct ValueBudget {
  std::size_t values = std::size_t{1} << 23;  ///< A vocabulary takes four a word.
};

/// Reads the pickle of one object. Errors: as below.
PickledState read_pickled_state(const SharedBytes& pickle, const StorageReader& storages,
                                const std::string& what, ValueBudget& budget);

/// Reads the archive that TorchBind makes of one object: `data.pkl`, and the tensors' bytes in `data/KEY`.
/// Texts and tensors are used in place where `outer` has them as they are; what is written to a tensor stays
/// in memory. Errors: Corrupt; Unsupported (what the pickle reader does not know, tensors that were
/// neither on the CPU nor on a GPU, an object within the state); Incompatible (byte order). Messages name
/// `what`.
PickledState read_pickled_state(const Archive& outer, std::string_view entry, const std::string& what,
                                ValueBudget& budget);

}  // namespace penstock::package
