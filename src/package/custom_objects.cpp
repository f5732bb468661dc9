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

}  // namespace

std::map<std::string, std::string> read_object_config(std::string_view text, const std::string& what) {
  const auto corrupt = [&what](const std::string& reason) {
    base::fail(ErrorCode::Corrupt, "{} {}; export the package again", what, reason);
  };
  const nlohmann::json json = parse_json(text, what);
  if (!json.is_object()) corrupt("is not a JSON object");
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> names;
  for (const auto& [name, file] : json.items()) {
    if (!file.is_string()) corrupt(fmt::format("does not name the file of \"{}\"", name));
    const auto& base = file.get_ref<const std::string&>();
    if (base.empty() || base.find('/') != std::string::npos)
      corrupt(fmt::format("names \"{}\" as the file of \"{}\"", base, name));
    const auto [other, added] = names.emplace(base, name);
    if (!added) corrupt(fmt::format("gives \"{}\" and \"{}\" one file, {}", other->second, name, base));
    files.emplace(name, base);
  }
  return files;
}

std::vector<ObjectFile> read_object_files(const Archive& archive, const ModelFiles& files) {
  const std::string config = files.folder + "custom_objs_config.json";
  if (!archive.contains(config)) return {};
  const std::string what = archive.name() + ": " + config;
  std::vector<ObjectFile> found;
  for (const auto& [name, file] : read_object_config(archive.read_text(config, kMostConfigBytes), what)) {
    // libtorch unpacks the files beside the library.
    std::string entry = std::string(kFolder) + file;
    if (!archive.contains(entry) && archive.contains(files.folder + file)) entry = files.folder + file;
    if (!archive.contains(entry)) {
      base::fail(ErrorCode::Corrupt,
                 "{} names {} as the file of \"{}\", which is not there; export the package again", what,
                 entry, name);
    }
    found.push_back({name, std::move(entry)});
  }
  return found;
}

PickledState read_object(const Archive& archive, const ObjectFile& file) {
  return read_pickled_state(archive, file.entry,
                            fmt::format("{}: object \"{}\" ({})", archive.name(), file.name, file.entry));
}

}  // namespace penstock::package
