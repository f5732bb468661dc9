#include "tensorrt/engine_state.hpp"
#include "tensorrt/library.hpp"

#include <penstock/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace penstock;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

/// The texts of a state, with zero bytes between.
Value state_of(std::string_view bytes) {
  std::vector<Value> items;
  while (true) {
    const std::size_t end = bytes.find('\0');
    items.emplace_back(bytes.substr(0, end));
    if (end == std::string_view::npos) return Value::list(std::move(items));
    bytes.remove_prefix(end + 1);
  }
}

bool has_name(const std::vector<std::string>& names, const std::string& name) {
  for (const std::string& each : names) {
    if (each == name) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Value value = state_of({reinterpret_cast<const char*>(data), size});
  try {
    const tensorrt::EngineState state = tensorrt::read_engine_state(value);
    require(state.version >= 7 && state.version <= 10);
    const bool named = !state.inputs.empty() || !state.outputs.empty();
    for (const tensorrt::AliasedOutput& alias : state.aliases)
      require(!named || (has_name(state.outputs, alias.output) && has_name(state.inputs, alias.input)));
    const tensorrt::PlanStart start = tensorrt::start_of_plan(state);
    const tensorrt::PlanHeader header = tensorrt::read_plan_header(start.bytes);
    require(header.is_known == !header.text().empty());
    const tensorrt::Plan plan = tensorrt::plan_of(value);
    require(plan.bytes.size() == start.size);
    require(tensorrt::read_plan_header(plan.bytes).text() == header.text());
  } catch (const Error&) {
    // What is wrong is said.
  }
  return 0;
}
