#pragma once

#include "unit/package/package_builder.hpp"

#include <penstock/penstock.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// The package object_tensor with something of it changed, and what it needs to be loaded.
namespace penstock::testing {

/// Files of the package, by the ends of their names.
inline constexpr std::string_view kNodes = ".wrapper.json";
inline constexpr std::string_view kConfig = "custom_objs_config.json";
inline constexpr std::string_view kObject = "custom_obj_0";

using Change = std::function<std::string(std::string)>;

inline std::string nothing(const std::string&) { return {}; }

/// Replaces the first `from` by `to`.
inline Change replaced(const std::string& from, const std::string& to) {
  return [from, to](std::string text) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in " << text;
    return text.replace(at, from.size(), to);
  };
}

inline Change replaced_by(const std::string& text) {
  return [text](const std::string&) { return text; };
}

/// The package with the data of one file passed through `change`, without the file where it becomes empty,
/// and with the object's file a second time as custom_obj_1.
inline package::SharedBytes changed_bytes(std::string_view file, const Change& change) {
  const auto archive =
      package::Archive::open(package::test::package_path("torch-2.15-objects/object_tensor.pt2"));
  std::vector<package::test::ZipItem> items;
  bool found = false;
  for (const package::ArchiveEntry& entry : archive.entries()) {
    std::string data = package::test::text_of(archive.read(entry.name));
    if (entry.name.ends_with(kObject)) items.push_back({"top/data/constants/custom_obj_1", data});
    if (entry.name.ends_with(file)) {
      found = true;
      data = change(std::move(data));
      if (data.empty()) continue;
    }
    items.push_back({"top/" + entry.name, std::move(data)});
  }
  EXPECT_TRUE(found) << file;
  return package::test::shared(package::test::build_zip(items));
}

inline Package with_changed(std::string_view file, const Change& change) {
  const package::SharedBytes bytes = changed_bytes(file, change);
  return Package::open_memory(bytes.bytes, bytes.owner, "changed.pt2");
}

struct HeldState {
  int changes = 0;
};
using Held = VersionedObject<HeldState>;

/// With an operator that gives its argument, and a class that does not look at its state.
inline LoadOptions options(Capture capture = Capture::Never) {
  LoadOptions made;
  made.registry.add(
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor",
       .run = [](OperatorCall& call) { call.give_argument(0, 1); },
       .capture = capture});
  made.registry.add(ClassDefinition{
      .name = "fixtures.Holder",
      .create = [](const Value&, const ObjectOrigin&) { return std::make_shared<Held>(HeldState{}); }});
  return made;
}

}  // namespace penstock::testing
