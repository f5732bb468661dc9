#include "objects/prepared_call.hpp"
#include "package/custom_objects.hpp"
#include "package/extern_nodes.hpp"

#include <penstock/error.hpp>
#include <penstock/operators.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace penstock;

void nothing(OperatorCall& /*call*/) {}

/// What the seeds call.
Registry make_registry() {
  Registry registry;
  const std::string foo = "__torch__.torch.classes.fixtures.Foo foo";
  for (const std::string& schema :
       {"fixtures::every_kind(Tensor x, Tensor[] list, Tensor? maybe, Tensor?[] maybes, int number, SymInt "
        "rows, "
        "int[] numbers, SymInt[] sizes, int? no_number, float real, float[] reals, float? maybe_real, bool "
        "flag, "
        "bool[] flags, str text, str[] texts, Scalar whole, Scalar part, ScalarType dtype, MemoryFormat "
        "format, "
        "Layout layout, Device device, " +
            foo +
            ", *, int scale=3, float offset=0.5, bool negate=False, Tensor? bias=None, str mode=\"plain\") "
            "-> (Tensor, Tensor[])",
        std::string("fixtures::counted(Tensor x) -> (Tensor, int)"),
        std::string("fixtures::add_one(Tensor(a!) x) -> ()"),
        std::string("fixtures::nothing(Tensor(a!) x) -> ()"),
        std::string("tensorrt::execute_engine(Tensor[] input_tensors, "
                    "__torch__.torch.classes.tensorrt.Engine engine) -> Tensor[]")})
    registry.add({.schema = schema, .run = nothing});
  registry.add(ClassDefinition{
      .name = "fixtures.Queue",
      .create = [](const Value&, const ObjectOrigin&) { return std::shared_ptr<CustomObject>(); },
      .methods = {{.schema = "push(Tensor item) -> ()", .run = nothing},
                  {.schema = "pop() -> Tensor", .run = nothing}}});
  return registry;
}

void require(bool holds) {
  if (!holds) __builtin_trap();
}

/// Whatever a call finds is among what it is handed over.
void check(const objects::PreparedCall& call) {
  using Source = objects::PreparedArgument::Source;
  require(call.input_tensors <= call.tensors);
  for (const objects::PreparedArgument& argument : call.arguments) {
    if (argument.source == Source::Integers) require(argument.first + argument.count <= call.integers);
    if (argument.source != Source::Tensors) continue;
    if (argument.items.empty()) require(argument.first + argument.count <= call.input_tensors);
    for (const std::size_t item : argument.items)
      require(item == objects::kNoTensor || item < call.input_tensors);
  }
  for (const objects::PreparedResult& result : call.results) {
    using Kind = objects::PreparedResult::Kind;
    if (result.kind == Kind::Integer) require(result.first < call.integers);
    if (result.kind == Kind::Tensors) require(result.first + result.count <= call.tensors);
  }
}

void prepare(const package::ExternNode& node) {
  static const Registry kRegistry = make_registry();
  static const std::map<std::string, objects::CallSource::Object> kObjects = {
      {"_torchbind_obj0", {0, "fixtures.Foo"}}, {"_torchbind_obj1", {1, "tensorrt.Engine"}}};
  objects::CallProblems problems;
  const objects::PreparedCall call =
      objects::prepare_call(node, {*kRegistry.impl(), kObjects, Device{}}, problems);
  if (problems.none()) check(call);
}

}  // namespace

/// The texts about a package's objects: the calls of its model, and which file each object has.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const package::ExternNode& node : package::read_extern_nodes(text, "input")) {
      for (const package::NodeValue& output : node.outputs)
        require(output.kind != package::NodeValueKind::OptionalTensor || output.present.size() == 1);
      prepare(node);
    }
  } catch (const Error&) {
  }
  try {
    for (const auto& [name, file] : package::read_object_config(text, "input"))
      require(!file.empty() && file.find('/') == std::string::npos);
  } catch (const Error&) {
  }
  return 0;
}
