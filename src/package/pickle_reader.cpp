#include "package/pickle_reader.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "package/byte_reader.hpp"

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <variant>

namespace penstock::package {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr std::size_t kMostValues = 2000;
// A text that is recalled many times is there as often.
constexpr std::size_t kMostText = 4096;
constexpr std::size_t kMostDepth = 64;

struct None {};
struct Mark {};
struct Dictionary {};
/// A Python name: "torch._utils _rebuild_tensor_v2".
struct Name {
  std::string text;
};
struct Value;
/// By number in the reader's list of tuples, so that a tuple that is used many times is there once.
struct Tuple {
  std::size_t index;
};
struct Storage {
  DType dtype;
  std::string key;
  std::uint64_t elements;
};

struct Value {
  std::variant<None, Mark, Dictionary, bool, std::int64_t, std::string, Name, Tuple, Storage, PickledTensor>
      is;
};

struct StorageName {
  std::string_view name;
  DType dtype;
};

constexpr std::array kStorages = {
    StorageName{"torch FloatStorage", DType::Float32},
    StorageName{"torch DoubleStorage", DType::Float64},
    StorageName{"torch HalfStorage", DType::Float16},
    StorageName{"torch BFloat16Storage", DType::BFloat16},
    StorageName{"torch LongStorage", DType::Int64},
    StorageName{"torch IntStorage", DType::Int32},
    StorageName{"torch ShortStorage", DType::Int16},
    StorageName{"torch CharStorage", DType::Int8},
    StorageName{"torch ByteStorage", DType::UInt8},
    StorageName{"torch BoolStorage", DType::Bool},
    StorageName{"torch ComplexFloatStorage", DType::Complex64},
    StorageName{"torch ComplexDoubleStorage", DType::Complex128},
};

/// Python's machine of a stack and a memo, for the opcodes that torch.save writes.
class PickleReader {
 public:
  PickleReader(std::span<const std::byte> bytes, std::string_view what) : bytes_(bytes), what_(what) {
    if (bytes.size() > kMostBytes)
      corrupt("has {} bytes, more than a tensor's description takes", bytes.size());
  }

  PickledTensor read() {
    while (step(take<std::uint8_t>())) {
      if (++steps_ > kMostValues) corrupt("has more than {} steps", kMostValues);
    }
    if (at_ != bytes_.size()) corrupt("has bytes behind its end");
    if (stack_.size() != 1) corrupt("leaves {} values instead of one", stack_.size());
    PickledTensor* const tensor = std::get_if<PickledTensor>(&stack_.back().is);
    if (tensor == nullptr) unsupported("describes no tensor");
    return std::move(*tensor);
  }

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: the pickle {}; export the package again", what_,
               fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Unsupported, "{}: the pickle {}; only what torch.save writes for a tensor is read",
               what_, fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  T take() {
    const auto value = read_at<T>(bytes_, at_);
    if (!value) corrupt("is truncated");
    at_ += sizeof(T);
    return *value;
  }

  std::string_view take_text(std::uint64_t length) {
    if (!base::fits(at_, length, bytes_.size())) corrupt("is truncated");
    if (length > kMostText) unsupported("has a text of {} bytes", length);
    const std::string_view text = as_text(bytes_.subspan(at_, length));
    at_ += length;
    return text;
  }

  std::string_view take_line() {
    const std::string_view rest = as_text(bytes_.subspan(at_));
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) corrupt("is truncated");
    if (end > kMostText) unsupported("has a name of {} bytes", end);
    at_ += end + 1;
    return rest.substr(0, end);
  }

  template <class T>
  void push(T value) {
    if (stack_.size() >= kMostValues) corrupt("has more than {} values at once", kMostValues);
    stack_.push_back({std::move(value)});
  }

  Value pop() {
    if (stack_.empty()) corrupt("takes a value where there is none");
    Value value = std::move(stack_.back());
    stack_.pop_back();
    if (std::holds_alternative<Mark>(value.is)) corrupt("takes a mark for a value");
    return value;
  }

  void push_tuple(std::size_t count) {
    std::vector<Value> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    push(Tuple{tuples_.size()});
    tuples_.push_back(std::move(items));
  }

  void push_marked_tuple() {
    std::size_t count = 0;
    while (count < stack_.size() && !std::holds_alternative<Mark>(stack_[stack_.size() - 1 - count].is))
      ++count;
    if (count == stack_.size()) corrupt("has a tuple without a start");
    std::vector<Value> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    stack_.pop_back();
    push(Tuple{tuples_.size()});
    tuples_.push_back(std::move(items));
  }

  void remember(std::uint64_t slot) {
    if (stack_.empty()) corrupt("remembers a value where there is none");
    memo_.insert_or_assign(slot, stack_.back());
  }

