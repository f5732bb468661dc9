#include "objects/prepared_call.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace penstock::objects {
namespace {

using package::NodeValue;
using package::NodeValueKind;
using Source = PreparedArgument::Source;

bool is_integer(NodeValueKind kind) {
  return kind == NodeValueKind::Integer || kind == NodeValueKind::SymInteger;
}
bool are_integers(NodeValueKind kind) {
  return kind == NodeValueKind::Integers || kind == NodeValueKind::SymIntegers;
}

/// What a package may write as a constant for a parameter.
bool fits_constant(const SchemaType& type, NodeValueKind kind) {
  const auto is = [&](NodeValueKind one, NodeValueKind list) { return kind == (type.list ? list : one); };
  switch (type.base) {
    case BaseType::Number:
      return is(NodeValueKind::Number, NodeValueKind::Numbers) ||
             is(NodeValueKind::Integer, NodeValueKind::Integers);
    case BaseType::Scalar:
      return is(NodeValueKind::Number, NodeValueKind::Numbers) ||
             is(NodeValueKind::Bool, NodeValueKind::Bools);
    case BaseType::Bool: return is(NodeValueKind::Bool, NodeValueKind::Bools);
    case BaseType::Text: return is(NodeValueKind::Text, NodeValueKind::Texts);
    case BaseType::DType: return !type.list && kind == NodeValueKind::DType;
    case BaseType::MemoryFormat: return !type.list && kind == NodeValueKind::MemoryFormat;
    case BaseType::Layout: return !type.list && kind == NodeValueKind::Layout;
    case BaseType::Device: return !type.list && kind == NodeValueKind::Device;
    default: return false;
  }
}

/// Works through one call.
class Preparer {
 public:
  Preparer(const package::ExternNode& node, const CallSource& source, CallProblems& problems)
      : node_(node), source_(source), problems_(problems) {}

  PreparedCall prepare() {
    const bool is_method = node_.target == package::kMethodTarget;
    call_.entry = is_method ? find_method() : find_operator();
    if (call_.entry == nullptr) return std::move(call_);
    const std::size_t parameters = call_.entry->schema.parameters.size();
    std::vector<const NodeValue*> given(parameters, nullptr);
    for (std::size_t i = 0; i < node_.inputs.size(); ++i) {
      // PyTorch writes the name of a method where a parameter would be, and no names of parameters.
      if (is_method && i == 1) continue;
      const NodeValue& input = node_.inputs[i];
      const std::size_t position = is_method ? i - (i > 1 ? 1 : 0) : position_of(input.name);
      if (position >= parameters) {
        refuse("is given {}, which its schema does not have",
               is_method ? fmt::format("{} arguments", node_.inputs.size() - 1) : "\"" + input.name + "\"");
        continue;
      }
      if (given[position] != nullptr) refuse("is given \"{}\" twice", input.name);
      given[position] = &input;
    }
    for (std::size_t i = 0; i < parameters; ++i) add_argument(call_.entry->schema.parameters[i], given[i]);
    add_results();
    return std::move(call_);
  }

 private:
  template <class... Args>
  void refuse(fmt::format_string<Args...> format, Args&&... args) {
    problems_.mismatches.add(call_.what + " " + fmt::format(format, std::forward<Args>(args)...));
  }

  std::shared_ptr<const OperatorEntry> find_operator() {
    call_.what = "operator " + node_.target;
    auto found = source_.registry.operators.find(node_.target);
    // PyTorch has both spellings for the one without a name.
    if (found == source_.registry.operators.end() && node_.target.ends_with(".default")) {
      found = source_.registry.operators.find(node_.target.substr(0, node_.target.rfind('.')));
    }
    if (found != source_.registry.operators.end()) return found->second;
    problems_.operators.add(node_.target);
    return nullptr;
  }

