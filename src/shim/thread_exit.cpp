#include "shim/thread_exit.hpp"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <mutex>
#include <vector>

namespace penstock::shim {
namespace {

struct ThreadExit {
  void (*destructor)(void*);
  void* object;
  void* library;
};

struct ThreadList;

/// All threads' lists. Recursive, as a destructor may register another. Never destroyed: threads end
/// after main does.
struct Registry {
  std::recursive_mutex mutex;
  std::vector<ThreadList*> lists;
};

Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

/// What one thread has to run when it ends.
struct ThreadList {
  std::vector<ThreadExit> exits;

  ThreadList() {
    const std::lock_guard lock(registry().mutex);
    registry().lists.push_back(this);
  }

  ~ThreadList() {
    const std::lock_guard lock(registry().mutex);
    while (!exits.empty()) {
      const ThreadExit last = exits.back();
      exits.pop_back();
      last.destructor(last.object);
    }
    std::erase(registry().lists, this);
  }

  ThreadList(const ThreadList&) = delete;
  ThreadList& operator=(const ThreadList&) = delete;
};

/// True once the list of the running thread is gone. Apart from it and without a destructor, as it is
/// looked at by what is destroyed later.
constinit thread_local bool t_list_is_gone = false;

/// The list of the running thread. The main thread's is left as it is when the thread ends: the objects
/// of static storage that are destroyed after that may hold models, whose libraries go on using their
/// thread-local objects until they are unloaded.
struct ListOwner {
  ThreadList* list = new ThreadList;

  ListOwner() = default;
  ~ListOwner() {
    if (::gettid() == ::getpid()) return;
    // What the list runs may register more, which it runs too.
    delete list;
    t_list_is_gone = true;
  }
  ListOwner(const ListOwner&) = delete;
  ListOwner& operator=(const ListOwner&) = delete;
};

bool lies_in(const void* address, const void* begin, const void* end) {
  return !std::less<>{}(address, begin) && std::less<>{}(address, end);
}

}  // namespace

int register_thread_exit(void (*destructor)(void*), void* object, void* library) noexcept {
  try {
    // A thread-local object that is destroyed after the list runs a library once more: what that leaves
    // behind has no later moment to be destroyed at, and is left.
    if (t_list_is_gone) return 0;
    thread_local const ListOwner owner;
    const std::lock_guard lock(registry().mutex);
    owner.list->exits.push_back({destructor, object, library});
    return 0;
  } catch (...) {
    return -1;
  }
}

void run_thread_exits(const void* begin, const void* end) noexcept {
  const std::lock_guard lock(registry().mutex);
  const auto is_of_library = [&](const ThreadExit& exit) { return lies_in(exit.library, begin, end); };
  // A destructor may register another exit, or a list: so all are looked at again until none is left.
  for (bool found = true; found;) {
    found = false;
    for (std::size_t i = 0; i < registry().lists.size(); ++i) {
      std::vector<ThreadExit>& exits = registry().lists[i]->exits;
      for (auto last = std::find_if(exits.rbegin(), exits.rend(), is_of_library); last != exits.rend();
           last = std::find_if(exits.rbegin(), exits.rend(), is_of_library)) {
        const ThreadExit exit = *last;
        exits.erase(std::next(last).base());
        exit.destructor(exit.object);
        found = true;
      }
      // A thread that lives on should not hold room for libraries that are gone.
      if (exits.empty()) std::vector<ThreadExit>().swap(exits);
    }
  }
}

}  // namespace penstock::shim
