#include "agree.hpp"

#include <cstdio>

// What Python calls through ctypes. A message is written where outputs are not as recorded.
extern "C" __attribute__((visibility("default"))) int penstock_isolation_run(const char* stem, char* message,
                                                                             unsigned long room) {
  const std::string problem = penstock::isolation::disagreement(stem);
  std::snprintf(message, room, "%s", problem.c_str());
  return problem.empty() ? 0 : 1;
}
