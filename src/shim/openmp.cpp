#include "shim/context.hpp"
#include "shim/table.hpp"
#include "system/dynamic_library.hpp"
#include "system/team.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

namespace penstock::shim {
namespace {

/// Threads that a region of the current call may have. Without a call there is no known bound: one.
int team_limit() noexcept {
  const CallContext* context = current_context();
  return context != nullptr ? std::max(context->threads, 1) : 1;
}

/// A region that fails the run where its team is not of the size that its code divides the work by.
struct ExactRegion {
  void (*region)(void*);
  void* data;
  int threads;
  std::atomic<bool> complete{true};

  static void run(void* self) {
    static auto* const team_size = reinterpret_cast<int (*)()>(system::libgomp().find("omp_get_num_threads"));
    auto& exact = *static_cast<ExactRegion*>(self);
    if (team_size() != exact.threads) exact.complete.store(false, std::memory_order_relaxed);
    exact.region(exact.data);
  }
};

/// Generated code indexes arrays by thread whose length is the thread count of the machine that
/// compiled it: a smaller team is right, a larger one writes past their end.
void parallel(void (*region)(void*), void* data, unsigned threads, unsigned flags) {
  static auto* const real =
      reinterpret_cast<system::ParallelFunction*>(system::libgomp().find("GOMP_parallel"));
  const auto limit = static_cast<unsigned>(team_limit());
  const unsigned team = threads == 0 ? limit : std::min(threads, limit);
  CallContext* context = current_context();
  if (context == nullptr || !context->exact_threads) {
    return system::run_team(real, region, data, team, flags);
  }
  ExactRegion exact{.region = region, .data = data, .threads = context->threads};
  system::run_team(real, &ExactRegion::run, &exact, team, flags);
  if (!exact.complete && !context->failure) {
    context->failure =
        Failure{.code = ErrorCode::Unsupported,
                .message = "the library divides its work among exactly " + std::to_string(context->threads) +
                           " threads and got fewer; run it outside of other parallel regions"};
  }
}

int max_threads() { return team_limit(); }

void set_num_threads(int) {
  // A model does not change the bound that its session has.
}

}  // namespace

std::span<const TableEntry> openmp_functions() {
  static const std::array kTable{
      entry("GOMP_parallel", &parallel),
      entry("omp_get_max_threads", &max_threads),
      entry("omp_get_num_procs", &max_threads),
      entry("omp_set_num_threads", &set_num_threads),
  };
  return kTable;
}

}  // namespace penstock::shim
