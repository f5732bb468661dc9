#include "tensorrt/engine_state.hpp"

#include "base/fail.hpp"
#include "package/base64.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <span>

namespace penstock::tensorrt {
namespace {

// Positions in the list.
enum Position : std::size_t {
  kVersion,
  kName,
  kDevice,
  kPlan,
  kInputs,
  kOutputs,
  kHardwareCompatible,
  kMetadata,
  kPlatform,
  kOutputAllocator,
  kMemoryStrategy,
  kCollectives,
  kAliases,
};
constexpr std::array kPositionNames{"format version",
                                    "name",
                                    "device",
                                    "plan",
                                    "inputs",
                                    "outputs",
                                    "hardware compatibility",
                                    "metadata",
                                    "platform",
                                    "output allocator",
                                    "memory strategy",
                                    "collectives",
                                    "aliases"};

constexpr int kOldest = 7;
constexpr int kNewest = 10;
constexpr char kSeparator = '%';

/// Texts that the versions have: each added one at the end.
constexpr std::size_t length_of(int version) { return static_cast<std::size_t>(version) + 3; }
static_assert(length_of(kNewest) == kPositionNames.size());

[[noreturn]] void refuse(std::size_t position, const std::string& what) {
  base::fail(ErrorCode::Corrupt, "item {} of the engine's state ({}) {}; export the package again", position,
             kPositionNames[position], what);
}

/// As text in a message: it may be anything, and long.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 40;
  return to_string(Value(text), kMost);
}

/// Parts between the separators. Empty ones count: a name may be anything but that.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  while (true) {
    const std::size_t end = text.find(kSeparator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

int read_int(std::string_view text, std::size_t position) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    refuse(position, fmt::format("has {} where a number is expected", shown(text)));
  return value;
}

class Reader {
 public:
  explicit Reader(const Value& state) {
    const bool is_list = state.kind() == ValueKind::List || state.kind() == ValueKind::Tuple;
    if (!is_list || state.items().empty()) {
      base::fail(ErrorCode::Corrupt, "the engine's state is {}; a list of texts is expected",
                 to_string(state, 40));
    }
    items_ = state.items();
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (items_[i].kind() == ValueKind::Text) continue;
      base::fail(ErrorCode::Corrupt, "item {} of the engine's state is a {}; a text is expected", i,
                 value_kind_name(items_[i].kind()));
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] bool has(std::size_t position) const noexcept { return position < items_.size(); }
  [[nodiscard]] std::string_view text(std::size_t position) const { return items_[position].text(); }

  [[nodiscard]] bool flag(std::size_t position) const {
    if (!has(position)) return false;
    const std::string_view value = text(position);
    if (value != "0" && value != "1")
      refuse(position, fmt::format("is {}; 0 or 1 is expected", shown(value)));
    return value == "1";
  }

  [[nodiscard]] std::vector<std::string> names(std::size_t position) const {
    std::vector<std::string> found = split(text(position));
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i].empty()) refuse(position, fmt::format("has an empty name at place {}", i));
      if (std::count(found.begin(), found.end(), found[i]) > 1)
        refuse(position, fmt::format("has the name {} twice", shown(found[i])));
    }
    return found;
  }

 private:
  std::span<const Value> items_;
};

int read_version(const Reader& reader) {
  const std::string_view text = reader.text(kVersion);
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) {
    base::fail(ErrorCode::Corrupt, "item 0 of the engine's state is {}; the number of the format is expected",
               shown(text));
  }
  if (version < kOldest || version > kNewest) {
    base::fail(ErrorCode::Unsupported,
               "the engine's state is of format {}; {} to {} can be read (Torch-TensorRT 2.9 and later): "
               "export the package again with {}",
               version, kOldest, kNewest,
               version < kOldest ? "a later Torch-TensorRT" : "an earlier Torch-TensorRT");
  }
  if (reader.size() != length_of(version)) {
    base::fail(ErrorCode::Corrupt,
               "the engine's state has {} items, one of format {} has {}; export the package again",
               reader.size(), version, length_of(version));
  }
  return version;
}

