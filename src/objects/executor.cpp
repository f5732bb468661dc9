#include "objects/executor.hpp"

#include "base/fail.hpp"
#include "objects/operator_call.hpp"
#include "objects/translated.hpp"
#include "package/custom_objects.hpp"
#include "shim/context.hpp"
#include "system/ranges.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace penstock::objects {
namespace {

/// An object and the library that it is from, which goes after it.
struct Held {
  std::shared_ptr<const ObjectHandle::Class> from;
  std::shared_ptr<CustomObject> object;
};

void refuse(const CallProblems& problems, const std::string& what) {
  if (problems.none()) return;
  if (!problems.broken.empty())
    base::fail(ErrorCode::Corrupt, "{}: {}; export the package again", what, problems.broken.joined("; "));
  std::vector<std::string> parts;
  if (!problems.operators.empty())
    parts.push_back("operators that are not registered: " + problems.operators.joined(", "));
  if (!problems.classes.empty())
    parts.push_back("classes that are not registered: " + problems.classes.joined(", "));
  if (!parts.empty())
    parts.emplace_back(
        "register them (LoadOptions::registry), or name a library that does (LoadOptions::libraries, "
        "--library)");
  if (!problems.mismatches.empty()) {
    parts.push_back(problems.mismatches.joined("; "));
    parts.emplace_back("register these as PyTorch had them at the export");
  }
  base::fail(ErrorCode::Unsupported, "{}: {}", what, fmt::join(parts, "; "));
}

void tell_observer(const OperatorCall::Impl& call) {
  if (call.cuda == nullptr || call.cuda->observer == nullptr) return;
  call.cuda->observer->launched(shim::CudaObserver::Kind::Operator, call.prepared.entry->schema.name,
                                call.cuda->stream);
}

}  // namespace

std::shared_ptr<const Executor> Executor::make(const ExecutorSource& source) {
  const auto nodes = package::read_extern_nodes(source.archive, source.files.nodes);
  const auto files = package::read_object_files(source.archive, source.files, nodes);
  // Also where nothing is called: a library that cannot be opened is a mistake of its own.
  auto registry = with_libraries(source.registry, source.libraries, source.built_in);
  if (files.empty() && source.files.nodes.empty()) return nullptr;
  const auto executor = std::make_shared<Executor>();
  executor->what_ = source.what;
  executor->device_ = source.device;
  executor->registry_ = std::move(registry);

  CallProblems problems;
  std::vector<ObjectInfo> described;
  std::map<std::string, CallSource::Object> by_name;
  package::ValueBudget budget;
  for (const package::ObjectFile& file : files) {
    package::PickledState state = package::read_object(source.archive, file, budget);
    if (!executor->registry_->classes.contains(state.class_name)) problems.classes.add(state.class_name);
    by_name[file.name] = {described.size(), state.class_name};
    described.push_back(
        {.name = file.name, .class_name = std::move(state.class_name), .state = std::move(state.state)});
  }
  const CallSource calls{*executor->registry_, by_name, source.device};
  for (const package::ExternNode& node : nodes)
    executor->calls_.push_back(prepare_call(node, calls, problems));
  refuse(problems, source.what);
  for (ObjectInfo& object : described) {
    const std::string problem = fmt::format("{}: object \"{}\" of class {} cannot be created of its state",
                                            source.what, object.name, object.class_name);
    executor->create_object(std::move(object), problem);
  }
  executor->find_called();
  return executor;
}

std::shared_ptr<const Executor> Executor::make(OneCallSource source) {
  const auto executor = std::make_shared<Executor>();
  executor->what_ = source.what;
  executor->device_ = source.device;
  executor->registry_ = with_libraries({}, {}, source.built_in);
  const std::map<std::string, CallSource::Object> by_name{
      {source.object.name, {0, source.object.class_name}}};
  executor->create_object(std::move(source.object), source.what);
  CallProblems problems;
  executor->calls_.push_back(prepare_call(source.call(*executor->objects_.front().get()),
                                          {*executor->registry_, by_name, source.device}, problems));
  refuse(problems, source.what);
  executor->find_called();
  return executor;
}

void Executor::find_called() {
  for (const PreparedCall& call : calls_) {
    for (const PreparedArgument& argument : call.arguments)
      if (argument.source == PreparedArgument::Source::Object) called_.push_back(argument.object);
  }
  std::ranges::sort(called_);
  called_.erase(std::unique(called_.begin(), called_.end()), called_.end());
}