  /// The object comes first, then the name of the method.
  std::shared_ptr<const OperatorEntry> find_method() {
    call_.what = "a call of a method";
    if (node_.inputs.size() < 2 || node_.inputs[0].kind != NodeValueKind::Object ||
        node_.inputs[1].kind != NodeValueKind::Text) {
      problems_.broken.add("a call of a method names no object or no method");
      return nullptr;
    }
    const std::string& class_name = node_.inputs[0].class_name;
    const std::string method(node_.inputs[1].value.text());
    call_.what = fmt::format("method {}.{} of object \"{}\"", class_name, method, node_.inputs[0].object);
    const auto found = source_.registry.classes.find(class_name);
    if (found == source_.registry.classes.end()) {
      problems_.classes.add(class_name);
      return nullptr;
    }
    const auto entry = found->second->methods.find(method);
    if (entry == found->second->methods.end()) {
      refuse("is not registered with the class");
      return nullptr;
    }
    return {found->second, &entry->second};
  }

  [[nodiscard]] std::size_t position_of(const std::string& name) const {
    const auto& parameters = call_.entry->schema.parameters;
    return static_cast<std::size_t>(std::ranges::find(parameters, name, &Parameter::name) -
                                    parameters.begin());
  }

  void add_argument(const Parameter& parameter, const NodeValue* given) {
    PreparedArgument& argument = call_.arguments.emplace_back();
    argument.list = parameter.type.list;
    if (given == nullptr) {
      if (!parameter.preset) {
        refuse("is not given \"{}\", which has no default", parameter.name);
        return;
      }
      set_constant(argument, parameter.type, *parameter.preset);
    } else if (!set_given(argument, parameter.type, *given)) {
      refuse("is given {} as \"{}\", which its schema has as {}", given->key, parameter.name,
             to_string(parameter.type));
    }
  }

  /// False where a value does not fit a parameter.
  bool set_given(PreparedArgument& argument, const SchemaType& type, const NodeValue& given) {
    if (given.kind == NodeValueKind::None) return type.optional;
    switch (type.base) {
      case BaseType::Tensor: return set_tensors(argument, type, given);
      case BaseType::Object: return !type.list && set_object(argument, type, given);
      case BaseType::Integer:
      case BaseType::Scalar:
        // The model hands integers over with each call, as they may be sizes.
        if (type.list ? are_integers(given.kind) : is_integer(given.kind)) {
          set_integers(argument, given);
          return true;
        }
        break;
      default: break;
    }
    if (!fits_constant(type, given.kind)) return false;
    set_constant(argument, type, given.value);
    return true;
  }

  bool set_tensors(PreparedArgument& argument, const SchemaType& type, const NodeValue& given) {
    argument.source = Source::Tensors;
    argument.first = call_.input_tensors;
    if (!type.list) {
      argument.count = 1;
      ++call_.input_tensors;
      return given.kind == NodeValueKind::Tensor;
    }
    argument.count = given.present.size();
    for (const bool is_there : given.present) {
      if (type.optional_items) argument.items.push_back(is_there ? call_.input_tensors : kNoTensor);
      if (is_there) ++call_.input_tensors;
    }
    return given.kind == NodeValueKind::Tensors ||
           (type.optional_items && given.kind == NodeValueKind::OptionalTensors);
  }

  void set_integers(PreparedArgument& argument, const NodeValue& given) {
    argument.source = Source::Integers;
    argument.first = call_.integers;
    argument.count = 1;
    if (given.kind == NodeValueKind::Integers) argument.count = given.value.items().size();
    if (given.kind == NodeValueKind::SymIntegers) argument.count = given.present.size();
    call_.integers += argument.count;
  }

  void set_constant(PreparedArgument& argument, const SchemaType& type, const Value& value) const {
    if (value.is_none()) return;
    argument.source = Source::Constant;
    argument.constant = type.base == BaseType::Device ? Value(source_.device) : value;
    argument.count = type.list ? value.items().size() : 1;
  }

