#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace penstock::cpu {

/// Tasks [begin, end) of one worker.
struct TaskRange {
  std::int64_t begin;
  std::int64_t end;
  int worker;  ///< 0 to the number of workers - 1; two ranges at a time never have the same.
};

/// Shares out tasks 0 to `tasks` - 1 in about equal ranges, one for each of at most `workers` workers, and
/// returns when all are done. On threads of the OpenMP runtime that model libraries use; with one thread
/// where there is none. `work(data, range)` must not throw.
void for_each_range(std::int64_t tasks, int workers, void (*work)(void* data, const TaskRange& range),
                    void* data);

template <class Work>
void for_each_range(std::int64_t tasks, int workers, Work&& work) {
  using Plain = std::remove_reference_t<Work>;
  static_assert(noexcept(work(std::declval<const TaskRange&>())));
  for_each_range(
      tasks, workers, [](void* data, const TaskRange& range) { (*static_cast<Plain*>(data))(range); },
      const_cast<void*>(static_cast<const void*>(&work)));
}

}  // namespace penstock::cpu
