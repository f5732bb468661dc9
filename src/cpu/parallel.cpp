#include "cpu/parallel.hpp"

#include "system/dynamic_library.hpp"
#include "system/team.hpp"

#include <algorithm>
#include <atomic>

namespace penstock::cpu {
namespace {

struct Team {
  std::int64_t tasks;
  int workers;
  void (*work)(void* data, const TaskRange& range);
  void* data;
  /// A team may have fewer threads than asked for, so ranges are taken, not given.
  std::atomic<int> next{0};

  static void run(void* self) {
    auto& team = *static_cast<Team*>(self);
    for (int worker = team.next++; worker < team.workers; worker = team.next++) {
      const std::int64_t each = team.tasks / team.workers;
      const std::int64_t longer = team.tasks % team.workers;  // The first ranges have one task more.
      const std::int64_t begin = worker * each + std::min<std::int64_t>(worker, longer);
      team.work(team.data, {begin, begin + each + (worker < longer ? 1 : 0), worker});
    }
  }
};

}  // namespace

void for_each_range(std::int64_t tasks, int workers, void (*work)(void* data, const TaskRange& range),
                    void* data) {
  if (tasks <= 0) return;
  static auto* const parallel =
      reinterpret_cast<system::ParallelFunction*>(system::libgomp().find("GOMP_parallel"));
  const int count = parallel == nullptr ? 1 : static_cast<int>(std::clamp<std::int64_t>(workers, 1, tasks));
  Team team{tasks, count, work, data};
  if (count == 1) return Team::run(&team);
  system::run_team(parallel, &Team::run, &team, static_cast<unsigned>(count), 0);
}

}  // namespace penstock::cpu
