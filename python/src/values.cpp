#include "values.hpp"

#include "errors.hpp"
#include "inputs.hpp"
#include "tensor.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::python {
namespace {

namespace nb = nanobind;

/// Deeper than any state; a list may hold itself in Python.
constexpr int kMostDepth = 500;

Value value_of_text(nb::handle object) {
  const nb::object bytes = nb::steal(PyUnicode_AsEncodedString(object.ptr(), "utf-8", "surrogateescape"));
  if (!bytes.is_valid()) nb::raise_python_error();
  return Value(std::string_view(PyBytes_AS_STRING(bytes.ptr()),
                                static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))));
}

Value value_of_bytes(nb::handle object) {
  const auto* const data = reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(object.ptr()));
  return Value::shared_bytes({data, static_cast<std::size_t>(PyBytes_GET_SIZE(object.ptr()))},
                             share(nb::borrow(object)));
}

Value value_of(nb::handle object, int depth);

std::vector<Value> values_of(nb::handle items, int depth) {
  std::vector<Value> made;
  for (const nb::handle item : items) made.push_back(value_of(item, depth + 1));
  return made;
}

Value value_of(nb::handle object, int depth) {
  if (depth > kMostDepth)
    throw Error(ErrorCode::InvalidArgument,
                "a value nests more than " + std::to_string(kMostDepth) + " deep");
  PyObject* const raw = object.ptr();
  if (object.is_none()) return {};
  if (PyBool_Check(raw) != 0) return Value(raw == Py_True);
  if (PyLong_Check(raw) != 0)
    return Value(cast_to<std::int64_t>(object, "a number of a state", "int of 64 bits"));
  if (PyFloat_Check(raw) != 0) return Value(PyFloat_AS_DOUBLE(raw));
  if (PyUnicode_Check(raw) != 0) return value_of_text(object);
  if (PyBytes_Check(raw) != 0) return value_of_bytes(object);
  if (PyList_Check(raw) != 0) return Value::list(values_of(object, depth));
  if (PyTuple_Check(raw) != 0) return Value::tuple(values_of(object, depth));
  if (PyDict_Check(raw) != 0) {
    std::vector<Value::Pair> entries;
    for (const auto& [key, value] : nb::borrow<nb::dict>(object))
      entries.emplace_back(value_of(key, depth + 1), value_of(value, depth + 1));
    return Value::dictionary(std::move(entries));
  }
  if (nb::isinstance<Device>(object)) return Value(nb::cast<Device>(object));
  if (nb::isinstance<DType>(object)) return Value(nb::cast<DType>(object));
  if (!is_tensor(object)) wrong_type("a " + type_text(object) + " is nothing that a state can have");
  Inputs inputs;
  inputs.add(object);
  return Value(Tensor::copy_of(inputs.views().front()));
}

}  // namespace

nb::object to_python(const Value& value) {
  switch (value.kind()) {
    case ValueKind::None: return nb::none();
    case ValueKind::Bool: return nb::bool_(value.boolean());
    case ValueKind::Integer: return nb::int_(value.integer());
    case ValueKind::Number: return nb::float_(value.number());
    case ValueKind::Text: return text_of(value.text());
    case ValueKind::Bytes: return nb::bytes(value.bytes().data(), value.bytes().size());
    case ValueKind::List:
    case ValueKind::Tuple: {
      nb::list made;
      for (const Value& item : value.items()) made.append(to_python(item));
      return value.kind() == ValueKind::List ? nb::object(made) : nb::object(nb::tuple(made));
    }
    case ValueKind::Dictionary: {
      nb::dict made;
      for (const auto& [key, item] : value.entries()) made[to_python(key)] = to_python(item);
      return made;
    }
    case ValueKind::Device: return nb::cast(value.device());
    case ValueKind::DType: return nb::cast(value.dtype());
    case ValueKind::Tensor: return nb::cast(PyTensor{value.tensor()});
  }
  return nb::none();
}

Value from_python(nb::handle object) { return value_of(object, 0); }

}  // namespace penstock::python
