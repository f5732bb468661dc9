#include <penstock/value.hpp>

#include "base/fail.hpp"

#include <algorithm>
#include <array>

namespace penstock {

Value::Value(bool value) : is_(value) {}
Value::Value(std::int64_t value) : is_(value) {}
Value::Value(double value) : is_(value) {}
Value::Value(Device device) : is_(device) {}
Value::Value(DType dtype) : is_(dtype) {}
Value::Value(const Tensor& tensor) : is_(Held{std::make_shared<const Tensor>(tensor)}) {}
Value::Value(const char* text) : Value(std::string_view(text)) {}

Value::Value(std::string_view text) {
  const auto owner = std::make_shared<const std::string>(text);
  is_ = Text{*owner, owner};
}

Value Value::shared_text(std::string_view text, std::shared_ptr<const void> owner) {
  Value value;
  value.is_ = Text{text, std::move(owner)};
  return value;
}

Value Value::shared_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  Value value;
  value.is_ = Bytes{bytes, std::move(owner)};
  return value;
}

Value Value::list(std::vector<Value> items) {
  Value value;
  value.is_ = List{std::make_shared<const std::vector<Value>>(std::move(items))};
  return value;
}

Value Value::tuple(std::vector<Value> items) {
  Value value;
  value.is_ = Tuple{std::make_shared<const std::vector<Value>>(std::move(items))};
  return value;
}

Value Value::dictionary(std::vector<Pair> entries) {
  Value value;
  value.is_ = Dictionary{std::make_shared<const std::vector<Pair>>(std::move(entries))};
  return value;
}

ValueKind Value::kind() const noexcept {
  // The alternatives are in the order of the enumerators.
  static_assert(std::variant_size_v<decltype(is_)> == static_cast<std::size_t>(ValueKind::Tensor) + 1);
  return static_cast<ValueKind>(is_.index());
}

template <class T>
const T& Value::as(std::string_view wanted) const {
  const T* const found = std::get_if<T>(&is_);
  if (found == nullptr) {
    base::fail(ErrorCode::InvalidArgument, "a value of kind {} where {} belongs: {}", value_kind_name(kind()),
               wanted, to_string(*this, 60));
  }
  return *found;
}

bool Value::boolean() const { return as<bool>("bool"); }
std::int64_t Value::integer() const { return as<std::int64_t>("integer"); }
std::string_view Value::text() const { return as<Text>("text").text; }
std::span<const std::byte> Value::bytes() const { return as<Bytes>("bytes").bytes; }
std::span<const Value::Pair> Value::entries() const { return *as<Dictionary>("dictionary").entries; }
Device Value::device() const { return as<Device>("device"); }
DType Value::dtype() const { return as<DType>("dtype"); }
const Tensor& Value::tensor() const { return *as<Held>("tensor").tensor; }

double Value::number() const {
  if (kind() == ValueKind::Integer) return static_cast<double>(integer());
  return as<double>("number");
}

std::span<const Value> Value::items() const {
  if (kind() == ValueKind::Tuple) return *std::get<Tuple>(is_).items;
  return *as<List>("list or tuple").items;
}

const Value* Value::find(std::string_view key) const {
  const auto pairs = entries();
  const auto found = std::ranges::find_if(pairs, [key](const Pair& pair) {
    return pair.first.kind() == ValueKind::Text && pair.first.text() == key;
  });
  return found == pairs.end() ? nullptr : &found->second;
}

std::string_view value_kind_name(ValueKind kind) noexcept {
  constexpr std::array<std::string_view, 12> kNames = {"none",       "bool",   "integer", "number",
                                                       "text",       "bytes",  "list",    "tuple",
                                                       "dictionary", "device", "dtype",   "tensor"};
  const auto index = static_cast<std::size_t>(kind);
  return index < kNames.size() ? kNames[index] : "unknown";
}

namespace {

/// Writes until it has more characters than are wanted.
class Writer {
 public:
  explicit Writer(std::size_t most) : most_(most) {}

  void write(const Value& value) {
    if (is_full()) return;
    switch (value.kind()) {
      case ValueKind::None: text_ += "None"; return;
      case ValueKind::Bool: text_ += value.boolean() ? "True" : "False"; return;
      case ValueKind::Integer: text_ += std::to_string(value.integer()); return;
      case ValueKind::Number: text_ += fmt::format("{}", value.number()); return;
      case ValueKind::Text: quote(value.text()); return;
      case ValueKind::Bytes: text_ += fmt::format("bytes[{}]", value.bytes().size()); return;
      case ValueKind::List: sequence('[', value.items(), ']'); return;
      case ValueKind::Tuple: sequence('(', value.items(), ')'); return;
      case ValueKind::Dictionary: entries(value.entries()); return;
      case ValueKind::Device: text_ += to_string(value.device()); return;
      case ValueKind::DType: text_ += dtype_name(value.dtype()); return;
      case ValueKind::Tensor: text_ += to_string(value.tensor().view()); return;
    }
  }

  std::string finish() {
    if (is_full()) {
      text_.resize(most_);
      // Not in the middle of a character.
      while (!text_.empty() && (static_cast<unsigned char>(text_.back()) & 0xC0U) == 0x80U) text_.pop_back();
      if (!text_.empty() && (static_cast<unsigned char>(text_.back()) & 0x80U) != 0) text_.pop_back();
      text_ += "...";
    }
    return std::move(text_);
  }

 private:
  [[nodiscard]] bool is_full() const { return text_.size() > most_; }

  void quote(std::string_view text) {
    text_ += '"';
    for (const char letter : text.substr(0, most_)) {
      const auto code = static_cast<unsigned char>(letter);
      if (letter == '"' || letter == '\\') text_ += '\\';
      if (code < 0x20 || code == 0x7f) {
        text_ += fmt::format("\\x{:02x}", code);
      } else {
        text_ += letter;
      }
    }
    if (text.size() <= most_) text_ += '"';
  }

  void sequence(char open, std::span<const Value> items, char close) {
    text_ += open;
    for (std::size_t i = 0; i < items.size() && !is_full(); ++i) {
      if (i != 0) text_ += ", ";
      write(items[i]);
    }
    if (close == ')' && items.size() == 1) text_ += ',';
    text_ += close;
  }

  void entries(std::span<const Value::Pair> pairs) {
    text_ += '{';
    for (std::size_t i = 0; i < pairs.size() && !is_full(); ++i) {
      if (i != 0) text_ += ", ";
      write(pairs[i].first);
      text_ += ": ";
      write(pairs[i].second);
    }
    text_ += '}';
  }

  std::size_t most_;
  std::string text_;
};

}  // namespace

std::string to_string(const Value& value, std::size_t most_characters) {
  Writer writer(most_characters);
  writer.write(value);
  return writer.finish();
}

}  // namespace penstock
