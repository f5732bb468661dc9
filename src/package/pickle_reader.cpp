#include "package/pickle_reader.hpp"

#include "package/pickle_machine.hpp"

#include <utility>

namespace penstock::package {
namespace {

/// A byte of a pickle makes one, which takes some hundred bytes until it is a value.
constexpr std::size_t kMostContainers = std::size_t{1} << 20;
constexpr std::size_t kMostGap = 1024;

}  // namespace

PickleMachine::PickleMachine(std::span<const std::byte> bytes, std::string_view what,
                             const PickleRules& rules)
    : bytes_(bytes), what_(what), rules_(rules) {
  if (bytes.size() > rules.most_bytes)
    corrupt("has {} bytes, more than the {} that are taken", bytes.size(), rules.most_bytes);
}

Pickle PickleMachine::read() {
  while (step(take<std::uint8_t>())) {
    if (++steps_ > rules_.most_values) unsupported("has more than {} steps", rules_.most_values);
  }
  if (at_ != bytes_.size()) corrupt("has bytes behind its end");
  if (stack_.size() != 1) corrupt("leaves {} values instead of one", stack_.size());
  pickle_.root = pop();
  return std::move(pickle_);
}

void PickleMachine::push(PickledValue value) {
  if (stack_.size() >= rules_.most_values) unsupported("has more than {} values at once", rules_.most_values);
  stack_.push_back(value);
}

PickledValue PickleMachine::pop() {
  if (stack_.empty()) corrupt("takes a value where there is none");
  const PickledValue value = stack_.back();
  stack_.pop_back();
  if (std::holds_alternative<PickleMark>(value)) corrupt("takes a mark for a value");
  return value;
}

std::vector<PickledValue> PickleMachine::pop_marked(std::string_view container) {
  std::size_t count = 0;
  while (count < stack_.size() && !std::holds_alternative<PickleMark>(stack_[stack_.size() - 1 - count]))
    ++count;
  if (count == stack_.size()) corrupt("has a {} without a start", container);
  const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<PickledValue> items(begin, stack_.end());
  stack_.erase(begin - 1, stack_.end());
  return items;
}

void PickleMachine::push_container(ContainerKind kind, std::vector<PickledValue> items) {
  if (pickle_.containers.size() >= kMostContainers) {
    unsupported("has more than {} lists, tuples and dictionaries", kMostContainers);
  }
  push(PickledContainerRef{pickle_.containers.size()});
  pickle_.containers.push_back({kind, std::move(items)});
}

void PickleMachine::push_tuple(std::size_t count) {
  std::vector<PickledValue> items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push_container(ContainerKind::Tuple, std::move(items));
}

void PickleMachine::append(const std::vector<PickledValue>& items, ContainerKind kind) {
  const std::string_view name = kind == ContainerKind::List ? "list" : "dictionary";
  if (kind == ContainerKind::Dictionary && items.size() % 2 != 0) corrupt("has a key without a value");
  const PickledContainerRef* const top =
      stack_.empty() ? nullptr : std::get_if<PickledContainerRef>(&stack_.back());
  if (top == nullptr || pickle_.containers[top->index].kind != kind)
    corrupt("adds to a {} that is none", name);
  std::vector<PickledValue>& all = pickle_.containers[top->index].items;
  all.insert(all.end(), items.begin(), items.end());
}

void PickleMachine::remember(std::uint64_t slot) {
  if (stack_.empty()) corrupt("remembers a value where there is none");
  // Numbers go up one by one, but for some that are left out.
  if (slot > memo_.size() + kMostGap)
    corrupt("remembers a value as number {} after number {}", slot, memo_.size());
  if (slot >= memo_.size()) memo_.resize(slot + 1, PickleMark{});
  if (std::holds_alternative<PickleMark>(memo_[slot])) ++remembered_;
  memo_[slot] = stack_.back();
}

void PickleMachine::recall(std::uint64_t slot) {
  if (slot >= memo_.size() || std::holds_alternative<PickleMark>(memo_[slot]))
    corrupt("recalls what it has not remembered");
  push(memo_[slot]);
}

const std::vector<PickledValue>& PickleMachine::items_of(PickledValue value, ContainerKind kind,
                                                         std::string_view wanted) {
  const PickledContainerRef* const container = std::get_if<PickledContainerRef>(&value);
  if (container == nullptr || pickle_.containers[container->index].kind != kind)
    unsupported("has another value where {} belongs", wanted);
  return pickle_.containers[container->index].items;
}

Pickle read_pickle(std::span<const std::byte> bytes, std::string_view what, const PickleRules& rules) {
  return PickleMachine(bytes, what, rules).read();
}

PickledTensor read_pickled_tensor(std::span<const std::byte> bytes, std::string_view what) {
  Pickle pickle = read_pickle(bytes, what, {});
  const PickledTensorRef* const tensor = std::get_if<PickledTensorRef>(&pickle.root);
  if (tensor == nullptr) {
    base::fail(ErrorCode::Unsupported,
               "{}: the pickle describes no tensor; only what torch writes for a tensor is read", what);
  }
  return std::move(pickle.tensors[tensor->index]);
}

}  // namespace penstock::package
