#include "package/text_hints.hpp"

#include "package/text_cursor.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace penstock::package {
namespace {

constexpr std::size_t kMaxInputs = 65'536;

/// Removes `suffix` from the end of `word`; false where it does not end so.
bool strip_suffix(std::string_view& word, std::string_view suffix) {
  if (word.size() < suffix.size() || word.substr(word.size() - suffix.size()) != suffix) return false;
  word.remove_suffix(suffix.size());
  return true;
}

/// What the text says of one input.
struct InputText {
  std::string name;
  std::optional<DType> dtype;
  DeviceType device = DeviceType::Cpu;
  std::vector<DimSpec> dims;
  std::vector<std::int64_t> strides;  // -1: not stated
  bool has_shape = false;             // stated whole, by assert_size_stride
};

/// Reads the lines in their order. Names, checks, bindings and asserts come in this order in the text.
class WrapperScanner {
 public:
  explicit WrapperScanner(TextHints& hints) : hints_(hints) {}

  void scan(std::string_view text) {
    read_counts(text);
    TextCursor lines(text);
    while (!lines.at_end()) {
      const std::string_view line = lines.take_line();
      TextCursor cursor(line);
      if (cursor.take("//")) continue;
      if (cursor.take("inputs_info_[")) {
        read_input_name(cursor);
      } else if (cursor.take("constants_info_[")) {
        read_constant(cursor);
      } else if (cursor.take("int32_t ")) {
        read_expectation(cursor);
      } else if (cursor.take("if (")) {
        read_check(cursor);
        read_assert(cursor);
      } else if (cursor.take("assert_size_stride(")) {
        read_assert(TextCursor(line));
      } else if (cursor.take("int64_t ")) {
        read_binding(cursor);
      }
    }
  }

  void finish() {
    if (!hints_.input_count || inputs_.size() != *hints_.input_count) return;
    const SymbolOfRange symbols = symbols_by_range();
    for (InputText& input : inputs_) {
      if (!input.dtype) return;
      if (!input.has_shape) guess_symbols(input, symbols);
    }
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      InputText& input = inputs_[i];
      hints_.inputs.push_back({"arg" + std::to_string(i),
                               {},
                               *input.dtype,
                               {input.device, 0},
                               std::move(input.dims),
                               std::move(input.strides)});
    }
  }

 private:
  struct Place {
    std::size_t input = 0;
    std::size_t dim = 0;
  };
  using SymbolOfRange = std::map<std::pair<std::int64_t, std::int64_t>, std::string>;

  /// "AOTInductorModelBase(inputs, outputs, constants,".
  void read_counts(std::string_view text) {
    TextCursor cursor(text);
    if (!cursor.skip_past(": AOTInductorModelBase(")) return;
    const std::int64_t inputs = cursor.take_integer().value_or(-1);
    const std::int64_t outputs = cursor.take(",") ? cursor.take_integer().value_or(-1) : -1;
    const std::int64_t constants = cursor.take(",") ? cursor.take_integer().value_or(-1) : -1;
    constexpr auto kMost = static_cast<std::int64_t>(kMaxInputs);
    if (inputs < 0 || inputs > kMost || outputs < 0 || outputs > kMost || constants < 0) return;
    hints_.input_count = static_cast<std::size_t>(inputs);
    hints_.output_count = static_cast<std::size_t>(outputs);
    hints_.constant_count = static_cast<std::size_t>(constants);
  }

  /// "0].name = "arg0_1";"
  void read_input_name(TextCursor cursor) {
    const auto index = cursor.take_integer();
    if (!index || *index != static_cast<std::int64_t>(inputs_.size()) || inputs_.size() >= kMaxInputs) return;
    if (!cursor.take("].name = \"")) return;
    InputText input;
    input.name = std::string(cursor.take_word());
    by_name_.emplace(input.name, inputs_.size());
    inputs_.push_back(std::move(input));
  }

  /// "0].data_size = 512;", "0].shape = {8, 16};", "0].stride = {16, 1};", then "0].original_fqn =
  /// "a.weight";".
  void read_constant(TextCursor cursor) {
    const auto index = cursor.take_integer();
    if (!index) return;
    if (*index != constant_) layout_ = {};
    constant_ = *index;
    if (cursor.take("].data_size = ")) {
      const auto bytes = cursor.take_integer();
      if (bytes && *bytes > 0) hints_.constants_bytes += static_cast<std::uint64_t>(*bytes);
    } else if (cursor.take("].shape = {")) {
      layout_.sizes = read_numbers(cursor);
    } else if (cursor.take("].stride = {")) {
      layout_.strides = read_numbers(cursor);
    } else if (cursor.take("].original_fqn = \"")) {
      const std::string_view rest = cursor.rest();
      const std::size_t end = rest.find('"');
      if (end == std::string_view::npos || layout_.sizes.size() != layout_.strides.size()) return;
      hints_.weights.insert_or_assign(std::string(rest.substr(0, end)), std::move(layout_));
      layout_ = {};
    }
  }

