// A model in a static variable is destroyed after the main thread's thread-local objects. Its library
// uses its own thread-local objects in that, so they have to be there still.
#include "shim/thread_exit.hpp"

#include <unistd.h>

#include <cstdio>

namespace {

bool destroyed = false;
char library[16];

struct Model {
  ~Model() {
    const bool too_early = destroyed;
    penstock::shim::run_thread_exits(library, library + sizeof library);
    if (too_early || !destroyed) {
      std::puts(too_early ? "destroyed before the library was unloaded" : "never destroyed");
      std::fflush(stdout);
      ::_exit(1);
    }
  }
};

}  // namespace

int main() {
  static const Model model;
  penstock::shim::register_thread_exit([](void*) { destroyed = true; }, nullptr, library);
  return 0;
}
