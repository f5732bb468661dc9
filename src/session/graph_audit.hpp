#pragma once

#include "session/captured_run.hpp"
#include "session/lanes.hpp"

#include <penstock/audit.hpp>

namespace penstock::session {

/// Adds every node of the graph that a run was just replayed from to its audit, with the resource that it
/// runs in, and says what this cannot see. What the run reads and writes still has to be there. Host-only,
/// but for a graph that is instantiated. Errors: Cuda, OutOfMemory.
void add_graph(Audit& audit, const CapturedRun& captured, const LaneRun& run);

}  // namespace penstock::session
