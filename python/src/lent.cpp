#include "lent.hpp"

#include <iterator>
#include <map>
#include <utility>

namespace penstock::python {

namespace nb = nanobind;

namespace {

/// Memory that is kept now, by where it begins. Only with the GIL.
struct LentMemory {
  const std::byte* end;
  std::weak_ptr<const Lent> lent;
};
std::map<const std::byte*, LentMemory>& lent_memory() {
  // Never destroyed: what is kept may go when Python has ended.
  static auto& made = *new std::map<const std::byte*, LentMemory>;
  return made;
}

}  // namespace

std::shared_ptr<const Lent> keeper_of_memory(const std::byte* begin, const std::byte* end) {
  auto& known = lent_memory();
  const auto after = known.upper_bound(begin);
  if (begin == nullptr || after == known.begin()) return nullptr;
  const LentMemory& before = std::prev(after)->second;
  return end <= before.end ? before.lent.lock() : nullptr;
}

std::shared_ptr<const Lent> shared_lent(std::unique_ptr<Lent> lent, const std::byte* end) {
  const std::shared_ptr<const Lent> made(lent.release(), [](const Lent* held) {
    if (Py_IsInitialized() == 0) return;
    const nb::gil_scoped_acquire acquired;
    const auto found = lent_memory().find(held->begin);
    if (found != lent_memory().end() && found->second.lent.expired()) lent_memory().erase(found);
    delete held;
  });
  if (made->begin != nullptr) lent_memory().insert_or_assign(made->begin, LentMemory{end, made});
  return made;
}

}  // namespace penstock::python
