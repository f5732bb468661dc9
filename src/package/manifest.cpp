#include "package/manifest.hpp"

#include "base/fail.hpp"
#include "package/byte_reader.hpp"
#include "package/call_spec.hpp"
#include "package/elf_image.hpp"
#include "package/extern_nodes.hpp"
#include "package/instruction_sets.hpp"
#include "package/json_reader.hpp"
#include "package/replaced_libraries.hpp"
#include "package/text_hints.hpp"
#include "package/weights.hpp"
#include "system/machine.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

namespace penstock::package {
namespace {

constexpr std::string_view kModelsFolder = "data/aotinductor/";
constexpr std::string_view kWeightsFolder = "data/weights/";
constexpr std::uint64_t kMaxTinyBytes = 256;  // archive_format and its like
constexpr std::uint64_t kMaxMetadataBytes = std::uint64_t{4} << 20;
constexpr std::size_t kMaxModels = 1'000;
constexpr std::uint64_t kMaxTextBytes = std::uint64_t{64} << 20;

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string check_format(const Archive& archive) {
  if (!archive.contains("archive_format")) {
    base::fail(ErrorCode::Unsupported,
               "{}: not a PT2 package, it has no archive_format; make it with "
               "torch._inductor.aoti_compile_and_package of torch 2.9 or later",
               archive.name());
  }
  const std::string format = trimmed(archive.read_text("archive_format", kMaxTinyBytes));
  if (format != "pt2") {
    base::fail(ErrorCode::Unsupported, "{}: archive format \"{}\" is not \"pt2\"", archive.name(), format);
  }
  if (!archive.contains("archive_version")) {
    base::fail(ErrorCode::Corrupt, "{}: archive_version is missing; export the package again",
               archive.name());
  }
  const std::string version = trimmed(archive.read_text("archive_version", kMaxTinyBytes));
  if (version != "0") {
    base::fail(
        ErrorCode::Unsupported,
        "{}: archive version \"{}\" is not known to this Penstock, which reads \"0\"; take a newer Penstock",
        archive.name(), version);
  }
  if (archive.contains("byteorder")) {
    const std::string order = trimmed(archive.read_text("byteorder", kMaxTinyBytes));
    if (order != "little") {
      base::fail(ErrorCode::Incompatible, "{}: byte order \"{}\", this machine is little-endian",
                 archive.name(), order);
    }
  }
  return version;
}

/// Reads one model of an archive. Its folder and entries are set.
class ModelReader {
 public:
  ModelReader(const Archive& archive, ManifestOptions options, ModelFiles& model)
      : archive_(archive), options_(options), model_(model), info_(model.info) {}

  void read() {
    find_library();
    read_metadata();
    const SharedBytes library = archive_.read(model_.library);
    info_.library_bytes = library.bytes.size();
    info_.needs.architecture = elf_architecture(library.bytes);
    read_calls();
    const TextHints hints = read_text();
    use_hints(hints);
    // One for another machine cannot be loaded, whatever else it needs there; weights that are in no file of
    // their own are taken to be in it.
    if (!info_.needs.architecture.empty() && info_.needs.architecture != system::architecture()) {
      find_weights(hints.constants_bytes, hints);
      return;
    }
    const std::string what = fmt::format("{}: {}", archive_.name(), model_.library);
    const ElfImage image = ElfImage::parse(library.bytes, what);
    read_needs(image);
    require_calls();
    read_instruction_sets(image, hints.march);
    const auto embedded = find_embedded_weights(image);
    find_weights(embedded ? std::optional(embedded->bytes) : std::nullopt, hints);
  }

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: model \"{}\": {}; export the package again", archive_.name(),
               info_.name, fmt::format(format, std::forward<Args>(args)...));
  }

  /// Entries directly in the model's folder that end with `suffix`.
  [[nodiscard]] std::vector<std::string> files(std::string_view suffix) const {
    std::vector<std::string> found;
    for (const std::string& entry : model_.entries) {
      const bool is_direct = entry.find('/', model_.folder.size()) == std::string::npos;
      if (is_direct && ends_with(entry, suffix)) found.push_back(entry);
    }
    return found;
  }

  void find_library() {
    std::vector<std::string> found = files(".wrapper.so");
    if (found.empty()) found = files(".so");
    if (found.empty() && !(files(".pyd").empty() && files(".dylib").empty() && files(".dll").empty())) {
      base::fail(ErrorCode::Incompatible,
                 "{}: model \"{}\" was compiled for another system; export it on Linux", archive_.name(),
                 info_.name);
    }
    if (found.size() != 1) corrupt("{} model libraries (*.wrapper.so) instead of one", found.size());
    model_.library = found.front();
    info_.library = found.front();
  }

