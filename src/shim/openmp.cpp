#include "shim/context.hpp"
#include "shim/table.hpp"
#include "system/dynamic_library.hpp"

#include <algorithm>
#include <array>

namespace penstock::shim {
namespace {

// GNU OpenMP's ABI (source: GCC's libgomp.h and libgomp.map): how compiled parallel regions start.
using ParallelFunction = void(void (*)(void*), void*, unsigned, unsigned);

/// Threads that a region of the current call may have. Without a call there is no known bound: one.
int team_limit() noexcept {
  const CallContext* context = current_context();
  return context != nullptr ? std::max(context->threads, 1) : 1;
}

/// Generated code indexes arrays by thread whose length is the thread count of the machine that
/// compiled it: a smaller team is right, a larger one writes past their end.
void parallel(void (*region)(void*), void* data, unsigned threads, unsigned flags) {
  static auto* const real = reinterpret_cast<ParallelFunction*>(system::libgomp().find("GOMP_parallel"));
  const auto limit = static_cast<unsigned>(team_limit());
  real(region, data, threads == 0 ? limit : std::min(threads, limit), flags);
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
