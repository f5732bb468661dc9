#pragma once

#include <penstock/export.hpp>
#include <penstock/value.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <typeinfo>
#include <utility>

namespace penstock {

/// What runs use of an object: its state as a whole at one version. `type` says what `state` points to;
/// null where the object has no such state. Lifetime of the state: a handle of its object, or its model: what
/// destroys it may be code of the library that the class is from.
struct ObjectSnapshot {
  std::uint64_t version = 0;             ///< As of CustomObject::version.
  std::shared_ptr<const void> state;     ///< Null: none.
  const std::type_info* type = nullptr;  ///< Null: none.
};

/// A live object that a package carries: the base of every class that is registered (penstock/operators.hpp).
/// What PyTorch calls a TorchBind or script object.
/// Thread: sessions run in parallel, so a class sees to it that its methods may be called by many threads at
/// once; VersionedObject does so for state that is changed as a whole.
/// Lifetime: of those who hold it: a model, its sessions, and each handle that a program took.
class PENSTOCK_API CustomObject {
 public:
  /// Called when the last who holds it lets go, on whatever thread.
  virtual ~CustomObject();
  CustomObject(const CustomObject&) = delete;
  CustomObject& operator=(const CustomObject&) = delete;

  /// Counts changes. A session looks at it when a run begins. Host-only. Thread: thread-safe. Errors: none.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }

  /// Version and state that belong together; a class without versioned state has none. Host-only.
  /// Thread: thread-safe. Errors: none.
  [[nodiscard]] virtual ObjectSnapshot snapshot() const;

 protected:
  CustomObject() = default;

  /// To be called after each change that a run may notice. Host-only. Thread: thread-safe. Errors: none.
  void changed() noexcept { version_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> version_{1};
};

/// An object whose state is replaced as a whole. A run uses one state from its start to its end, and every
/// session takes up a new one at its next run; neither waits for the other.
/// Thread: thread-safe. Lifetime: a session keeps the state of its last run until its next one begins. On
/// CUDA that may be before the device is done with the last run: a state must not give up device memory
/// without waiting (as memory of `copy_to_device`, which is waited for), nor host memory that a copy reads.
template <class State>
class VersionedObject : public CustomObject {
 public:
  /// Host-only. Errors: OutOfMemory, and what copying the state throws.
  explicit VersionedObject(State state) : state_(std::make_shared<const State>(std::move(state))) {}

  /// The state as it is now. Host-only. Lifetime: as of ObjectSnapshot. Errors: none.
  [[nodiscard]] std::shared_ptr<const State> state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

  /// Replaces the state by a copy that `work(State&)` has changed. Changes take turns: `work` must not ask
  /// for one of the same object. Host-only. Errors: what `work` throws, and then the state is as it was.
  template <class Work>
  void change(Work&& work) {
    // Goes last, when nothing is locked: what the destructor of a state does is its own affair.
    std::shared_ptr<const State> replaced;
    const std::lock_guard turn(change_mutex_);
    auto next = std::make_shared<State>(*state());
    std::forward<Work>(work)(*next);
    const std::lock_guard lock(mutex_);
    replaced = std::exchange(state_, std::move(next));
    changed();
  }

  [[nodiscard]] ObjectSnapshot snapshot() const override {
    const std::lock_guard lock(mutex_);
    return {version(), state_, &typeid(State)};
  }

 private:
  mutable std::mutex mutex_;
  std::mutex change_mutex_;
  std::shared_ptr<const State> state_;
};

/// One object of a loaded model. A copy shares the object. Thread: thread-safe.
/// Lifetime: keeps the object, and the library that its class is from, also when the model is gone.
class PENSTOCK_API ObjectHandle {
 public:
  /// No object: null `get`, empty names.
  ObjectHandle() = default;

  /// "_torchbind_obj0": how the package calls it. PyTorch keeps no other name. Host-only. Lifetime: the
  /// handle. Errors: none.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// "ns.Name", as it is registered. Host-only. Lifetime: the handle. Errors: none.
  [[nodiscard]] const std::string& class_name() const noexcept { return class_name_; }

  /// The object; see `object_cast` for its own class. Host-only. Errors: none.
  [[nodiscard]] const std::shared_ptr<CustomObject>& get() const noexcept { return object_; }

  /// The state as it is now, as its class gives it. Host-only. Lifetime: its own, also without the object.
  /// Errors: Unsupported where the class gives none; Internal with what the class throws.
  [[nodiscard]] Value state() const;

  /// Implementation detail, for the library's own use.
  struct Class;
  ObjectHandle(std::string name, std::string class_name, std::shared_ptr<const Class> from,
               std::shared_ptr<CustomObject> object) noexcept;

 private:
  std::string name_;
  std::string class_name_;
  std::shared_ptr<const Class> class_;
  std::shared_ptr<CustomObject> object_;
};

/// The object of a handle as what it is: null where it is no T. Host-only. Thread: thread-safe.
/// Lifetime: keeps the object as the handle does. Errors: none.
template <class T>
[[nodiscard]] std::shared_ptr<T> object_cast(const ObjectHandle& handle) noexcept {
  return std::dynamic_pointer_cast<T>(handle.get());
}

/// The objects of a model by their names in the package.
using ObjectMap = std::map<std::string, ObjectHandle>;

/// What a package has of one object, as far as can be known without its class.
struct ObjectInfo {
  std::string name;        ///< "_torchbind_obj0"
  std::string class_name;  ///< "ns.Name"
  Value state;             ///< What the class wrote of it.
};

}  // namespace penstock
