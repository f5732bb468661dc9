#include "tensorrt/library.hpp"

#include "base/fail.hpp"
#include "system/vendor_library.hpp"

#include <penstock/tensorrt.hpp>

#include <dlfcn.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string_view>
#include <utility>

namespace penstock::tensorrt {
namespace {

constexpr const char* kVariable = "PENSTOCK_TENSORRT";

/// The newest first; the lean runtime takes no plan that the whole one does not.
constexpr std::array kSonames{"libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer_lean.so.11",
                              "libnvinfer_lean.so.10", "libtensorrt_rtx.so.1"};

// Versions in which functions came.
constexpr int kBudgets = 100100;
constexpr int kProfileValues = 101100;
constexpr int kAliases = 101500;
constexpr int kCommunicators = 101600;

constexpr int kMajorRtx = 1;

bool is_rtx_name(std::string_view name) { return name.find("tensorrt_rtx") != std::string_view::npos; }

/// What 10.x has only since some version is not in older ones.
abi::Numbering without_newer(abi::Numbering numbering, int version) {
  if (version < kBudgets) {
    numbering.engine.set_weight_budget = numbering.engine.weight_budget = abi::kNone;
    numbering.engine.automatic_weight_budget = numbering.engine.context_bytes = abi::kNone;
    numbering.context.set_device_memory_v2 = abi::kNone;
  }
  if (version < kProfileValues) numbering.engine.profile_values = abi::kNone;
  if (version < kAliases) numbering.engine.aliased_input = abi::kNone;
  if (version < kCommunicators) numbering.context.set_communicator = abi::kNone;
  return numbering;
}

template <class Function>
Function* find(void* handle, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(handle, name));
}

/// "11.4.0"; empty for a library that does not say.
std::string version_text(void* handle) {
  auto* const major = find<std::int32_t()>(handle, "getInferLibMajorVersion");
  auto* const minor = find<std::int32_t()>(handle, "getInferLibMinorVersion");
  auto* const patch = find<std::int32_t()>(handle, "getInferLibPatchVersion");
  if (major == nullptr || minor == nullptr || patch == nullptr) return "";
  return fmt::format("{}.{}.{}", major(), minor(), patch());
}

}  // namespace

std::string PlanHeader::text() const {
  if (!is_known) return "";
  return fmt::format("{} {}", is_rtx ? "TensorRT-RTX" : "TensorRT", version);
}

PlanHeader read_plan_header(std::span<const std::byte> plan) {
  constexpr std::size_t kVersionAt = 24;
  constexpr std::size_t kVersionParts = 4;
  PlanHeader header;
  if (plan.size() < kVersionAt + kVersionParts) return header;
  const std::string_view magic(reinterpret_cast<const char*>(plan.data()), 4);
  header.is_rtx = magic == "vtrt";
  header.is_known = header.is_rtx || magic == "ftrt";
  if (!header.is_known) return header;
  const auto part = [&](std::size_t i) { return std::to_integer<int>(plan[kVersionAt + i]); };
  header.major = part(0);
  header.version = fmt::format("{}.{}.{}.{}", part(0), part(1), part(2), part(3));
  return header;
}

