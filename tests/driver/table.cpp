#include "machine.hpp"

#include <cstring>

using namespace penstock::recording;

namespace {

struct Entry {
  const char* name;
  void* address;
};

#define PENSTOCK_ENTRY(member, name, exported) Entry{#name, reinterpret_cast<void*>(&exported)},
const Entry kEntries[]{PENSTOCK_DRIVER_ENTRIES(PENSTOCK_ENTRY)};
#undef PENSTOCK_ENTRY

constexpr int kFound = 0;
constexpr int kNotThere = 1;

}  // namespace

PENSTOCK_DRIVER_API cuGetProcAddress_v2(const char* name, void** address, int version, unsigned long long,
                                        int* status) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  *address = nullptr;
  *status = kNotThere;
  for (const Entry& each : kEntries) {
    if (std::strcmp(each.name, name) != 0 || version > state.machine.driver_version) continue;
    *address = each.address;
    *status = kFound;
    return kSuccess;
  }
  return kNotFound;
}