  void recall(std::uint64_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) corrupt("recalls what it has not remembered");
    push(found->second.is);
  }

  template <class T>
  T pop_as(std::string_view wanted) {
    Value value = pop();
    T* const item = std::get_if<T>(&value.is);
    if (item == nullptr) unsupported("has another value where {} belongs", wanted);
    return std::move(*item);
  }

  /// A little-endian integer of as many bytes as its first says: at most eight here.
  std::int64_t take_long() {
    const auto length = take<std::uint8_t>();
    if (length > sizeof(std::int64_t)) unsupported("has a number of {} bytes", length);
    const std::string_view text = take_text(length);
    std::int64_t value = 0;
    // The bytes above take the sign of the last.
    if (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80U) != 0) value = -1;
    std::memcpy(&value, text.data(), text.size());
    return value;
  }

  void push_name(std::string_view module, std::string_view name) {
    push(Name{std::string(module) + " " + std::string(name)});
  }

  /// False at the end.
  bool step(std::uint8_t code) {
    switch (code) {
      case 0x80: return take_protocol();
      case 0x95:
        static_cast<void>(take<std::uint64_t>());
        return true;  // a frame: its length tells nothing new
      case '.': return false;
      case '(': push(Mark{}); return true;
      case 't': push_marked_tuple(); return true;
      case ')': push_tuple(0); return true;
      case 0x85: push_tuple(1); return true;
      case 0x86: push_tuple(2); return true;
      case 0x87: push_tuple(3); return true;
      case 'N': push(None{}); return true;
      case 0x88: push(true); return true;
      case 0x89: push(false); return true;
      case 'J': push(static_cast<std::int64_t>(take<std::int32_t>())); return true;
      case 'K': push(static_cast<std::int64_t>(take<std::uint8_t>())); return true;
      case 'M': push(static_cast<std::int64_t>(take<std::uint16_t>())); return true;
      case 0x8a: push(take_long()); return true;
      default: return step_text(code);
    }
  }

  bool step_text(std::uint8_t code) {
    switch (code) {
      case 'X': push(std::string(take_text(take<std::uint32_t>()))); return true;
      case 0x8c: push(std::string(take_text(take<std::uint8_t>()))); return true;
      case 'c': {
        const std::string_view module = take_line();
        push_name(module, take_line());
        return true;
      }
      case 0x93: {
        const auto name = pop_as<std::string>("a name");
        push_name(pop_as<std::string>("a module"), name);
        return true;
      }
      case 'q': remember(take<std::uint8_t>()); return true;
      case 'r': remember(take<std::uint32_t>()); return true;
      case 0x94: remember(memo_.size()); return true;
      case 'h': recall(take<std::uint8_t>()); return true;
      case 'j': recall(take<std::uint32_t>()); return true;
      case '}': push(Dictionary{}); return true;
      case 'Q': push(find_storage(pop_tuple("the description of a storage"))); return true;
      case 'R': reduce(); return true;
      default: unsupported("has opcode 0x{:02x}", code);
    }
  }

  bool take_protocol() {
    const auto protocol = take<std::uint8_t>();
    if (protocol < 2 || protocol > 5) unsupported("is of protocol {}", protocol);
    return true;
  }

  const std::vector<Value>& pop_tuple(std::string_view wanted) {
    return tuples_[pop_as<Tuple>(wanted).index];
  }

  template <class T>
  const T& item(const std::vector<Value>& tuple, std::size_t index, std::string_view wanted) const {
    const T* const found = index < tuple.size() ? std::get_if<T>(&tuple[index].is) : nullptr;
    if (found == nullptr) unsupported("has another value where {} belongs", wanted);
    return *found;
  }

  /// ("storage", torch.FloatStorage, "0", "cpu", 128)
  [[nodiscard]] Storage find_storage(const std::vector<Value>& tuple) const {
    if (tuple.size() != 5 || item<std::string>(tuple, 0, "\"storage\"") != "storage")
      unsupported("names something else than a storage");
    const std::string& type = item<Name>(tuple, 1, "a type of storage").text;
    const auto elements = item<std::int64_t>(tuple, 4, "a number of elements");
    if (elements < 0) corrupt("has a storage of {} elements", elements);
    for (const StorageName& known : kStorages) {
      if (known.name == type) {
        return {known.dtype, item<std::string>(tuple, 2, "a key"), static_cast<std::uint64_t>(elements)};
      }
    }
    unsupported("has a storage of type {}", type);
  }

  void reduce() {
    const std::vector<Value>& arguments = pop_tuple("arguments");
    const std::string function = pop_as<Name>("a function").text;
    if (function == "collections OrderedDict" && arguments.empty()) {
      push(Dictionary{});
    } else if (function == "torch._utils _rebuild_tensor_v2") {
      push(rebuild_tensor(arguments));
    } else if (function == "torch._utils _rebuild_parameter") {
      push(PickledTensor(item<PickledTensor>(arguments, 0, "a tensor")));
    } else {
      unsupported("calls {}", function);
    }
  }

  [[nodiscard]] std::vector<std::int64_t> numbers(const std::vector<Value>& tuple, std::size_t index) const {
    std::vector<std::int64_t> result;
    const std::vector<Value>& items = tuples_[item<Tuple>(tuple, index, "a tuple of numbers").index];
    if (items.size() > kMostDepth) unsupported("has a tensor of {} dimensions", items.size());
    for (std::size_t i = 0; i < items.size(); ++i) result.push_back(item<std::int64_t>(items, i, "a number"));
    return result;
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks, ...)
  [[nodiscard]] PickledTensor rebuild_tensor(const std::vector<Value>& arguments) const {
    const Storage& storage = item<Storage>(arguments, 0, "a storage");
    const auto offset = item<std::int64_t>(arguments, 1, "an offset");
    PickledTensor tensor{.dtype = storage.dtype,
                         .key = storage.key,
                         .storage_elements = storage.elements,
                         .offset = static_cast<std::uint64_t>(offset),
                         .sizes = numbers(arguments, 2),
                         .strides = numbers(arguments, 3)};
    if (offset < 0 || tensor.sizes.size() != tensor.strides.size())
      corrupt("has a tensor of {} sizes and {} strides at offset {}", tensor.sizes.size(),
              tensor.strides.size(), offset);
    return tensor;
  }

  std::span<const std::byte> bytes_;
  std::string_view what_;
  std::uint64_t at_ = 0;
  std::size_t steps_ = 0;
  std::vector<Value> stack_;
  std::vector<std::vector<Value>> tuples_;
  std::map<std::uint64_t, Value> memo_;
};

}  // namespace

PickledTensor read_pickled_tensor(std::span<const std::byte> bytes, std::string_view what) {
  return PickleReader(bytes, what).read();
}

}  // namespace penstock::package
