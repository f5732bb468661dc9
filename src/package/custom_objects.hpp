#pragma once

#include "package/archive.hpp"
#include "package/extern_nodes.hpp"
#include "package/manifest.hpp"
#include "package/pickled_state.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// Where a package has an object.
struct ObjectFile {
  std::string name;        ///< "_torchbind_obj0": how the model's calls name it.
  std::string class_name;  ///< "ns.Name", as the calls state it, for messages; empty where none takes it.
  std::string entry;       ///< "data/constants/custom_obj_0"
};

/// Reads the text of `custom_objs_config.json`: the file of each object by the object's name.
/// Errors: Corrupt (a name with a folder in it). `what` names the text in messages.
std::map<std::string, std::string> read_object_config(std::string_view text, const std::string& what);

/// Reads `custom_objs_config.json` of a model that makes these calls, sorted by name; empty where it has
/// none. Nothing of the objects is read. Errors: Corrupt (no such file, a file of two objects, a name with a
/// folder in it).
std::vector<ObjectFile> read_object_files(const Archive& archive, const ModelFiles& files,
                                          std::span<const ExternNode> calls);

/// Reads one object, of those that share a budget. Nothing is created. Errors: as read_pickled_state;
/// messages name the package, the object, its class and its file.
PickledState read_object(const Archive& archive, const ObjectFile& file, ValueBudget& budget);

}  // namespace penstock::package