Library::Library(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {
  choose_numbering();
  logger_ = &Logger::of(numbering_);
  create_runtime();
  test_numbering();
}

void Library::choose_numbering() {
  auto* const major_of = find<std::int32_t()>(handle_, "getInferLibMajorVersion");
  auto* const minor_of = find<std::int32_t()>(handle_, "getInferLibMinorVersion");
  auto* const patch_of = find<std::int32_t()>(handle_, "getInferLibPatchVersion");
  auto* const version_of = find<std::int32_t()>(handle_, "getInferLibVersion");
  if (version_of == nullptr || find<void>(handle_, "createInferRuntime_INTERNAL") == nullptr) {
    base::fail(ErrorCode::Incompatible, "{} is no runtime of TensorRT: it has no {}", path_,
               version_of == nullptr ? "getInferLibVersion" : "createInferRuntime_INTERNAL");
  }
  if (major_of == nullptr || minor_of == nullptr || patch_of == nullptr) {
    base::fail(ErrorCode::Incompatible, "{} is TensorRT {}, which is too old: 10 or later is needed", path_,
               version_of());
  }
  const int major = major_of();
  number_ = version_of();
  // One number means different versions in TensorRT and in TensorRT-RTX: the major one tells them apart.
  const bool is_lean = path_.find("nvinfer_lean") != std::string::npos;
  const char* const flavor = major == kMajorRtx ? "TensorRT-RTX" : is_lean ? "TensorRT lean" : "TensorRT";
  title_ = fmt::format("{} {} ({})", flavor, version_text(handle_), path_);
  constexpr int kMajor10 = 10;
  constexpr int kMajor11 = 11;
  if (major == kMajorRtx) {
    numbering_ = abi::kNumberingRtx;
  } else if (major == kMajor10) {
    numbering_ = without_newer(abi::kNumbering10, number_);
  } else if (major == kMajor11) {
    numbering_ = abi::kNumbering11;
  } else {
    base::fail(
        ErrorCode::Incompatible,
        "{}: Penstock knows TensorRT 10 and 11 and TensorRT-RTX 1; where another one has its functions it "
        "does not know",
        title_);
  }
}

void Library::create_runtime() {
  auto* const create = find<void*(void*, std::int32_t)>(handle_, "createInferRuntime_INTERNAL");
  const CollectedLog log;
  runtime_ = create(logger_->object(), number_);
  if (abi::is_object(runtime_)) return;
  runtime_ = nullptr;
  base::fail(ErrorCode::Internal, "{} gives no runtime{}", title_, log.text());
}

void Library::test_numbering() const {
  // In 10.x this number is that of a getter too, of what nobody has set.
  void* const first = abi::call<void*>(runtime_, abi::kNumbering11.runtime.logger);
  const bool is_11 = first == logger_->object();
  const bool is_10 =
      first == nullptr && abi::call<void*>(runtime_, abi::kNumbering10.runtime.logger) == logger_->object();
  if (numbering_.versioned_callbacks ? is_11 : is_10) return;
  base::fail(
      ErrorCode::Incompatible,
      "{}: its functions are not where those of {} are: Penstock does not know this version, and does not "
      "use it",
      title_, numbering_.name);
}

void* Library::deserialize(std::span<const std::byte> plan) const {
  void* const engine = abi::call<void*>(runtime_, numbering_.runtime.deserialize,
                                        static_cast<const void*>(plan.data()), plan.size());
  return abi::is_object(engine) ? engine : nullptr;
}

Library& Library::open(const std::string& name) {
  static std::mutex mutex;
  // Never destroyed: TensorRT's own threads may still use what they were given.
  static auto& libraries = *new std::map<std::string, std::unique_ptr<Library>>;
  static auto& by_name = *new std::map<std::string, Library*>;
  const std::lock_guard lock(mutex);
  if (const auto known = by_name.find(name); known != by_name.end()) return *known->second;
  const system::OpenedLibrary opened = system::open_library(name);
  if (opened.handle == nullptr) {
    base::fail(ErrorCode::NotFound, "{}: not found ({})", name, fmt::join(opened.attempts, "; "));
  }
  std::unique_ptr<Library>& known = libraries[opened.path];
  if (known == nullptr) known.reset(new Library(opened.handle, opened.path));
  return *by_name.emplace(name, known.get()).first->second;
}

std::vector<std::string> libraries_to_try(std::span<const std::filesystem::path> given,
                                          const PlanHeader& header) {
  std::vector<std::string> names;
  for (const std::filesystem::path& path : given) names.push_back(path.string());
  if (!names.empty()) return names;
  if (const char* const named = std::getenv(kVariable); named != nullptr && *named != '\0') {
    std::istringstream paths(named);
    for (std::string path; std::getline(paths, path, ':');) {
      if (!path.empty()) names.push_back(path);
    }
    return names;
  }
  names.assign(kSonames.begin(), kSonames.end());
  if (!header.is_known) return names;
  const std::string own = fmt::format(".so.{}", header.major);
  std::stable_partition(names.begin(), names.end(), [&](const std::string& name) {
    return is_rtx_name(name) == header.is_rtx && name.ends_with(own);
  });
  return names;
}

}  // namespace penstock::tensorrt

namespace penstock {

std::vector<OptionalLibrary> tensorrt_libraries() {
  std::vector<OptionalLibrary> found;
  for (const std::string& name : tensorrt::libraries_to_try({}, {})) {
    const system::OpenedLibrary opened = system::open_library(name);
    if (opened.handle == nullptr) continue;
    OptionalLibrary library{.name = "TensorRT",
                            .needed_for = "TensorRT engines",
                            .path = opened.path,
                            .version = {},
                            .advice = {},
                            .attempts = {}};
    library.version = tensorrt::version_text(opened.handle);
    found.push_back(std::move(library));
  }
  if (!found.empty()) return found;
  found.push_back({.name = "TensorRT",
                   .needed_for = "TensorRT engines",
                   .path = {},
                   .version = {},
                   .advice = fmt::format("Install TensorRT 10 or 11 (pip install tensorrt-cu13-libs, or "
                                         "tensorrt-lean-cu13-libs), or set {} to the file",
                                         tensorrt::kVariable),
                   .attempts = {}});
  return found;
}

}  // namespace penstock