  static std::vector<std::int64_t> read_numbers(TextCursor& cursor) {
    std::vector<std::int64_t> numbers;
    while (const auto number = cursor.take_integer()) {
      numbers.push_back(*number);
      if (!cursor.take(",")) break;
    }
    return numbers;
  }

  InputText* find_input(std::string_view name) {
    const auto found = by_name_.find(std::string(name));
    return found == by_name_.end() ? nullptr : &inputs_[found->second];
  }

  /// "arg0_1_expected_dtype = aoti_torch_dtype_float32();", "arg0_1_expected_device_type = 0;"
  void read_expectation(TextCursor cursor) {
    std::string_view word = cursor.take_word();
    if (strip_suffix(word, "_expected_dtype") && cursor.take("= aoti_torch_dtype_")) {
      if (InputText* input = find_input(word)) input->dtype = dtype_from_name(cursor.take_word());
    } else if (strip_suffix(word, "_expected_device_type") && cursor.take("=")) {
      InputText* input = find_input(word);
      if (input != nullptr && cursor.take_integer() == 1) input->device = DeviceType::Cuda;
    }
  }

  /// "arg0_1_size[0]": the dimension, which is added where it is not there yet.
  std::optional<Place> read_place(TextCursor& cursor, std::string_view suffix) {
    std::string_view word = cursor.take_word();
    if (!strip_suffix(word, suffix) || !cursor.take("[")) return std::nullopt;
    const auto found = by_name_.find(std::string(word));
    const auto dim = cursor.take_integer();
    if (found == by_name_.end() || !dim || *dim < 0 || *dim >= static_cast<std::int64_t>(kMaxRank)) {
      return std::nullopt;
    }
    if (!cursor.take("]")) return std::nullopt;
    const Place place{found->second, static_cast<std::size_t>(*dim)};
    InputText& input = inputs_[place.input];
    if (input.dims.size() <= place.dim) {
      input.dims.resize(place.dim + 1);
      input.strides.resize(place.dim + 1, -1);
    }
    return place;
  }

  /// "64 != arg0_1_size[1]) {", "arg0_1_size[0] < 2) {", "1 != arg0_1_stride[1]) {"
  void read_check(TextCursor cursor) {
    if (const auto value = cursor.take_integer()) {
      if (!cursor.take("!=")) return;
      TextCursor stride = cursor;
      if (const auto size_place = read_place(cursor, "_size")) {
        DimSpec& dim = inputs_[size_place->input].dims[size_place->dim];
        dim.min = dim.max = *value;
      } else if (const auto stride_place = read_place(stride, "_stride")) {
        inputs_[stride_place->input].strides[stride_place->dim] = *value;
      }
      return;
    }
    const auto place = read_place(cursor, "_size");
    if (!place) return;
    DimSpec& dim = inputs_[place->input].dims[place->dim];
    const bool is_least = cursor.take("<");
    if (!is_least && !cursor.take(">")) return;
    // PyTorch writes a least size of 2 for every dynamic dimension, whatever was exported: it says
    // nothing (docs/design/0006-input-checks.md).
    constexpr std::int64_t kAssumedLeast = 2;
    const auto value = cursor.take_integer();
    if (value && is_least && *value != kAssumedLeast) dim.min = *value;
    if (value && !is_least) dim.max = *value;
  }

  /// "s17 = arg0_1_size[0];", "s77 = s17;"
  void read_binding(TextCursor cursor) {
    const std::string symbol(cursor.take_word());
    if (symbol.empty() || (symbol[0] != 's' && symbol[0] != 'u') || !cursor.take("=")) return;
    TextCursor alias = cursor;
    if (const auto place = read_place(cursor, "_size")) {
      if (!cursor.take(";")) return;
      bound_.emplace(symbol, *place);
      DimSpec& dim = inputs_[place->input].dims[place->dim];
      if (dim.symbol.empty()) dim.symbol = symbol;
      return;
    }
    const std::string other(alias.take_word());
    if (alias.take(";") && bound_.count(root_of(other)) != 0) aliases_.emplace(symbol, root_of(other));
  }

  [[nodiscard]] std::string root_of(const std::string& symbol) const {
    const auto found = aliases_.find(symbol);
    return found == aliases_.end() ? symbol : found->second;
  }

