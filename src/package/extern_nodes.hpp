#pragma once

#include "package/archive.hpp"

#include <penstock/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// How PyTorch writes an argument or a result of an operator.
enum class NodeValueKind {
  None,
  Tensor,
  Tensors,
  OptionalTensors,
  Integer,
  Integers,
  SymInteger,
  SymIntegers,
  Number,
  Numbers,
  Bool,
  Bools,
  Text,
  Texts,
  DType,
  MemoryFormat,
  Layout,
  Device,
  Object,
  OptionalTensor,  ///< Only as a result.
  Unknown,         ///< Another; `key` says which.
};

struct NodeValue {
  NodeValueKind kind = NodeValueKind::None;
  std::string key;   ///< "as_tensors"
  std::string name;  ///< Of the operator's parameter; of an object for Object: see `object`.
  /// Of lists of tensors, and OptionalTensor: which of them are there. Of SymIntegers: as many as there are.
  std::vector<bool> present;
  /// What the package states: of everything but tensors, objects and symbolic integers. A memory format or
  /// layout is an integer, PyTorch's own number of it.
  Value value;
  std::string object;      ///< "_torchbind_obj0"
  std::string class_name;  ///< "ns.Name"
};

/// A call that the model makes by number through PyTorch's proxy executor.
struct ExternNode {
  std::string target;  ///< "ns::op", "ns::op.overload" or "call_torchbind"
  std::vector<NodeValue> inputs;
  std::vector<NodeValue> outputs;
};

/// What `target` is for a call of a method of an object.
inline constexpr std::string_view kMethodTarget = "call_torchbind";

/// "__torch__.torch.classes.ns.Name" as "ns.Name"; a name without that stays as it is.
std::string short_class_name(std::string_view name);

/// Reads the JSON that stands beside a model library (`NAME.wrapper.json`): a list of calls, in the order of
/// their numbers. What is not known is kept by name, for whoever refuses it.
/// Source: torch/_export/serde/schema.py, torch/_inductor/extern_node_serializer.py.
/// Errors: Corrupt names `what` and the call.
std::vector<ExternNode> read_extern_nodes(std::string_view text, std::string_view what);

/// The same of an entry of a package; none for an empty name. Errors: also those of Archive::read_text.
std::vector<ExternNode> read_extern_nodes(const Archive& archive, const std::string& entry);

}  // namespace penstock::package
