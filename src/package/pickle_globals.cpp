#include "package/pickle_machine.hpp"

#include <penstock/error.hpp>

#include <algorithm>
#include <array>

namespace penstock::package {
namespace {

constexpr std::size_t kMostDims = 64;
// What is recalled can be used again at the cost of a few bytes, so what is made of it has bounds.
constexpr std::size_t kMostMade = 10000;
constexpr std::size_t kMostName = 512;
constexpr std::size_t kMostArguments = 16;
constexpr std::string_view kClasses = "__torch__.torch.classes.";

struct TypeName {
  std::string_view name;
  DType dtype;
};

constexpr std::array kStorages = {
    TypeName{"torch FloatStorage", DType::Float32},
    TypeName{"torch DoubleStorage", DType::Float64},
    TypeName{"torch HalfStorage", DType::Float16},
    TypeName{"torch BFloat16Storage", DType::BFloat16},
    TypeName{"torch LongStorage", DType::Int64},
    TypeName{"torch IntStorage", DType::Int32},
    TypeName{"torch ShortStorage", DType::Int16},
    TypeName{"torch CharStorage", DType::Int8},
    TypeName{"torch ByteStorage", DType::UInt8},
    TypeName{"torch BoolStorage", DType::Bool},
    TypeName{"torch ComplexFloatStorage", DType::Complex64},
    TypeName{"torch ComplexDoubleStorage", DType::Complex128},
    TypeName{"torch ComplexHalfStorage", DType::Complex32},
    TypeName{"torch UInt16Storage", DType::UInt16},
    TypeName{"torch UInt32Storage", DType::UInt32},
    TypeName{"torch UInt64Storage", DType::UInt64},
    TypeName{"torch Float8_e4m3fnStorage", DType::Float8E4M3FN},
    TypeName{"torch Float8_e4m3fnuzStorage", DType::Float8E4M3FNUZ},
    TypeName{"torch Float8_e5m2Storage", DType::Float8E5M2},
    TypeName{"torch Float8_e5m2fnuzStorage", DType::Float8E5M2FNUZ},
    TypeName{"torch Float8_e8m0fnuStorage", DType::Float8E8M0FNU},
};

/// What stands for a function of Python's.
enum class Function {
  OrderedDict,
  RebuildTensor,
  RebuildParameter,
  // Only for objects.
  FirstArgument,  ///< They tell PyTorch the type of a container, which is what it is without that.
  MakeDevice,
  Encode,  ///< How protocol 2 writes bytes: as a text of their numbers.
};

struct KnownFunction {
  std::string_view name;
  Function function;
};

constexpr std::array kFunctions = {
    KnownFunction{"collections OrderedDict", Function::OrderedDict},
    KnownFunction{"torch._utils _rebuild_tensor_v2", Function::RebuildTensor},
    KnownFunction{"torch._utils _rebuild_parameter", Function::RebuildParameter},
    KnownFunction{"torch.jit._pickle restore_type_tag", Function::FirstArgument},
    KnownFunction{"torch.jit._pickle build_intlist", Function::FirstArgument},
    KnownFunction{"torch.jit._pickle build_tensorlist", Function::FirstArgument},
    KnownFunction{"torch.jit._pickle build_doublelist", Function::FirstArgument},
    KnownFunction{"torch.jit._pickle build_boollist", Function::FirstArgument},
    KnownFunction{"torch device", Function::MakeDevice},
    KnownFunction{"_codecs encode", Function::Encode},
};

const KnownFunction* find_function(std::string_view name, bool objects) {
  const auto found = std::ranges::find(kFunctions, name, &KnownFunction::name);
  if (found == kFunctions.end()) return nullptr;
  return objects || found->function <= Function::RebuildParameter ? &*found : nullptr;
}

}  // namespace

void PickleMachine::push_name(std::string_view module, std::string_view name) {
  if (rules_.objects && module == "torch") {
    // torch.float32 is a value of its own.
    if (const auto dtype = dtype_from_name(name); dtype && dtype_name(*dtype) == name) {
      push(*dtype);
      return;
    }
  }
  if (module.size() + name.size() > kMostName) unsupported("has a name of more than {} bytes", kMostName);
  if (pickle_.names.size() >= kMostMade) unsupported("names more than {} things", kMostMade);
  push(PickledNameRef{pickle_.names.size()});
  pickle_.names.push_back(std::string(module) + " " + std::string(name));
}

/// A class and no arguments: what it is made of follows as its state.
void PickleMachine::make_object() {
  if (!items_of(pop(), ContainerKind::Tuple, "arguments").empty())
    unsupported("makes an object with arguments");
  const std::string& name = pickle_.names[pop_as<PickledNameRef>("a class").index];
  if (!name.starts_with(kClasses)) unsupported("makes an object of {}", name);
  std::string class_name = name.substr(kClasses.size());
  std::ranges::replace(class_name, ' ', '.');
  if (pickle_.objects.size() >= kMostMade) unsupported("has more than {} objects", kMostMade);
  push(PickledObjectRef{pickle_.objects.size()});
  pickle_.objects.push_back({std::move(class_name), {}});
}

void PickleMachine::set_state() {
  const PickledValue state = pop();
  const PickledObjectRef object = pop_as<PickledObjectRef>("an object");
  pickle_.objects[object.index].state = state;
  push(object);
}

void PickleMachine::reduce() {
  const std::vector<PickledValue>& given = items_of(pop(), ContainerKind::Tuple, "arguments");
  if (given.size() > kMostArguments) unsupported("calls a function with {} arguments", given.size());
  // A copy: what is made here goes to the same list.
  const std::vector<PickledValue> arguments = given;
  const std::string& name = pickle_.names[pop_as<PickledNameRef>("a function").index];
  const KnownFunction* const known = find_function(name, rules_.objects);
  if (known == nullptr) unsupported("calls {}", name);
  switch (known->function) {
    case Function::OrderedDict:
      if (!arguments.empty()) unsupported("calls {} with arguments", name);
      push_container(ContainerKind::Dictionary, {});
      return;
    case Function::RebuildTensor: {
      if (pickle_.tensors.size() >= kMostMade) unsupported("has more than {} tensors", kMostMade);
      PickledTensor tensor = rebuild_tensor(arguments);
      push(PickledTensorRef{pickle_.tensors.size()});
      pickle_.tensors.push_back(std::move(tensor));
      return;
    }
    case Function::RebuildParameter: push(item<PickledTensorRef>(arguments, 0, "a tensor")); return;
    case Function::FirstArgument:
      push(item<PickledContainerRef>(arguments, 0, "a list or dictionary"));
      return;
    case Function::MakeDevice: push(make_device(arguments)); return;
    case Function::Encode: push(encode(arguments)); return;
  }
}

/// ("storage", torch.FloatStorage, "0", "cpu", 128)
PickledStorage PickleMachine::find_storage(const std::vector<PickledValue>& tuple) {
  if (tuple.size() != 5 || item<std::string_view>(tuple, 0, "\"storage\"") != "storage")
    unsupported("names something else than a storage");
  const std::string& type = pickle_.names[item<PickledNameRef>(tuple, 1, "a type of storage").index];
  const auto elements = item<std::int64_t>(tuple, 4, "a number of elements");
  if (elements < 0) corrupt("has a storage of {} elements", elements);
  if (pickle_.storages.size() >= kMostMade) unsupported("has more than {} storages", kMostMade);
  const auto key = item<std::string_view>(tuple, 2, "a key");
  const auto location = item<std::string_view>(tuple, 3, "a device");
  if (key.size() > kMostName || location.size() > kMostName) unsupported("has a storage with a long name");
  const auto known = std::ranges::find(kStorages, std::string_view(type), &TypeName::name);
  if (known == kStorages.end()) unsupported("has a storage of type {}", type);
  return {.dtype = known->dtype,
          .key = std::string(key),
          .location = std::string(location),
          .elements = static_cast<std::uint64_t>(elements)};
}

std::vector<std::int64_t> PickleMachine::numbers(const std::vector<PickledValue>& tuple, std::size_t index) {
  std::vector<std::int64_t> result;
  const std::vector<PickledValue>& items =
      items_of(item<PickledContainerRef>(tuple, index, "a tuple of numbers"), ContainerKind::Tuple,
               "a tuple of numbers");
  if (items.size() > kMostDims) unsupported("has a tensor of {} dimensions", items.size());
  for (std::size_t i = 0; i < items.size(); ++i) result.push_back(item<std::int64_t>(items, i, "a number"));
  return result;
}

/// (storage, offset, sizes, strides, requires_grad, hooks, bits that change what the numbers mean)
PickledTensor PickleMachine::rebuild_tensor(const std::vector<PickledValue>& arguments) {
  const PickledStorage& storage = pickle_.storages[item<PickledStorageRef>(arguments, 0, "a storage").index];
  const auto offset = item<std::int64_t>(arguments, 1, "an offset");
  PickledTensor tensor{.dtype = storage.dtype,
                       .key = storage.key,
                       .location = storage.location,
                       .storage_elements = storage.elements,
                       .offset = static_cast<std::uint64_t>(offset),
                       .sizes = numbers(arguments, 2),
                       .strides = numbers(arguments, 3)};
  if (offset < 0 || tensor.sizes.size() != tensor.strides.size())
    corrupt("has a tensor of {} sizes and {} strides at offset {}", tensor.sizes.size(),
            tensor.strides.size(), offset);
  if (rules_.objects && arguments.size() > 6) {
    const auto& bits = items_of(arguments[6], ContainerKind::Dictionary, "a dictionary of bits");
    const auto is_set = [](const PickledValue& bit) {
      const bool* const value = std::get_if<bool>(&bit);
      return value != nullptr && *value;
    };
    if (std::ranges::any_of(bits, is_set))
      unsupported("has a tensor that is to be conjugated or negated when it is read");
  }
  return tensor;
}

/// ("cuda:0",) or ("cuda", 0)
Device PickleMachine::make_device(const std::vector<PickledValue>& arguments) {
  std::string name(item<std::string_view>(arguments, 0, "the name of a device"));
  if (arguments.size() > 1) name += ":" + std::to_string(item<std::int64_t>(arguments, 1, "a number"));
  // PyTorch numbers the one there is, too.
  if (name == "cpu:0") name = "cpu";
  try {
    return device_from_string(name);
  } catch (const Error&) {
    unsupported("names the device \"{}\"", name);
  }
}

/// (text, "latin1")
std::span<const std::byte> PickleMachine::encode(const std::vector<PickledValue>& arguments) {
  const auto text = item<std::string_view>(arguments, 0, "a text");
  if (item<std::string_view>(arguments, 1, "\"latin1\"") != "latin1")
    unsupported("encodes a text otherwise than by latin1");
  // Each byte of the pickle may be a byte of one such text.
  made_bytes_ += text.size();
  if (made_bytes_ > bytes_.size()) unsupported("encodes more than {} bytes", bytes_.size());
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first < 0x80) {
      bytes.push_back(static_cast<std::byte>(first));
      continue;
    }
    // Numbers up to 255 take two bytes of UTF-8, of which the first is C2 or C3.
    const auto second = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if ((first != 0xC2 && first != 0xC3) || (second & 0xC0U) != 0x80) corrupt("has bytes that are none");
    bytes.push_back(static_cast<std::byte>(((first & 0x03U) << 6) | (second & 0x3FU)));
    ++i;
  }
  pickle_.made_bytes.push_back(std::move(bytes));
  return pickle_.made_bytes.back();
}

}  // namespace penstock::package
