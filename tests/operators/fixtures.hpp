#pragma once

#include <penstock/custom_objects.hpp>
#include <penstock/operators.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

// The classes and operators that the packages of tests/packages/make_objects.py call, for Penstock: the same
// as in objects.cpp there.
namespace penstock::fixtures {

struct FooState {
  std::int64_t x = 0;
  std::int64_t y = 0;
};

/// Two numbers, which are changed together.
class Foo : public VersionedObject<FooState> {
 public:
  using VersionedObject::VersionedObject;
};

/// A tensor.
class Holder : public VersionedObject<Tensor> {
 public:
  using VersionedObject::VersionedObject;
};

/// First in, first out; what runs do to it stays.
class Queue : public CustomObject {
 public:
  explicit Queue(std::vector<Tensor> items) : items_(items.begin(), items.end()) {}

  void push(const TensorView& item);
  /// Errors: std::runtime_error where it is empty.
  Tensor pop();
  [[nodiscard]] std::vector<Tensor> items() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Tensor> items_;
};

/// The state as it is in the package.
class Mixed : public VersionedObject<Value> {
 public:
  using VersionedObject::VersionedObject;
};

/// A stand-in for an engine.
class Engine : public VersionedObject<std::vector<std::string>> {
 public:
  using VersionedObject::VersionedObject;
};

/// Registers all of it.
void add_all(Registry& registry);

/// The parts of it, for tests that leave some out.
std::vector<OperatorDefinition> operators();
std::vector<ClassDefinition> classes();

/// Registers `operators` and `classes` but those of these names, "ns::op" or "ns.Name".
Registry all_but(const std::vector<std::string_view>& names);

}  // namespace penstock::fixtures
