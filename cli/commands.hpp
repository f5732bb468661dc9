#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace penstock::cli {

/// What a command does once its options are read; gives the exit code.
using Action = std::function<int()>;

/// Each adds the options of its command to `app`, which outlives the action.
Action add_inspect(CLI::App& app);
Action add_run(CLI::App& app);
Action add_bench(CLI::App& app);
Action add_partition(CLI::App& app);
Action add_doctor(CLI::App& app);

}  // namespace penstock::cli