  /// "assert_size_stride(arg0_1, {s17, 64L}, {64L, 1L}, "input")", anywhere in the line.
  void read_assert(TextCursor cursor) {
    if (!cursor.skip_past("assert_size_stride(")) return;
    InputText* input = find_input(cursor.take_word());
    if (input == nullptr || !cursor.take(",")) return;
    const auto sizes = read_list(cursor);
    if (!sizes || !cursor.take(",")) return;
    const auto strides = read_list(cursor);
    if (!strides || strides->size() != sizes->size() || !cursor.take(", \"input\"")) return;
    input->has_shape = true;
    input->dims.resize(sizes->size());
    input->strides.assign(sizes->size(), -1);
    for (std::size_t i = 0; i < sizes->size(); ++i) {
      const auto size = number((*sizes)[i]);
      DimSpec& dim = input->dims[i];
      if (size) dim.min = dim.max = *size;
      const std::string symbol = root_of(std::string((*sizes)[i]));
      dim.symbol = !size && bound_.count(symbol) != 0 ? symbol : std::string();
      if (const auto stride = number((*strides)[i])) input->strides[i] = *stride;
    }
  }

  /// "{a, b}": its items, of which there are at most kMaxRank.
  static std::optional<std::vector<std::string_view>> read_list(TextCursor& cursor) {
    if (!cursor.take("{")) return std::nullopt;
    const std::size_t end = cursor.rest().find('}');
    if (end == std::string_view::npos) return std::nullopt;
    std::vector<std::string_view> items;
    TextCursor list(cursor.rest().substr(0, end));
    while (!list.at_end()) {
      list.skip_spaces();
      const std::string_view item = list.rest().substr(0, list.rest().find(','));
      if (items.size() >= kMaxRank) return std::nullopt;
      if (!item.empty()) items.push_back(item);
      if (!list.skip_past(",")) break;
    }
    cursor.skip_past("}");
    return items;
  }

  static std::optional<std::int64_t> number(std::string_view text) {
    TextCursor cursor(text);
    const auto value = cursor.take_integer();
    return cursor.at_end() ? value : std::nullopt;
  }

  /// torch 2.9 and 2.11 state no whole shapes. There every symbol is bound where it is first seen, so
  /// an unbound dimension repeats a bound one; which one is only sure where a single one has its range.
  static void guess_symbols(InputText& input, const SymbolOfRange& symbols) {
    for (DimSpec& dim : input.dims) {
      const auto found = symbols.find({dim.min, dim.max});
      if (dim.symbol.empty() && dim.min != dim.max && found != symbols.end()) dim.symbol = found->second;
    }
  }

  /// Empty symbols for ranges that several have.
  [[nodiscard]] SymbolOfRange symbols_by_range() const {
    SymbolOfRange symbols;
    for (const auto& [symbol, place] : bound_) {
      const DimSpec& dim = inputs_[place.input].dims[place.dim];
      const auto [entry, added] = symbols.try_emplace({dim.min, dim.max}, symbol);
      if (!added) entry->second.clear();
    }
    return symbols;
  }

  TextHints& hints_;
  std::int64_t constant_ = -1;
  WeightLayout layout_;
  std::vector<InputText> inputs_;
  std::map<std::string, std::size_t> by_name_;
  std::map<std::string, Place> bound_;          // symbols that are read from a dimension
  std::map<std::string, std::string> aliases_;  // symbols that repeat one of those
};

/// A raw string after `name`: in_spec_ = R"(...)". Long ones may be several, one after the other.
std::string read_raw_string(std::string_view text, std::string_view name) {
  TextCursor cursor(text);
  std::string value;
  if (!cursor.skip_past(name)) return value;
  while (cursor.take("R\"(")) {
    const std::size_t end = cursor.rest().find(")\"");
    if (end == std::string_view::npos) return {};
    value += cursor.rest().substr(0, end);
    cursor.skip_past(")\"");
  }
  return value;
}

std::string read_march(std::string_view wrapper_text, std::string_view kernel_text) {
  std::string march;
  for (const std::string_view text : {wrapper_text, kernel_text}) {
    TextCursor cursor(text);
    while (cursor.skip_past(" -march=")) {
      const std::string_view rest = cursor.rest();
      const std::string value(rest.substr(0, rest.find_first_of(" \n\r\t\"")));
      if (!march.empty() && march != value) return "mixed";
      march = value;
    }
  }
  return march;
}

}  // namespace

TextHints read_text_hints(std::string_view wrapper_text, std::string_view kernel_text) {
  TextHints hints;
  WrapperScanner scanner(hints);
  scanner.scan(wrapper_text);
  scanner.finish();
  hints.call_spec_in = read_raw_string(wrapper_text, " in_spec_ = ");
  hints.call_spec_out = read_raw_string(wrapper_text, " out_spec_ = ");
  hints.threads = read_thread_hints(wrapper_text, kernel_text);
  hints.march = read_march(wrapper_text, kernel_text);
  return hints;
}

}  // namespace penstock::package
