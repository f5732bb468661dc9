#pragma once

#include "objects/prepared_call.hpp"
#include "package/archive.hpp"
#include "package/manifest.hpp"
#include "shim/proxy.hpp"

#include <penstock/custom_objects.hpp>
#include <penstock/operators.hpp>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::objects {

/// What an executor is made of.
struct ExecutorSource {
  const package::Archive& archive;
  const package::ModelFiles& files;
  const Registry& registry;
  std::span<const std::filesystem::path> libraries;
  Device device;
  const std::string& what;  ///< Package and model, for messages.
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

  [[nodiscard]] ObjectMap objects() const;

 private:
  friend class ExecutorSession;

  void create_object(ObjectInfo described);

  std::string what_;
  Device device_;
  std::shared_ptr<const Registry::Impl> registry_;
  std::vector<PreparedCall> calls_;
  std::vector<ObjectHandle> objects_;
};

/// What one session has of an executor: the state of each object that the run uses, and what classes keep
/// for the session. Thread: one caller at a time.
class ExecutorSession final : public AOTIProxyExecutorOpaque {
 public:
  explicit ExecutorSession(std::shared_ptr<const Executor> executor);

  /// Takes up what has changed. To be called at the start of each run. Errors: what a class throws.
  void begin_run();

  /// Errors: Internal for counts that are not those of the package; what the operator throws, with its name.
  void call(const shim::ProxyCall& call) override;

  struct Slot {
    ObjectSnapshot taken;
    std::shared_ptr<void> data;
  };
  [[nodiscard]] Slot& slot(std::size_t object) noexcept { return slots_[object]; }
  [[nodiscard]] const ObjectHandle& object(std::size_t number) const noexcept {
    return executor_->objects_[number];
  }
  [[nodiscard]] Device device() const noexcept { return executor_->device_; }

 private:
  std::shared_ptr<const Executor> executor_;
  std::vector<Slot> slots_;
};

/// A session of an executor, at the start of a run; null for null. Errors: as begin_run; OutOfMemory.
std::unique_ptr<ExecutorSession> make_session(const std::shared_ptr<const Executor>& executor);

}  // namespace penstock::objects
