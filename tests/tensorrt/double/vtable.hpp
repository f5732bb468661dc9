#pragma once

#include "abi.hpp"

#include <array>
#include <cstddef>
#include <utility>

namespace penstock::trt_double {

/// Says that the double has no such function, and aborts.
[[noreturn]] void abort_missing(const char* class_name, int slot);

/// The table of a class. `Name` tells it: `static constexpr const char* kText`.
template <class Name>
class Vtable {
 public:
  static constexpr std::size_t kSlots = 64;

  Vtable() : Vtable(std::make_index_sequence<kSlots>()) {}

  template <class Function>
  Vtable& set(int slot, Function* function) {
    entries_[static_cast<std::size_t>(slot)] = reinterpret_cast<VtableEntry>(function);
    return *this;
  }
  [[nodiscard]] const VtableEntry* entries() const { return entries_.data(); }

 private:
  template <std::size_t Slot>
  static void missing() {
    abort_missing(Name::kText, static_cast<int>(Slot));
  }
  template <std::size_t... Slots>
  explicit Vtable(std::index_sequence<Slots...>)
      : entries_{reinterpret_cast<VtableEntry>(&Vtable::missing<Slots>)...} {}

  std::array<VtableEntry, kSlots> entries_;
};

/// What hosts hold of an Object: slot 1 deletes it.
template <class Object, class Name>
Face face_of(Object& object) {
  static const Vtable<Name> table = [] {
    Vtable<Name> made;
    made.set(
        1, +[](Face* face) { delete static_cast<Object*>(face->impl); });
    return made;
  }();
  return {table.entries(), &object};
}

/// Slot 2 of an implementation: what hosts hold of it.
template <class Object>
Face* get_pimpl(Object* object) {
  return &object->face;
}

}  // namespace penstock::trt_double