std::string_view Executor::kept_from_graphs() const noexcept {
  const auto found = std::ranges::find_if(
      calls_, [](const PreparedCall& call) { return call.entry->capture == Capture::Never; });
  return found == calls_.end() ? std::string_view() : found->what;
}

void Executor::create_object(ObjectInfo described, const std::string& problem) {
  const std::shared_ptr<const ObjectHandle::Class>& from = registry_->classes.at(described.class_name);
  const auto held = std::make_shared<Held>();
  held->from = from;
  translated(problem, [&] {
    const ObjectOrigin origin{.name = described.name, .package = what_, .device = device_};
    held->object = from->create(described.state, origin);
    if (held->object == nullptr) base::fail(ErrorCode::Internal, "the class gives no object");
  });
  CustomObject* const object = held->object.get();
  objects_.emplace_back(std::move(described.name), std::move(described.class_name), from,
                        std::shared_ptr<CustomObject>(held, object));
}

ObjectMap Executor::objects() const {
  ObjectMap map;
  for (const ObjectHandle& object : objects_) map.emplace(object.name(), object);
  return map;
}

ExecutorSession::ExecutorSession(std::shared_ptr<const Executor> executor)
    : executor_(std::move(executor)), slots_(executor_->objects_.size()) {}

void ExecutorSession::begin_run() {
  std::uint64_t sum = 0;
  for (const std::size_t number : executor_->called_) {
    const ObjectHandle& object = executor_->objects_[number];
    ObjectSnapshot& taken = slots_[number].taken;
    if (object.get()->version() != taken.version) {
      translated(
          fmt::format("{}: object \"{}\" of class {}", executor_->what_, object.name(), object.class_name()),
          [&] { taken = object.get()->snapshot(); });
    }
    // None of them ever shrinks, so the sum is the same only where all are.
    sum += taken.version;
  }
  version_ = sum;
}

void ExecutorSession::call(const shim::ProxyCall& call) {
  const auto number = static_cast<std::size_t>(call.node);
  if (call.node < 0 || number >= executor_->calls_.size()) {
    base::fail(ErrorCode::Internal, "the model makes call {}, and the package describes {}", call.node,
               executor_->calls_.size());
  }
  const PreparedCall& prepared = executor_->calls_[number];
  if (call.tensors.size() != prepared.tensors || call.integers.size() != prepared.integers) {
    base::fail(ErrorCode::Internal,
               "{}: the model hands over {} tensors and {} integers, the package describes {} and {}",
               prepared.what, call.tensors.size(), call.integers.size(), prepared.tensors, prepared.integers);
  }
  const system::Range range(prepared.what.c_str());
  const shim::CallContext* const context = shim::current_context();
  OperatorCall::Impl impl{prepared, *this, call, context == nullptr ? nullptr : context->cuda, {}};
  OperatorCall given(impl);
  tell_observer(impl);
  translated(prepared.what, [&] {
    prepared.entry->run(given);
    impl.require_results();
  });
}

std::unique_ptr<ExecutorSession> make_session(const std::shared_ptr<const Executor>& executor) {
  if (executor == nullptr) return nullptr;
  auto session = std::make_unique<ExecutorSession>(executor);
  session->begin_run();
  return session;
}

}  // namespace penstock::objects

namespace penstock {

// Out of line, so that the type has one home and can be cast across library borders.
CustomObject::~CustomObject() = default;

ObjectSnapshot CustomObject::snapshot() const { return {version(), nullptr, nullptr}; }

ObjectHandle::ObjectHandle(std::string name, std::string class_name, std::shared_ptr<const Class> from,
                           std::shared_ptr<CustomObject> object) noexcept
    : name_(std::move(name)),
      class_name_(std::move(class_name)),
      class_(std::move(from)),
      object_(std::move(object)) {}

Value ObjectHandle::state() const {
  if (class_ == nullptr || !class_->state) {
    base::fail(ErrorCode::Unsupported, "object \"{}\": its class {} gives no state", name_, class_name_);
  }
  Value state;
  objects::translated(fmt::format("object \"{}\" of class {}: its state", name_, class_name_),
                      [&] { state = class_->state(*object_); });
  return state;
}

}  // namespace penstock
