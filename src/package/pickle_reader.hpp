#pragma once

#include <penstock/device.hpp>
#include <penstock/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace penstock::package {

/// A tensor as torch.save describes it in `data.pkl`. Its bytes are in another file, `data/KEY`.
struct PickledTensor {
  DType dtype = DType::Float32;
  std::string key;
  std::string location;  ///< "cpu", "cuda:0".
  std::uint64_t storage_elements = 0;
  std::uint64_t offset = 0;  ///< In elements.
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
};

/// What values of a pickle refer to, by number in the lists of `Pickle`: a thing that is used many times is
/// there once.
struct PickledContainerRef {
  std::size_t index;
};
struct PickledTensorRef {
  std::size_t index;
};
struct PickledStorageRef {
  std::size_t index;
};
struct PickledObjectRef {
  std::size_t index;
};
/// A Python name that stands for itself: a type of storage, or one that is not known.
struct PickledNameRef {
  std::size_t index;
};
/// The start of a tuple, list or dictionary on the stack.
struct PickleMark {};

/// Texts and bytes are where they are in the pickle.
using PickledValue = std::variant<std::monostate, PickleMark, bool, std::int64_t, double, std::string_view,
                                  std::span<const std::byte>, Device, DType, PickledContainerRef,
                                  PickledTensorRef, PickledStorageRef, PickledObjectRef, PickledNameRef>;

enum class ContainerKind { List, Tuple, Dictionary };

struct PickledContainer {
  ContainerKind kind = ContainerKind::Tuple;
  std::vector<PickledValue> items;  ///< Of a dictionary: key, value, key, value, ...
};

/// An object of a class that PyTorch's users register: `__torch__.torch.classes.ns.Name`.
struct PickledObject {
  std::string class_name;  ///< "ns.Name"
  PickledValue state;      ///< None where it has none.
};

/// A storage that a tensor is rebuilt from.
struct PickledStorage {
  DType dtype = DType::Float32;
  std::string key;
  std::string location;
  std::uint64_t elements = 0;
};

/// What a pickle describes. May have cycles: a list that it is itself in.
struct Pickle {
  PickledValue root;
  std::vector<PickledContainer> containers;
  std::vector<PickledTensor> tensors;
  std::vector<PickledStorage> storages;
  std::vector<PickledObject> objects;
  std::vector<std::string> names;  ///< "torch._utils _rebuild_tensor_v2"
  /// Bytes that are not in the pickle as they are.
  std::vector<std::vector<std::byte>> made_bytes;
};

/// What a pickle may have in it.
struct PickleRules {
  bool objects = false;  ///< Objects, lists, dictionaries, floats and bytes too.
  std::size_t most_bytes = std::size_t{1} << 20;
  std::size_t most_values = 2000;  ///< Steps, and values at once.
  std::size_t most_text = 4096;
};

/// Reads a pickle. Nothing is executed: a closed table says which Python names are known and what stands for
/// them. Everything else is refused by its name. docs/formats/objects.md and weights.md list it all.
/// Sources: Python's pickletools (opcodes of protocols 2 to 5), torch/_utils.py, torch/serialization.py,
/// torch/csrc/jit/serialization/pickler.cpp. Errors: Corrupt; Unsupported names an opcode, a Python name or a
/// dtype that is not known. `what` names the text in messages.
/// Lifetime: texts of the result are views of `bytes`.
Pickle read_pickle(std::span<const std::byte> bytes, std::string_view what, const PickleRules& rules);

/// Reads the pickle of one tensor or parameter. Errors: as read_pickle.
PickledTensor read_pickled_tensor(std::span<const std::byte> bytes, std::string_view what);

}  // namespace penstock::package
