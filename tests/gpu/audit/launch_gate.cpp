#include "launch_gate.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::testing {
namespace {

// Of CUPTI's callback interface, which tests alone use.
constexpr int kDriverDomain = 1;
constexpr int kRuntimeDomain = 2;
constexpr int kEnter = 0;

/// The beginning of CUpti_CallbackData.
struct CallbackData {
  int site;
  const char* function;
};

using Callback = void (*)(void* user, int domain, unsigned number, const void* data);

struct Cupti {
  int (*subscribe)(void** subscriber, Callback callback, void* user) = nullptr;
  int (*unsubscribe)(void* subscriber) = nullptr;
  int (*enable_domain)(std::uint32_t enable, void* subscriber, int domain) = nullptr;
};

void require(int result, const char* call) {
  if (result != 0) throw std::runtime_error(std::string(call) + " failed with " + std::to_string(result));
}

template <class Function>
void find(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) throw std::runtime_error(std::string("CUPTI has no ") + name);
}

const Cupti& cupti() {
  static const Cupti opened = [] {
    void* library = nullptr;
    for (const char* name : {"libcupti.so.13", "libcupti.so.12"}) {
      if (library == nullptr) library = ::dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    }
    if (library == nullptr) throw std::runtime_error("CUPTI is not in this process");
    Cupti made;
    find(library, made.subscribe, "cuptiSubscribe");
    find(library, made.unsubscribe, "cuptiUnsubscribe");
    find(library, made.enable_domain, "cuptiEnableDomain");
    return made;
  }();
  return opened;
}

bool is_launch(std::string_view function) {
  return function.find("Launch") != std::string_view::npos &&
         function.find("HostFunc") == std::string_view::npos;
}

}  // namespace

LaunchGate::LaunchGate(Step before, Step after) : before_(std::move(before)), after_(std::move(after)) {
  require(cupti().subscribe(&subscriber_, &called, this), "cuptiSubscribe");
  for (const int domain : {kDriverDomain, kRuntimeDomain}) {
    require(cupti().enable_domain(1, subscriber_, domain), "cuptiEnableDomain");
  }
}

LaunchGate::~LaunchGate() {
  if (subscriber_ == nullptr) return;
  for (const int domain : {kDriverDomain, kRuntimeDomain}) cupti().enable_domain(0, subscriber_, domain);
  cupti().unsubscribe(subscriber_);
}

void LaunchGate::called(void* user, int, unsigned, const void* data) {
  auto& gate = *static_cast<LaunchGate*>(user);
  const auto& call = *static_cast<const CallbackData*>(data);
  if (std::this_thread::get_id() != gate.thread_ || gate.busy_ || !is_launch(call.function)) return;
  if (call.site == kEnter) {
    gate.enter();
  } else {
    gate.leave();
  }
}

void LaunchGate::enter() {
  if (depth_++ != 0) return;
  ++launches_;
  take(before_);
}

void LaunchGate::leave() {
  if (--depth_ == 0) take(after_);
}

/// CUPTI, which is C, has to be spared exceptions.
void LaunchGate::take(const Step& step) {
  busy_ = true;
  try {
    step();
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  busy_ = false;
}

}  // namespace penstock::testing
