#include "package/custom_objects.hpp"

#include "base/fail.hpp"
#include "package/json_reader.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <utility>

namespace penstock::package {
namespace {

constexpr std::uint64_t kMostConfigBytes = std::uint64_t{16} << 20;
constexpr std::string_view kFolder = "data/constants/";

using ByName = std::map<std::string, std::string>;

template <class... Args>
[[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) {
  base::fail(ErrorCode::Corrupt, "{}; export the package again",
             fmt::format(format, std::forward<Args>(args)...));
}

ByName stated_classes(std::span<const ExternNode> calls) {
  ByName classes;
  for (const ExternNode& call : calls) {
    for (const NodeValue& input : call.inputs)
      if (input.kind == NodeValueKind::Object) classes.emplace(input.object, input.class_name);
  }
  return classes;
}

std::string described(const ObjectFile& object) {
  return object.class_name.empty() ? fmt::format("object \"{}\"", object.name)
                                   : fmt::format("object \"{}\" of class {}", object.name, object.class_name);
}

}  // namespace

std::map<std::string, std::string> read_object_config(std::string_view text, const std::string& what) {
  const nlohmann::json json = parse_json(text, what);
  if (!json.is_object()) corrupt("{} is not a JSON object", what);
  ByName files;
  for (const auto& [name, file] : json.items()) {
    if (!file.is_string()) corrupt("{} does not name the file of \"{}\"", what, name);
    const auto& base = file.get_ref<const std::string&>();
    if (base.empty() || base.find('/') != std::string::npos)
      corrupt("{} names \"{}\" as the file of \"{}\"", what, base, name);
    files.emplace(name, base);
  }
  return files;
}

std::vector<ObjectFile> read_object_files(const Archive& archive, const ModelFiles& files,
                                          std::span<const ExternNode> calls) {
  const std::string config = files.folder + "custom_objs_config.json";
  if (!archive.contains(config)) return {};
  const std::string what = archive.name() + ": " + config;
  const ByName classes = stated_classes(calls);
  std::vector<ObjectFile> found;
  std::map<std::string, std::size_t> owners;
  for (const auto& [name, file] : read_object_config(archive.read_text(config, kMostConfigBytes), what)) {
    const auto stated = classes.find(name);
    ObjectFile object{.name = name,
                      .class_name = stated == classes.end() ? std::string() : stated->second,
                      .entry = std::string(kFolder) + file};
    // libtorch unpacks the files beside the library.
    if (!archive.contains(object.entry) && archive.contains(files.folder + file))
      object.entry = files.folder + file;
    if (!archive.contains(object.entry))
      corrupt("{}: {}: its file {} is not there", what, described(object), object.entry);
    const auto [owner, added] = owners.emplace(object.entry, found.size());
    if (!added)
      corrupt("{}: {} and {} have one file, {}", what, described(found[owner->second]), described(object),
              object.entry);
    found.push_back(std::move(object));
  }
  return found;
}

PickledState read_object(const Archive& archive, const ObjectFile& file, ValueBudget& budget) {
  return read_pickled_state(archive, file.entry,
                            fmt::format("{}: {} ({})", archive.name(), described(file), file.entry), budget);
}

}  // namespace penstock::package
