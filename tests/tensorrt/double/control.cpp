#include "control.hpp"

#include "double.hpp"
#include "slots.hpp"
#include "vtable.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#define PENSTOCK_DOUBLE_API extern "C" __attribute__((visibility("default")))

namespace penstock::trt_double {
namespace {

constexpr std::array<const char*, 3> kKinds{"runtime", "engine", "context"};

struct Failure {
  std::string call;
  int left = 0;
};

struct State {
  std::mutex mutex;
  std::string calls;
  std::vector<Failure> failures;
  std::array<unsigned, 3> alive{};
  std::array<unsigned, 3> numbers{};
  std::size_t bytes = 0;
};

/// Objects of hosts may outlive static ones.
State& state() {
  static State& made = *new State;
  return made;
}

}  // namespace

Counted::Counted(Kind kind) : kind_(kind) {
  State& known = state();
  const std::lock_guard lock(known.mutex);
  const auto index = static_cast<std::size_t>(kind);
  ++known.alive[index];
  name_ = std::string(kKinds[index]) + "#" + std::to_string(++known.numbers[index]);
}

Counted::~Counted() {
  note("destroy " + name_);
  State& known = state();
  const std::lock_guard lock(known.mutex);
  --known.alive[static_cast<std::size_t>(kind_)];
}

void note(const std::string& line) {
  State& known = state();
  const std::lock_guard lock(known.mutex);
  known.calls += line + "\n";
}

void count_bytes(std::ptrdiff_t change) {
  State& known = state();
  const std::lock_guard lock(known.mutex);
  known.bytes += static_cast<std::size_t>(change);
}

bool shall_fail(const char* call) {
  State& known = state();
  const std::lock_guard lock(known.mutex);
  bool found = false;
  for (Failure& each : known.failures) {
    if (each.call == call && each.left > 0 && --each.left == 0) found = true;
  }
  return found;
}

void log(HostObject* logger, Severity severity, const std::string& message) {
  using Log = void(HostObject*, std::int32_t, const char*);
  slot_of<Log>(*logger, kLog)(logger, static_cast<std::int32_t>(severity), message.c_str());
}

void log_error(HostObject* logger, const char* function, int code, const std::string& what) {
  const std::string message = std::string(function) + ": Error Code " + std::to_string(code) + ": " + what;
  note("failed: " + message);
  log(logger, Severity::Error, message);
}

bool is_interface(HostObject* object, const char* kind) {
  using GetApiLanguage = std::int32_t(HostObject*);
  if (slot_of<GetApiLanguage>(*object, kGetApiLanguage)(object) != 0) return false;
  const InterfaceInfo info = interface_info(*object);
  return info.kind != nullptr && std::strcmp(info.kind, kind) == 0 && info.major == 1 && info.minor == 0;
}

std::string text_of(const void* address) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(address)));
  return text.data();
}

void abort_missing(const char* class_name, int slot) {
  std::fprintf(stderr, "slot %d of %s called, which the double does not have\n", slot, class_name);
  std::abort();
}

}  // namespace penstock::trt_double

using penstock::trt_double::state;

PENSTOCK_DOUBLE_API const char* penstock_double_calls() {
  thread_local std::string kept;
  const std::lock_guard lock(state().mutex);
  kept = state().calls;
  return kept.c_str();
}

PENSTOCK_DOUBLE_API void penstock_double_clear() {
  const std::lock_guard lock(state().mutex);
  state().calls.clear();
  state().failures.clear();
  for (std::size_t i = 0; i < state().alive.size(); ++i) {
    if (state().alive[i] == 0) state().numbers[i] = 0;
  }
}

PENSTOCK_DOUBLE_API void penstock_double_fail(const char* call, int nth) {
  const std::lock_guard lock(state().mutex);
  state().failures.push_back({call, nth});
}

PENSTOCK_DOUBLE_API PenstockDoubleAlive penstock_double_alive() {
  const std::lock_guard lock(state().mutex);
  const auto& alive = state().alive;
  return {.runtimes = alive[0], .engines = alive[1], .contexts = alive[2], .bytes = state().bytes};
}
