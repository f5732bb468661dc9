#pragma once

#include "objects/prepared_call.hpp"
#include "package/archive.hpp"
#include "package/manifest.hpp"
#include "shim/proxy.hpp"

#include <penstock/custom_objects.hpp>
#include <penstock/operators.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::objects {

/// What an executor is made of.
struct ExecutorSource {
  const package::Archive& archive;
  const package::ModelFiles& files;
  const Registry& registry;
  std::span<const std::filesystem::path> libraries;
  const Registry& built_in;  ///< What Penstock has itself.
  Device device;
  const std::string& what;  ///< Package and model, for messages.
};

/// What the executor of a model is made of that is one call, and has one object.
struct OneCallSource {
  const Registry& built_in;
  Device device;
  const std::string& what;  ///< For messages.
  ObjectInfo object;
  /// The call, once the object is there.
  std::function<package::ExternNode(const CustomObject&)> call;
};

/// The live objects of a loaded model and the calls that it makes by number.
/// Thread: thread-safe, nothing of it changes; objects see to themselves. Lifetime: holds the libraries.
class Executor {
 public:
  /// Reads the objects and calls of a package, matches them with what is registered, and creates the objects.
  /// Null where the package has neither. Blocking: runs code of classes and libraries.
  /// Errors: Unsupported names all classes and operators that are not registered, and all calls that do not
  /// fit; Corrupt; Internal for an object that cannot be created, with what its class says; those of
  /// with_libraries. Nothing is left behind.
  static std::shared_ptr<const Executor> make(const ExecutorSource& source);

  /// The same of one object and one call. Errors: what its class throws, with `what`.
  static std::shared_ptr<const Executor> make(OneCallSource source);

  [[nodiscard]] ObjectMap objects() const;

  /// The first call that no CUDA graph may hold, for messages: "operator ns::op"; empty where all may be.
  [[nodiscard]] std::string_view kept_from_graphs() const noexcept;

 private:
  friend class ExecutorSession;

  void create_object(ObjectInfo described, const std::string& problem);
  void find_called();

  std::string what_;
  Device device_;
  std::shared_ptr<const Registry::Impl> registry_;
  std::vector<PreparedCall> calls_;
  std::vector<ObjectHandle> objects_;
  std::vector<std::size_t> called_;  ///< Objects that calls take, by number, each once.
};

/// What one session has of an executor: the state of each object that the run uses, and what classes keep
/// for the session. Thread: one caller at a time.
class ExecutorSession final : public AOTIProxyExecutorOpaque {
 public:
  explicit ExecutorSession(std::shared_ptr<const Executor> executor);

  /// Takes up what has changed in the objects that the model calls. To be called at the start of each run.
  /// Errors: what a class throws, with package, object and class.
  void begin_run();

  /// Tells what a run has taken up from what an earlier run of this session had: equal where no object that
  /// the model calls has changed in between, and only then. It grows. Errors: none.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

  /// Errors: Internal for counts that are not those of the package; what the operator throws, with its name.
  void call(const shim::ProxyCall& call) override;

  struct Slot {
    ObjectSnapshot taken;
    std::shared_ptr<void> data;
  };
  [[nodiscard]] Slot& slot(std::size_t object) noexcept { return slots_[object]; }
  /// All that the last run used of objects, to be held beyond it.
  [[nodiscard]] const std::vector<Slot>& slots() const noexcept { return slots_; }
  [[nodiscard]] const ObjectHandle& object(std::size_t number) const noexcept {
    return executor_->objects_[number];
  }
  [[nodiscard]] Device device() const noexcept { return executor_->device_; }

 private:
  std::shared_ptr<const Executor> executor_;
  std::vector<Slot> slots_;
  std::uint64_t version_ = 0;
};

/// A session of an executor, at the start of a run; null for null. Errors: as begin_run; OutOfMemory.
std::unique_ptr<ExecutorSession> make_session(const std::shared_ptr<const Executor>& executor);

}  // namespace penstock::objects
