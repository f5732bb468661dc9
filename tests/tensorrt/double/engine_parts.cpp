#include "engine.hpp"
#include "slots.hpp"
#include "vtable.hpp"

#include <nlohmann/json.hpp>

#include <utility>

// What an engine hands out besides execution contexts.
namespace penstock::trt_double {
namespace {

struct InspectorName {
  static constexpr const char* kText = "IEngineInspector";
};
struct VInspectorName {
  static constexpr const char* kText = "VEngineInspector";
};
struct ConfigName {
  static constexpr const char* kText = "IRuntimeConfig";
};
struct VConfigName {
  static constexpr const char* kText = "VRuntimeConfig";
};
struct HostMemoryName {
  static constexpr const char* kText = "IHostMemory";
};
struct VHostMemoryName {
  static constexpr const char* kText = "VHostMemory";
};

enum class Format : std::int32_t { OneLine = 0, Json = 1 };

const char* kind_text(LayerKind kind) {
  switch (kind) {
    case LayerKind::Affine: return "affine";
    case LayerKind::Smid: return "smid";
    case LayerKind::Nonzero: return "nonzero";
    case LayerKind::Append: return "append";
    case LayerKind::Resize: return "resize";
  }
  return "";
}

std::string describe(const Plan& plan, Format format) {
  nlohmann::json layers = nlohmann::json::array();
  std::string lines;
  for (const LayerPlan& each : plan.layers) {
    layers.push_back({{"Name", each.name}, {"LayerType", kind_text(each.kind)}, {"StreamId", each.stream}});
    lines += each.name + "\n";
  }
  if (format == Format::OneLine) return lines;
  nlohmann::json bindings = nlohmann::json::array();
  for (std::size_t i = 0; i < plan.io_count(); ++i) bindings.push_back(plan.tensors[i].name);
  return nlohmann::json{{"Layers", layers}, {"Bindings", bindings}}.dump();
}

struct Inspector {
  explicit Inspector(std::shared_ptr<EngineState> inspected);

  const VtableEntry* vtable;
  Face face;
  std::shared_ptr<EngineState> engine;
  std::string text;
};

const char* get_information(Inspector* self, Format format) {
  self->text = describe(self->engine->plan, format);
  return self->text.c_str();
}

const VtableEntry* inspector_vtable() {
  static const Vtable<VInspectorName> table = [] {
    Vtable<VInspectorName> made;
    made.set(2, &get_pimpl<Inspector>);
    made.set(
        of_inspector::kSetExecutionContext, +[](Inspector*, Face*) { return true; });
    made.set(of_inspector::kGetEngineInformation, &get_information);
    return made;
  }();
  return table.entries();
}

Inspector::Inspector(std::shared_ptr<EngineState> inspected)
    : vtable(inspector_vtable()),
      face(face_of<Inspector, InspectorName>(*this)),
      engine(std::move(inspected)) {}

struct RuntimeConfig {
  RuntimeConfig();

  const VtableEntry* vtable;
  Face face;
  AllocationStrategy strategy = AllocationStrategy::Static;
};

const VtableEntry* config_vtable() {
  using namespace of_runtime_config;
  static const Vtable<VConfigName> table = [] {
    Vtable<VConfigName> made;
    made.set(2, &get_pimpl<RuntimeConfig>);
    made.set(
        kSetExecutionContextAllocationStrategy,
        +[](RuntimeConfig* self, AllocationStrategy strategy) { self->strategy = strategy; });
    made.set(
        kGetExecutionContextAllocationStrategy, +[](RuntimeConfig* self) { return self->strategy; });
    return made;
  }();
  return table.entries();
}

RuntimeConfig::RuntimeConfig() : vtable(config_vtable()), face(face_of<RuntimeConfig, ConfigName>(*this)) {}

struct HostMemory {
  explicit HostMemory(std::string bytes);

  const VtableEntry* vtable;
  Face face;
  std::string data;
};

const VtableEntry* host_memory_vtable() {
  using namespace of_host_memory;
  static const Vtable<VHostMemoryName> table = [] {
    Vtable<VHostMemoryName> made;
    made.set(
        kData, +[](HostMemory* self) -> void* { return self->data.data(); });
    made.set(
        kSize, +[](HostMemory* self) { return self->data.size(); });
    made.set(
        kType, +[](HostMemory*) { return DataType::Int8; });
    return made;
  }();
  return table.entries();
}

HostMemory::HostMemory(std::string bytes)
    : vtable(host_memory_vtable()),
      face(face_of<HostMemory, HostMemoryName>(*this)),
      data(std::move(bytes)) {}

}  // namespace

Face* create_inspector(const std::shared_ptr<EngineState>& engine) { return &(new Inspector(engine))->face; }
Face* create_runtime_config() { return &(new RuntimeConfig)->face; }
AllocationStrategy strategy_of(const Face& runtime_config) {
  return static_cast<const RuntimeConfig*>(runtime_config.impl)->strategy;
}
Face* create_host_memory(const std::string& data) { return &(new HostMemory(data))->face; }

}  // namespace penstock::trt_double