  bool set_object(PreparedArgument& argument, const SchemaType& type, const NodeValue& given) {
    if (given.kind != NodeValueKind::Object) return false;
    const auto found = source_.objects.find(given.object);
    if (found == source_.objects.end()) {
      problems_.broken.add(
          fmt::format("a call is given object \"{}\" of class {}, which the package does not have",
                      given.object, given.class_name));
      return true;
    }
    const std::string& is = found->second.class_name;
    if (is != type.class_name) {
      refuse("is given the object \"{}\" of class {}, and takes {}", given.object, is, type.class_name);
    }
    argument.source = Source::Object;
    argument.count = 1;
    argument.object = found->second.number;
    return true;
  }

  void add_results() {
    call_.tensors = call_.input_tensors;
    const std::vector<SchemaType>& types = call_.entry->schema.results;
    const bool gives_nothing =
        types.empty() && std::ranges::all_of(node_.outputs, [](const NodeValue& output) {
          return output.kind == NodeValueKind::None;
        });
    if (gives_nothing) return;
    if (types.size() != node_.outputs.size()) {
      refuse("is to give {} results, and its schema has {}", node_.outputs.size(), types.size());
      return;
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const NodeValue& output = node_.outputs[i];
      const std::optional<PreparedResult> result = match_result(types[i], output);
      if (!result) {
        refuse("is to give {} as result {}, which its schema has as {}", output.key, i, to_string(types[i]));
        continue;
      }
      call_.results.push_back(*result);
      if (result->kind == PreparedResult::Kind::Tensors) call_.tensors += result->count;
      if (result->kind == PreparedResult::Kind::Integer) {
        ++call_.integers;
        ++call_.result_integers;
      }
    }
    const std::size_t made = call_.tensors - call_.input_tensors + call_.result_integers;
    if (made > kMostResults) refuse("is to give {} results; at most {} are possible", made, kMostResults);
  }

  [[nodiscard]] std::optional<PreparedResult> match_result(const SchemaType& type,
                                                           const NodeValue& output) const {
    using Kind = PreparedResult::Kind;
    const std::size_t next = call_.tensors;
    switch (output.kind) {
      case NodeValueKind::Tensor:
        if (type.base != BaseType::Tensor || type.list || type.optional) return std::nullopt;
        return PreparedResult{Kind::Tensors, next, 1};
      case NodeValueKind::Tensors:
        if (type.base != BaseType::Tensor || !type.list) return std::nullopt;
        return PreparedResult{Kind::Tensors, next, output.present.size(), true};
      case NodeValueKind::OptionalTensor:
        if (type.base != BaseType::Tensor || type.list || !type.optional) return std::nullopt;
        if (!output.present.front()) return PreparedResult{};
        return PreparedResult{Kind::Tensors, next, 1};
      case NodeValueKind::Integer:
        if (type.base != BaseType::Integer || type.list) return std::nullopt;
        return PreparedResult{Kind::Integer, call_.integers, 1};
      default: return std::nullopt;
    }
  }

  const package::ExternNode& node_;
  const CallSource& source_;
  CallProblems& problems_;
  PreparedCall call_;
};

}  // namespace

void DistinctTexts::add(std::string text) {
  if (known_.insert(text).second) texts_.push_back(std::move(text));
}

std::string DistinctTexts::joined(std::string_view separator) const {
  constexpr std::size_t kMost = 100;
  const std::size_t told = std::min(texts_.size(), kMost);
  std::string text = fmt::format("{}", fmt::join(texts_.begin(), texts_.begin() + told, separator));
  if (told < texts_.size()) text += fmt::format("{}{} more", separator, texts_.size() - told);
  return text;
}

PreparedCall prepare_call(const package::ExternNode& node, const CallSource& source, CallProblems& problems) {
  return Preparer(node, source, problems).prepare();
}

}  // namespace penstock::objects