EngineDevice read_device(std::string_view text) {
  // The name comes last, and is the one part that may hold a separator.
  constexpr std::size_t kParts = 5;
  std::array<std::string_view, kParts> parts;
  for (std::size_t i = 0; i + 1 < kParts; ++i) {
    const std::size_t end = text.find(kSeparator);
    if (end == std::string_view::npos)
      refuse(kDevice, fmt::format("has {} parts; {} are expected", i + 1, kParts));
    parts[i] = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  parts[kParts - 1] = text;
  EngineDevice device{.ordinal = read_int(parts[0], kDevice),
                      .major = read_int(parts[1], kDevice),
                      .minor = read_int(parts[2], kDevice),
                      .is_dla = false,
                      .name = std::string(parts[4])};
  const int type = read_int(parts[3], kDevice);
  if (type > 1) refuse(kDevice, fmt::format("has device type {}; 0 (GPU) or 1 (DLA) is expected", type));
  device.is_dla = type == 1;
  return device;
}

std::vector<AliasedOutput> read_aliases(std::string_view text) {
  constexpr char kField = '@';
  std::vector<AliasedOutput> aliases;
  for (const std::string& record : split(text)) {
    const std::size_t first = record.find(kField);
    const std::size_t second = first == std::string::npos ? first : record.find(kField, first + 1);
    if (second == std::string::npos || first == 0 || second == first + 1)
      refuse(kAliases, fmt::format("has {}, where output@input@kind is expected", shown(record)));
    aliases.push_back({record.substr(0, first), record.substr(first + 1, second - first - 1)});
  }
  return aliases;
}

void check_aliases(const EngineState& state) {
  for (const AliasedOutput& alias : state.aliases) {
    const bool known = std::ranges::find(state.outputs, alias.output) != state.outputs.end() &&
                       std::ranges::find(state.inputs, alias.input) != state.inputs.end();
    // Where the names are the plan's, it is the plan that is asked.
    if (!known && !(state.inputs.empty() && state.outputs.empty())) {
      refuse(kAliases, fmt::format("says that output {} is input {}, which are not both the engine's",
                                   shown(alias.output), shown(alias.input)));
    }
  }
  if (!state.aliases.empty() && state.requires_output_allocator)
    refuse(kAliases, "is not empty, and the engine needs an output allocator: it cannot have both");
}

void check_platform(const std::string& platform) {
#if defined(__x86_64__)
  constexpr std::string_view kOwn = "linux_x86_64";
#elif defined(__aarch64__)
  constexpr std::string_view kOwn = "linux_aarch64";
#endif
  if (platform == kOwn) return;
  base::fail(ErrorCode::Incompatible,
             "the engine was built for the platform {}, and this is {}: build it for this one",
             shown(platform), kOwn);
}

}  // namespace

EngineState read_engine_state(const Value& state) {
  const Reader reader(state);
  EngineState result;
  result.version = read_version(reader);
  result.name = std::string(reader.text(kName));
  result.device = read_device(reader.text(kDevice));
  result.plan = reader.text(kPlan);
  if (result.plan.empty()) refuse(kPlan, "is empty");
  result.inputs = reader.names(kInputs);
  result.outputs = reader.names(kOutputs);
  result.hardware_compatible = reader.flag(kHardwareCompatible);
  result.platform = std::string(reader.text(kPlatform));
  result.requires_output_allocator = reader.flag(kOutputAllocator);
  result.dynamic_memory = reader.flag(kMemoryStrategy);
  result.uses_collectives = reader.flag(kCollectives);
  if (reader.has(kAliases)) result.aliases = read_aliases(reader.text(kAliases));
  check_platform(result.platform);
  check_aliases(result);
  return result;
}

Plan plan_of(const Value& state) {
  if (state.kind() == ValueKind::Bytes) return {.decoded = {}, .bytes = state.bytes()};
  const EngineState read = read_engine_state(state);
  auto bytes = package::decode_base64(read.plan);
  if (!bytes) refuse(kPlan, fmt::format("is no base64: {} characters", read.plan.size()));
  Plan plan{.decoded = *std::move(bytes), .bytes = {}};
  plan.bytes = plan.decoded;
  return plan;
}

PlanStart start_of_plan(const EngineState& state) {
  constexpr std::size_t kStart = 64;
  constexpr std::size_t kDigits = 4;
  constexpr std::size_t kBytes = 3;
  const std::string_view text = state.plan;
  auto bytes = package::decode_base64(text.size() > kStart ? text.substr(0, kStart) : text);
  if (!bytes || text.size() % kDigits != 0)
    refuse(kPlan, fmt::format("is no base64: {} characters", text.size()));
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  return {.bytes = *std::move(bytes), .size = text.size() / kDigits * kBytes - padding};
}

}  // namespace penstock::tensorrt
