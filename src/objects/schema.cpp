#include "objects/schema.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace penstock::objects {
namespace {

constexpr std::string_view kClasses = "__torch__.torch.classes.";

struct TypeWord {
  std::string_view word;
  BaseType type;
};

constexpr std::array kTypes = {
    TypeWord{"Tensor", BaseType::Tensor},
    TypeWord{"int", BaseType::Integer},
    TypeWord{"SymInt", BaseType::Integer},
    TypeWord{"float", BaseType::Number},
    TypeWord{"Scalar", BaseType::Scalar},
    TypeWord{"bool", BaseType::Bool},
    TypeWord{"str", BaseType::Text},
    TypeWord{"ScalarType", BaseType::DType},
    TypeWord{"MemoryFormat", BaseType::MemoryFormat},
    TypeWord{"Layout", BaseType::Layout},
    TypeWord{"Device", BaseType::Device},
    TypeWord{"Generator", BaseType::Generator},
};

struct NumberWord {
  std::string_view word;
  std::int64_t number;
};

// PyTorch's own numbers.
constexpr std::array kNumberWords = {
    NumberWord{"contiguous_format", 0}, NumberWord{"preserve_format", 1}, NumberWord{"channels_last", 2},
    NumberWord{"channels_last_3d", 3},  NumberWord{"strided", 0},
};

bool is_word(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '.';
}

/// Whether a default of this kind may stand for the type, or for an item of a list of it.
bool fits(BaseType type, ValueKind kind) {
  switch (type) {
    case BaseType::Integer:
    case BaseType::MemoryFormat:
    case BaseType::Layout: return kind == ValueKind::Integer;
    case BaseType::Number: return kind == ValueKind::Number;
    case BaseType::Scalar:
      return kind == ValueKind::Integer || kind == ValueKind::Number || kind == ValueKind::Bool;
    case BaseType::Bool: return kind == ValueKind::Bool;
    case BaseType::Text:
    case BaseType::Device: return kind == ValueKind::Text;
    case BaseType::DType: return kind == ValueKind::DType;
    case BaseType::Tensor:
    case BaseType::Generator:
    case BaseType::Object: return false;
  }
  return false;
}

class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : text_(text) {}

  Schema parse() {
    Schema schema;
    schema.name = take_name();
    expect("(");
    while (!accept(")")) {
      if (!schema.parameters.empty() || starred_) expect(",");
      if (!starred_ && accept("*")) {
        starred_ = true;
      } else {
        schema.parameters.push_back(take_parameter());
      }
    }
    expect("->");
    if (accept("(")) {
      while (!accept(")")) {
        if (!schema.results.empty()) expect(",");
        schema.results.push_back(take_type().type);
        static_cast<void>(take_word());  // results may have names
      }
    } else {
      schema.results.push_back(take_type().type);
      take_word();  // Its name.
    }
    skip_spaces();
    if (at_ != text_.size()) refuse("the end");
    return schema;
  }

 private:
  struct SizedType {
    SchemaType type;
    std::int64_t size = 0;  ///< Of a list with a fixed length.
  };

  [[noreturn]] void refuse(std::string_view wanted) const {
    base::fail(
        ErrorCode::InvalidArgument,
        "the schema \"{}\" cannot be read: {} is expected at \"{}\"; write it as PyTorch does, such as "
        "\"ns::op(Tensor x, float scale=1.0) -> Tensor\"",
        text_, wanted, text_.substr(at_, 20));
  }

