#pragma once

#include <penstock/device.hpp>
#include <penstock/dtype.hpp>
#include <penstock/export.hpp>
#include <penstock/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace penstock {

/// What a value is. The names are those of Python's types, as a pickle has them.
enum class ValueKind {
  None,        ///< Nothing.
  Bool,        ///< True or false.
  Integer,     ///< 64 bits, signed.
  Number,      ///< A double.
  Text,        ///< Any bytes: PyTorch does not ask for UTF-8.
  Bytes,       ///< Python's bytes.
  List,        ///< Values in order.
  Tuple,       ///< Values in order.
  Dictionary,  ///< Pairs of values, in the order of the file.
  Device,
  DType,
  Tensor,  ///< In host memory.
};

/// A value that a package states: the state of a live object, or an argument that is fixed.
/// A copy shares what it holds, so it is cheap whatever the size. It does not change.
/// Thread: thread-safe. Lifetime: texts and tensors keep their memory, a mapped file too.
class PENSTOCK_API Value {
 public:
  using Pair = std::pair<Value, Value>;

  /// None.
  Value() = default;

  /// A value of its kind. Host-only. Errors: OutOfMemory.
  explicit Value(bool value);             ///< Bool
  explicit Value(std::int64_t value);     ///< Integer
  explicit Value(double value);           ///< Number
  explicit Value(std::string_view text);  ///< Text, of which it keeps a copy.
  explicit Value(const char* text);       ///< The same.
  explicit Value(Device device);          ///< Device
  explicit Value(DType dtype);            ///< DType
  explicit Value(const Tensor& tensor);   ///< Tensor, whose memory it shares.

  /// A text that `owner` keeps: nothing is copied. Host-only. Errors: OutOfMemory.
  static Value shared_text(std::string_view text, std::shared_ptr<const void> owner);

  /// Bytes that `owner` keeps: nothing is copied. Host-only. Errors: OutOfMemory.
  static Value shared_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

  /// Containers. Host-only. Errors: OutOfMemory.
  static Value list(std::vector<Value> items);         ///< [a, b]
  static Value tuple(std::vector<Value> items);        ///< (a, b)
  static Value dictionary(std::vector<Pair> entries);  ///< {a: b}

  /// What it is. Host-only. Errors: none.
  [[nodiscard]] ValueKind kind() const noexcept;
  /// True for None. Host-only. Errors: none.
  [[nodiscard]] bool is_none() const noexcept { return kind() == ValueKind::None; }

  /// The content. Host-only. Lifetime: views and references live as long as this value or a copy of it.
  /// Errors: InvalidArgument where it is something else.
  [[nodiscard]] bool boolean() const;                      ///< Of a Bool.
  [[nodiscard]] std::int64_t integer() const;              ///< Of an Integer.
  [[nodiscard]] double number() const;                     ///< Of a Number or an Integer.
  [[nodiscard]] std::string_view text() const;             ///< Of a Text.
  [[nodiscard]] std::span<const std::byte> bytes() const;  ///< Of Bytes.
  [[nodiscard]] std::span<const Value> items() const;      ///< Of a List or a Tuple.
  [[nodiscard]] std::span<const Pair> entries() const;     ///< Of a Dictionary.
  [[nodiscard]] Device device() const;                     ///< Of a Device.
  [[nodiscard]] DType dtype() const;                       ///< Of a DType.
  [[nodiscard]] const Tensor& tensor() const;              ///< Of a Tensor.

  /// The entry of a dictionary whose key is the text `key`; null where there is none. Host-only.
  /// Lifetime: this value or a copy. Errors: InvalidArgument where it is no dictionary.
  [[nodiscard]] const Value* find(std::string_view key) const;

 private:
  struct Text {
    std::string_view text;
    std::shared_ptr<const void> owner;
  };
  struct Bytes {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;
  };
  struct List {
    std::shared_ptr<const std::vector<Value>> items;
  };
  struct Tuple {
    std::shared_ptr<const std::vector<Value>> items;
  };
  struct Dictionary {
    std::shared_ptr<const std::vector<Pair>> entries;
  };
  struct Held {
    std::shared_ptr<const Tensor> tensor;
  };
  template <class T>
  [[nodiscard]] const T& as(std::string_view wanted) const;

  std::variant<std::monostate, bool, std::int64_t, double, Text, Bytes, List, Tuple, Dictionary, Device,
               DType, Held>
      is_;
};

/// "list", "text", ... Host-only. Thread: thread-safe. Lifetime: static. Errors: none.
PENSTOCK_API std::string_view value_kind_name(ValueKind kind) noexcept;

/// As Python writes it, such as `("x", [1, 2], float32[3, 4])`; a tensor is written as its dtype and sizes.
/// Longer ones end in "..." at about `most_characters`. Host-only. Thread: thread-safe. Errors: OutOfMemory.
PENSTOCK_API std::string to_string(const Value& value, std::size_t most_characters = 200);

}  // namespace penstock
