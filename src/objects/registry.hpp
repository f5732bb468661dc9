#pragma once

#include "objects/schema.hpp"

#include <penstock/operators.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace penstock::objects {

/// An operator or method that is registered.
struct OperatorEntry {
  /// The library that `run` is from; null: the program. Before what is in it, so that it goes after it.
  std::shared_ptr<const void> library;
  Schema schema;
  std::function<void(OperatorCall&)> run;
  Capture capture = Capture::Never;
};

}  // namespace penstock::objects

namespace penstock {

/// A class that is registered.
struct ObjectHandle::Class {
  std::shared_ptr<const void> library;  ///< As of OperatorEntry.
  std::string name;                     ///< "ns.Name"
  std::function<std::shared_ptr<CustomObject>(const Value&, const ObjectOrigin&)> create;
  std::function<Value(const CustomObject&)> state;
  std::map<std::string, objects::OperatorEntry> methods;
};

struct Registry::Impl {
  std::map<std::string, std::shared_ptr<const objects::OperatorEntry>> operators;
  std::map<std::string, std::shared_ptr<const ObjectHandle::Class>> classes;
};

}  // namespace penstock

namespace penstock::objects {

/// The registry that a load works with: the program's own, what is in the libraries, and of what Penstock has
/// itself that which neither has. Blocking: opens the libraries and runs their code.
/// Errors: NotFound; Incompatible for a library of another version; InvalidArgument for one that registers
/// nothing, and for a name that is registered twice; what a library throws, as Internal.
std::shared_ptr<const Registry::Impl> with_libraries(const Registry& own,
                                                     std::span<const std::filesystem::path> libraries,
                                                     const Registry& built_in);

}  // namespace penstock::objects
