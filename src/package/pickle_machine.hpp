#pragma once

#include "base/fail.hpp"
#include "package/pickle_reader.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::package {

/// Python's machine of a stack and a memo, for the opcodes that torch writes.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::string_view what, const PickleRules& rules);

  Pickle read();

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: the pickle {}; export the package again", what_,
               fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Unsupported, "{}: the pickle {}; only what torch writes for {} is read", what_,
               fmt::format(format, std::forward<Args>(args)...),
               rules_.objects ? "the state of an object" : "a tensor");
  }

  // pickle_opcodes.cpp
  /// One opcode. False at the end.
  bool step(std::uint8_t code);
  bool step_text(std::uint8_t code);
  bool step_object(std::uint8_t code);
  bool take_protocol();
  template <class T>
  T take();
  std::string_view take_text(std::uint64_t length);
  std::span<const std::byte> take_bytes(std::uint64_t length);
  std::string_view take_line();
  std::int64_t take_long();
  double take_float();

  // pickle_reader.cpp
  void push(PickledValue value);
  PickledValue pop();
  template <class T>
  T pop_as(std::string_view wanted);
  /// Values since the last mark, which goes with them.
  std::vector<PickledValue> pop_marked(std::string_view container);
  void push_container(ContainerKind kind, std::vector<PickledValue> items);
  void push_tuple(std::size_t count);
  /// Adds to the container on the top of the stack.
  void append(const std::vector<PickledValue>& items, ContainerKind kind);
  void remember(std::uint64_t slot);
  void recall(std::uint64_t slot);
  const std::vector<PickledValue>& items_of(PickledValue value, ContainerKind kind, std::string_view wanted);
  template <class T>
  const T& item(const std::vector<PickledValue>& items, std::size_t index, std::string_view wanted) const;

  // pickle_globals.cpp
  void push_name(std::string_view module, std::string_view name);
  void make_object();
  void set_state();
  void reduce();
  PickledStorage find_storage(const std::vector<PickledValue>& tuple);
  PickledTensor rebuild_tensor(const std::vector<PickledValue>& arguments);
  std::vector<std::int64_t> numbers(const std::vector<PickledValue>& tuple, std::size_t index);
  Device make_device(const std::vector<PickledValue>& arguments);
  std::span<const std::byte> encode(const std::vector<PickledValue>& arguments);

  std::span<const std::byte> bytes_;
  std::string_view what_;
  PickleRules rules_;
  std::uint64_t at_ = 0;
  std::size_t steps_ = 0;
  std::size_t made_bytes_ = 0;
  std::vector<PickledValue> stack_;
  /// By number; a mark where there is none.
  std::vector<PickledValue> memo_;
  std::size_t remembered_ = 0;
  Pickle pickle_;
};

template <class T>
T PickleMachine::pop_as(std::string_view wanted) {
  PickledValue value = pop();
  T* const item = std::get_if<T>(&value);
  if (item == nullptr) unsupported("has another value where {} belongs", wanted);
  return *item;
}

template <class T>
const T& PickleMachine::item(const std::vector<PickledValue>& items, std::size_t index,
                             std::string_view wanted) const {
  const T* const found = index < items.size() ? std::get_if<T>(&items[index]) : nullptr;
  if (found == nullptr) unsupported("has another value where {} belongs", wanted);
  return *found;
}

}  // namespace penstock::package