  void skip_spaces() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool accept(std::string_view token) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) refuse(fmt::format("\"{}\"", token));
  }
  std::string_view take_word() {
    skip_spaces();
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  std::string take_name() {
    std::string name(take_word());
    if (accept("::")) name += "::" + std::string(take_word());
    if (name.empty() || name.back() == ':') refuse("a name");
    return name;
  }

  SizedType take_type() {
    SizedType result;
    const std::string_view word = take_word();
    const auto known = std::ranges::find(kTypes, word, &TypeWord::word);
    if (known != kTypes.end()) {
      result.type.base = known->type;
    } else if (word.starts_with(kClasses)) {
      result.type.base = BaseType::Object;
      result.type.class_name = word.substr(kClasses.size());
    } else {
      at_ -= word.size();
      refuse("a type");
    }
    for (;;) {
      if (accept("(")) {
        // What is changed in place, which is the operator's own affair.
        at_ = std::min(text_.find(')', at_), text_.size());
        expect(")");
      } else if (accept("?")) {
        if (result.type.optional) refuse("something else than a second \"?\"");
        result.type.optional = true;
      } else if (accept("[")) {
        if (result.type.list) refuse("something else than a list of lists");
        result.size = take_size();
        result.type.list = true;
        // Until here it was about the items.
        result.type.optional_items = std::exchange(result.type.optional, false);
      } else {
        return result;
      }
    }
  }

  std::int64_t take_size() {
    std::int64_t size = 0;
    const std::string_view digits = take_word();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    constexpr std::int64_t kMost = 64;
    if (!digits.empty() && (error != std::errc() || end != digits.data() + digits.size() || size > kMost))
      refuse("the length of a list");
    expect("]");
    return size;
  }

  Parameter take_parameter() {
    const SizedType sized = take_type();
    Parameter parameter{.name = std::string(take_word()), .type = sized.type, .preset = {}};
    if (parameter.name.empty()) refuse("the name of a parameter");
    if (!accept("=")) return parameter;
    const std::size_t begin = at_;
    parameter.preset = take_preset(sized.type);
    if (!parameter.type.list && parameter.preset->kind() == ValueKind::List) {
      at_ = begin;
      refuse("a default of type " + to_string(sized.type));
    }
    // `int[2] size=1` is the same number twice.
    const bool is_one = parameter.type.list && parameter.preset->kind() != ValueKind::List;
    if (is_one && !parameter.preset->is_none()) {
      if (sized.size == 0) refuse("a list");
      const std::vector<Value> items(static_cast<std::size_t>(sized.size), *parameter.preset);
      parameter.preset = Value::list(items);
    }
    return parameter;
  }

  Value take_preset(const SchemaType& type) {
    if (accept("[")) {
      std::vector<Value> items;
      while (!accept("]")) {
        if (!items.empty()) expect(",");
        items.push_back(take_constant(type));
      }
      return Value::list(std::move(items));
    }
    return take_constant(type);
  }

  Value take_constant(const SchemaType& type) {
    skip_spaces();
    const std::size_t begin = at_;
    Value constant = read_constant(type);
    if (constant.is_none() || fits(type.base, constant.kind())) return constant;
    at_ = begin;
    SchemaType one = type;
    one.list = one.optional = one.optional_items = false;
    refuse("a default of type " + to_string(one));
  }

  Value read_constant(const SchemaType& type) {
    if (accept("\"")) return take_text('"');
    if (accept("'")) return take_text('\'');
    const bool negative = accept("-");
    const std::size_t begin = at_;
    std::string word(take_word());
    // The sign of an exponent ends a word.
    if ((word.ends_with('e') || word.ends_with('E')) && at_ < text_.size() &&
        (text_[at_] == '-' || text_[at_] == '+') &&
        std::isdigit(static_cast<unsigned char>(word.front())) != 0) {
      word += text_[at_++];
      word += take_word();
    }
    if (const std::optional<Value> number = number_of(word, negative, type)) return *number;
    if (!negative) {
      if (word == "None") return {};
      if (word == "True" || word == "true") return Value(true);
      if (word == "False" || word == "false") return Value(false);
      const auto known = std::ranges::find(kNumberWords, std::string_view(word), &NumberWord::word);
      if (known != kNumberWords.end()) return Value(known->number);
      if (const auto dtype = dtype_from_name(word); dtype && type.base == BaseType::DType)
        return Value(*dtype);
    }
    at_ = begin;
    refuse("a default");
  }

  static std::optional<Value> number_of(std::string_view word, bool negative, const SchemaType& type) {
    const char* const end = word.data() + word.size();
    std::int64_t integer = 0;
    if (const auto read = std::from_chars(word.data(), end, integer); !word.empty() && read.ptr == end) {
      if (read.ec != std::errc()) return std::nullopt;
      if (negative) integer = -integer;
      if (type.base == BaseType::Number) return Value(static_cast<double>(integer));
      if (type.base == BaseType::DType && element_bytes(static_cast<DType>(integer)) != 0)
        return Value(static_cast<DType>(integer));
      return Value(integer);
    }
    double number = 0;
    const auto read = std::from_chars(word.data(), end, number);
    if (word.empty() || read.ptr != end || read.ec != std::errc()) return std::nullopt;
    // "inf" and "nan" are words too, but not of a schema's.
    if (std::isdigit(static_cast<unsigned char>(word.front())) == 0 && word.front() != '.')
      return std::nullopt;
    return Value(negative ? -number : number);
  }

  /// Those that PyTorch's parser knows.
  char take_escape() {
    constexpr std::string_view kLetters = "ntrbfva\\'\"";
    constexpr std::string_view kMeant = "\n\t\r\b\f\v\a\\'\"";
    const std::size_t known = at_ + 1 < text_.size() ? kLetters.find(text_[at_ + 1]) : kLetters.npos;
    if (known == kLetters.npos) refuse("an escape that PyTorch knows");
    at_ += 2;
    return kMeant[known];
  }

  Value take_text(char quote) {
    std::string text;
    while (at_ < text_.size() && text_[at_] != quote) {
      text += text_[at_] == '\\' ? take_escape() : text_[at_++];
    }
    if (at_ == text_.size()) refuse("the end of a text");
    ++at_;
    return Value(std::string_view(text));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool starred_ = false;
};

}  // namespace

Schema parse_schema(std::string_view text) { return SchemaParser(text).parse(); }

std::string to_string(const SchemaType& type) {
  std::string name;
  if (type.base == BaseType::Object) {
    name = type.class_name;
  } else {
    name = std::ranges::find(kTypes, type.base, &TypeWord::type)->word;
  }
  if (type.optional_items) name += "?";
  if (type.list) name += "[]";
  if (type.optional) name += "?";
  return name;
}

}  // namespace penstock::objects