  void read_metadata() {
    const std::vector<std::string> names = files("_metadata.json");
    for (const std::string& name : names) {
      const nlohmann::json json =
          parse_json(archive_.read_text(name, kMaxMetadataBytes), archive_.name() + ": " + name);
      if (!json.is_object()) corrupt("{} is not a JSON object", name);
      for (const auto& [key, value] : json.items()) {
        if (!value.is_string()) corrupt("{}: the value of \"{}\" is not a string", name, key);
        const auto [entry, added] = info_.metadata.emplace(key, value.get<std::string>());
        if (!added && entry->second != value.get_ref<const std::string&>()) {
          corrupt("its metadata files state \"{}\" and \"{}\" as {}", entry->second,
                  value.get_ref<const std::string&>(), key);
        }
      }
    }
    const auto device = info_.metadata.find("AOTI_DEVICE_KEY");
    if (device == info_.metadata.end()) {
      corrupt("AOTI_DEVICE_KEY is missing in {}",
              names.empty() ? "its metadata, there is no *_metadata.json" : names[0]);
    }
    if (device->second != "cpu" && device->second != "cuda") {
      base::fail(ErrorCode::Unsupported, "{}: model \"{}\" is for device \"{}\"; Penstock runs cpu and cuda",
                 archive_.name(), info_.name, device->second);
    }
    info_.device = device->second == "cuda" ? DeviceType::Cuda : DeviceType::Cpu;
  }

  void read_needs(const ElfImage& image) {
    Requirements& needs = info_.needs;
    std::set<std::string> functions;
    bool uses_sleef = false;
    for (const ElfSymbol& symbol : image.symbols()) {
      if (!symbol.is_import()) continue;
      if (starts_with(symbol.name, "aoti_")) functions.emplace(symbol.name);
      uses_sleef = uses_sleef || starts_with(symbol.name, "Sleef_");
    }
    needs.shim_functions.assign(functions.begin(), functions.end());
    for (const std::string_view library : image.needed())
      if (!is_replaced_library(library)) needs.libraries.emplace_back(library);
    if (uses_sleef) needs.libraries.emplace_back("libsleef.so.3");
    for (const ElfVersionNeed& need : image.version_needs()) {
      for (const std::string_view version : need.versions) {
        take_version(version, "GLIBC_", needs.glibc);
        take_version(version, "GLIBCXX_", needs.libstdcxx);
      }
    }
  }

  /// What the calls that the library makes by number need.
  void read_calls() {
    const std::string nodes = model_.library.substr(0, model_.library.rfind('.')) + ".json";
    if (!archive_.contains(nodes)) return;
    model_.nodes = nodes;
    std::set<std::string> operators;
    std::set<std::string> classes;
    for (const ExternNode& node : read_extern_nodes(archive_, nodes)) {
      if (node.target != kMethodTarget) operators.insert(node.target);
      for (const NodeValue& input : node.inputs)
        if (input.kind == NodeValueKind::Object) classes.insert(input.class_name);
    }
    info_.needs.operators.assign(operators.begin(), operators.end());
    info_.needs.classes.assign(classes.begin(), classes.end());
  }

  /// A library that calls by number says nothing of what it calls.
  void require_calls() const {
    constexpr std::string_view kCall = "aoti_torch_proxy_executor_call_function";
    const std::vector<std::string>& functions = info_.needs.shim_functions;
    if (model_.nodes.empty() && std::ranges::find(functions, kCall) != functions.end())
      corrupt(
          "the library calls operators by number, and the file beside it that names them (.json) is missing");
  }

  static void take_version(std::string_view version, std::string_view prefix, std::string& highest) {
    if (!starts_with(version, prefix)) return;
    const std::string number(version.substr(prefix.size()));
    // GLIBC_PRIVATE and GLIBC_ABI_DT_RELR are no numbers.
    if (number.empty() || number.find_first_not_of("0123456789.") != std::string::npos) return;
    if (system::version_less(highest, number)) highest = number;
  }

  /// Both texts, as far as they are there.
  [[nodiscard]] TextHints read_text() const {
    const auto text_of = [this](std::string_view suffix, bool& is_whole) {
      const std::vector<std::string> names = files(suffix);
      if (names.size() != 1) return SharedBytes{};
      // One byte more, to see that there is more.
      SharedBytes text = archive_.read_start(names.front(), kMaxTextBytes + 1);
      if (text.bytes.size() <= kMaxTextBytes) return text;
      is_whole = false;
      text.bytes = text.bytes.first(kMaxTextBytes);
      return text;
    };
    bool is_whole = true;
    const SharedBytes wrapper = text_of(".wrapper.cpp", is_whole);
    const SharedBytes kernel = text_of(".kernel.cpp", is_whole);
    TextHints hints = read_text_hints(as_text(wrapper.bytes), as_text(kernel.bytes));
    // The least thread count may stand in what was not read.
    if (!is_whole) hints.threads = {};
    return hints;
  }

