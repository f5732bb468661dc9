#pragma once

#include <penstock/value.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::objects {

/// What a parameter or result is, lists and optional ones aside.
enum class BaseType {
  Tensor,
  Integer,  ///< int and SymInt
  Number,   ///< float
  Scalar,   ///< int, float or bool
  Bool,
  Text,
  DType,
  MemoryFormat,
  Layout,
  Device,
  Generator,  ///< Of random numbers; packages give None.
  Object,
};

struct SchemaType {
  BaseType base = BaseType::Tensor;
  bool list = false;
  bool optional = false;        ///< None may stand for it.
  bool optional_items = false;  ///< None may stand for an item.
  std::string class_name;       ///< Of an Object: "ns.Name".
};

struct Parameter {
  std::string name;
  SchemaType type;
  std::optional<Value> preset;  ///< What it is where a package leaves it out.
};

/// What PyTorch states of an operator: `ns::op(Tensor x, float scale=1.0) -> Tensor`.
struct Schema {
  std::string name;  ///< "ns::op", "ns::op.overload"; of a method "add_tensor"
  std::vector<Parameter> parameters;
  std::vector<SchemaType> results;
};

/// Reads a schema as PyTorch writes it. Source: aten/src/ATen/native/README.md.
/// Errors: InvalidArgument says what was not understood, where.
Schema parse_schema(std::string_view text);

/// "Tensor[]", "float?": as PyTorch writes it.
std::string to_string(const SchemaType& type);

}  // namespace penstock::objects
