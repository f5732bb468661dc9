#include "objects/registry.hpp"

#include "base/fail.hpp"
#include "objects/translated.hpp"
#include "package/extern_nodes.hpp"

#include <dlfcn.h>

#include <system_error>
#include <utility>

namespace penstock {
namespace {

using objects::OperatorEntry;
using objects::translated;

template <class Map>
std::vector<std::string> names_of(const Map* map) {
  std::vector<std::string> names;
  if (map == nullptr) return names;
  for (const auto& [name, entry] : *map) names.push_back(name);
  return names;
}

/// A shared library that stays open for as long as anything of it is used.
class OperatorLibrary {
 public:
  explicit OperatorLibrary(const std::filesystem::path& path) {
    std::error_code ignored;
    // A name without a folder is looked up among the system's libraries, but for a file that is here.
    const bool is_file = std::filesystem::exists(path, ignored);
    const std::string name = is_file ? std::filesystem::absolute(path, ignored).string() : path.string();
    handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    const char* const reason = ::dlerror();
    base::fail(ErrorCode::NotFound, "{}: the library of operators cannot be opened: {}", path.string(),
               reason == nullptr ? "no reason is given" : reason);
  }
  ~OperatorLibrary() { ::dlclose(handle_); }
  OperatorLibrary(const OperatorLibrary&) = delete;
  OperatorLibrary& operator=(const OperatorLibrary&) = delete;

  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(handle_, name));
  }

 private:
  void* handle_ = nullptr;
};

/// What the library registers. Entries hold the library, so that it goes with the last of them.
Registry::Impl read_library(const std::filesystem::path& path) {
  const auto library = std::make_shared<const OperatorLibrary>(path);
  auto* const interface = library->find<std::uint32_t()>("penstock_operator_interface");
  auto* const begin = library->find<void(Registry&)>("penstock_register");
  if (interface == nullptr || begin == nullptr) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: no library of operators: it has no PENSTOCK_LIBRARY (penstock/operators.hpp)",
               path.string());
  }
  if (interface() != kOperatorInterface) {
    base::fail(
        ErrorCode::Incompatible,
        "{}: was compiled with version {} of penstock/operators.hpp, this Penstock has {}; compile it again",
        path.string(), interface(), kOperatorInterface);
  }
  Registry::Impl result;
  Registry registry;
  translated(path.string() + ": the library could not register its operators", [&] { begin(registry); });
  if (registry.impl() == nullptr) return result;
  for (const auto& [name, entry] : registry.impl()->operators) {
    OperatorEntry copy = *entry;
    copy.library = library;
    result.operators.emplace(name, std::make_shared<const OperatorEntry>(std::move(copy)));
  }
  for (const auto& [name, entry] : registry.impl()->classes) {
    ObjectHandle::Class copy = *entry;
    copy.library = library;
    for (auto& [method, of_it] : copy.methods) of_it.library = library;
    result.classes.emplace(name, std::make_shared<const ObjectHandle::Class>(std::move(copy)));
  }
  return result;
}

[[noreturn]] void refuse_twice(const std::string& name) {
  base::fail(ErrorCode::InvalidArgument, "{} is registered already", name);
}

}  // namespace

void Registry::add(OperatorDefinition definition) {
  objects::Schema schema = objects::parse_schema(definition.schema);
  const std::string name = schema.name;
  if (name.find("::") == std::string::npos) {
    base::fail(ErrorCode::InvalidArgument, "the operator \"{}\" has no namespace: \"ns::op\"", name);
  }
  if (!definition.run) base::fail(ErrorCode::InvalidArgument, "the operator {} has no function", name);
  auto next = impl_ == nullptr ? std::make_shared<Impl>() : std::make_shared<Impl>(*impl_);
  const auto [entry, added] = next->operators.emplace(
      name, std::make_shared<const OperatorEntry>(OperatorEntry{.library = nullptr,
                                                                .schema = std::move(schema),
                                                                .run = std::move(definition.run),
                                                                .capture = definition.capture}));
  if (!added) refuse_twice("the operator " + name);
  impl_ = std::move(next);
}

void Registry::add(ClassDefinition definition) {
  auto made = std::make_shared<ObjectHandle::Class>();
  made->name = package::short_class_name(definition.name);
  if (made->name.empty()) base::fail(ErrorCode::InvalidArgument, "a class without a name");
  if (!definition.create) {
    base::fail(ErrorCode::InvalidArgument, "the class {} has no function that makes an object", made->name);
  }
  made->create = std::move(definition.create);
  made->state = std::move(definition.state);
  for (MethodDefinition& method : definition.methods) {
    objects::Schema schema = objects::parse_schema(method.schema);
    // The object comes first.
    schema.parameters.insert(schema.parameters.begin(),
                             {.name = "self",
                              .type = {.base = objects::BaseType::Object, .class_name = made->name},
                              .preset = {}});
    const std::string name = schema.name;
    if (!method.run)
      base::fail(ErrorCode::InvalidArgument, "the method {}.{} has no function", made->name, name);
    schema.name = made->name + "." + name;
    const auto [entry, added] = made->methods.emplace(name, OperatorEntry{.library = nullptr,
                                                                          .schema = std::move(schema),
                                                                          .run = std::move(method.run),
                                                                          .capture = method.capture});
    if (!added) refuse_twice(fmt::format("the method {}.{}", made->name, name));
  }
  auto next = impl_ == nullptr ? std::make_shared<Impl>() : std::make_shared<Impl>(*impl_);
  const std::string name = made->name;
  if (!next->classes.emplace(name, std::move(made)).second) refuse_twice("the class " + name);
  impl_ = std::move(next);
}

std::vector<std::string> Registry::operators() const {
  return names_of(impl_ == nullptr ? nullptr : &impl_->operators);
}

std::vector<std::string> Registry::classes() const {
  return names_of(impl_ == nullptr ? nullptr : &impl_->classes);
}

}  // namespace penstock

namespace penstock::objects {

std::shared_ptr<const Registry::Impl> with_libraries(const Registry& own,
                                                     std::span<const std::filesystem::path> libraries,
                                                     const Registry& built_in) {
  auto all = std::make_shared<Registry::Impl>();
  if (own.impl() != nullptr) *all = *own.impl();
  for (const std::filesystem::path& path : libraries) {
    const Registry::Impl more = read_library(path);
    for (const auto& [name, entry] : more.operators) {
      if (!all->operators.emplace(name, entry).second) refuse_twice(path.string() + ": the operator " + name);
    }
    for (const auto& [name, entry] : more.classes) {
      if (!all->classes.emplace(name, entry).second) refuse_twice(path.string() + ": the class " + name);
    }
  }
  if (built_in.impl() != nullptr) {
    all->operators.insert(built_in.impl()->operators.begin(), built_in.impl()->operators.end());
    all->classes.insert(built_in.impl()->classes.begin(), built_in.impl()->classes.end());
  }
  return all;
}

}  // namespace penstock::objects
