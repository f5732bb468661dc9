#include "system/team.hpp"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace penstock::system {

#ifdef __SANITIZE_THREAD__

namespace {

struct OrderedRegion {
  void (*region)(void*);
  void* data;

  static void run(void* self) {
    __tsan_acquire(self);
    const auto& ordered = *static_cast<OrderedRegion*>(self);
    ordered.region(ordered.data);
    __tsan_release(self);
  }
};

}  // namespace

void run_team(ParallelFunction* parallel, void (*region)(void*), void* data, unsigned threads,
              unsigned flags) {
  OrderedRegion ordered{region, data};
  __tsan_release(&ordered);
  parallel(&OrderedRegion::run, &ordered, threads, flags);
  __tsan_acquire(&ordered);
}

#else

void run_team(ParallelFunction* parallel, void (*region)(void*), void* data, unsigned threads,
              unsigned flags) {
  parallel(region, data, threads, flags);
}

#endif

}  // namespace penstock::system