  void use_hints(const TextHints& hints) {
    info_.compiled_threads = hints.threads.at_most;
    model_.weight_layouts = hints.weights;
    model_.exact_threads = hints.threads.exact;
    info_.input_hints = hints.inputs;
    info_.call_spec_in = hints.call_spec_in;
    info_.call_spec_out = hints.call_spec_out;
    for (std::size_t i = 0; i < hints.output_count.value_or(0); ++i) {
      info_.output_names.push_back("out" + std::to_string(i));
    }
    if (info_.input_hints.empty() || info_.call_spec_in.empty()) return;
    try {
      const std::vector<std::string> keywords = keyword_names(info_.call_spec_in, info_.input_hints.size());
      for (std::size_t i = 0; i < keywords.size(); ++i) info_.input_hints[i].keyword = keywords[i];
    } catch (const Error&) {
      // A hint: the library states its call spec itself.
    }
  }

  void read_instruction_sets(const ElfImage& image, const std::string& march) {
    const auto isa = info_.metadata.find("AOTI_CPU_ISA");
    std::set<std::string> names;
    const auto add = [&](const std::vector<std::string>& more) { names.insert(more.begin(), more.end()); };
    if (isa != info_.metadata.end()) add(instruction_sets_of_metadata(isa->second));
    add(instruction_sets_of_march(march));
    constexpr std::array<std::string_view, 6> kRare = {"AVX512",   "AVX512_BF16", "AVX512_FP16",
                                                       "AMX_TILE", "AVX10",       "AVX512_VP2INTERSECT"};
    const bool has_all = std::all_of(kRare.begin(), kRare.end(), &system::has_instruction_set);
    if (options_.decode_code || (!is_portable_march(march) && !has_all)) add(instruction_sets_of_code(image));
    info_.needs.instruction_sets.assign(names.begin(), names.end());
  }

  void find_weights(std::optional<std::uint64_t> embedded_bytes, const TextHints& hints) {
    const auto blobs = files(".blob");
    std::uint64_t blob_bytes = 0;
    std::uint64_t pickle_bytes = 0;
    for (const ArchiveEntry& entry : archive_.entries()) {
      if (std::find(blobs.begin(), blobs.end(), entry.name) != blobs.end()) blob_bytes += entry.bytes;
      if (starts_with(entry.name, kWeightsFolder)) pickle_bytes += entry.bytes;
    }
    const bool has_pickles = archive_.contains(model_.folder + "weights_config.json");
    const auto set = [this](WeightsForm form, std::uint64_t bytes) {
      info_.weights_form = form;
      info_.weights_bytes = bytes;
    };
    if (blobs.size() > 1) corrupt("{} files of weights (*.blob) instead of one", blobs.size());
    if (!blobs.empty()) {
      model_.blob = blobs.front();
      set(WeightsForm::BinaryBlob, blob_bytes);
    } else if (hints.constant_count == 0U) {
      set(WeightsForm::None, 0);
    } else if (embedded_bytes) {
      set(WeightsForm::Embedded, *embedded_bytes);
    } else if (has_pickles) {
      set(WeightsForm::PickleWeights, pickle_bytes);
    } else if (hints.constant_count) {
      set(WeightsForm::External, hints.constants_bytes);
    } else {
      set(WeightsForm::None, 0);
    }
  }

  const Archive& archive_;
  ManifestOptions options_;
  ModelFiles& model_;
  ModelInfo& info_;
};

}  // namespace

Manifest read_manifest(const Archive& archive, const ManifestOptions& options) {
  Manifest manifest;
  manifest.archive_version = check_format(archive);
  // Sorted by name, so the entries of a model follow each other.
  for (const ArchiveEntry& entry : archive.entries()) {
    if (!starts_with(entry.name, kModelsFolder)) continue;
    const std::size_t end = entry.name.find('/', kModelsFolder.size());
    if (end == std::string::npos) continue;
    const std::string folder = entry.name.substr(0, end + 1);
    if (manifest.models.empty() || manifest.models.back().folder != folder) {
      if (manifest.models.size() == kMaxModels) {
        base::fail(ErrorCode::Unsupported, "{}: more than {} models; make several packages of them",
                   archive.name(), kMaxModels);
      }
      manifest.models.emplace_back();
      manifest.models.back().folder = folder;
      manifest.models.back().info.name = folder.substr(kModelsFolder.size(), end - kModelsFolder.size());
    }
    manifest.models.back().entries.push_back(entry.name);
  }
  if (manifest.models.empty()) {
    base::fail(ErrorCode::Unsupported,
               "{}: no compiled model in the package (data/aotinductor/ is missing or empty); make it with "
               "torch._inductor.aoti_compile_and_package",
               archive.name());
  }
  for (ModelFiles& model : manifest.models) ModelReader(archive, options, model).read();
  // "a" and "a-b" are folders "a/" and "a-b/", which sort the other way round.
  std::sort(manifest.models.begin(), manifest.models.end(),
            [](const ModelFiles& left, const ModelFiles& right) { return left.info.name < right.info.name; });
  return manifest;
}

}  // namespace penstock::package
