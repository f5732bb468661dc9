#pragma once

namespace penstock::system {

/// GOMP_parallel of GNU OpenMP (source: GCC's libgomp.h and libgomp.map): runs region(data) on a team.
using ParallelFunction = void(void (*region)(void*), void* data, unsigned threads, unsigned flags);

/// Calls `parallel`. Under the thread sanitizer, which does not see into libgomp, tells it of the order that
/// a team keeps: what is written before a region is seen in it, and what is written in it is seen behind it.
void run_team(ParallelFunction* parallel, void (*region)(void*), void* data, unsigned threads,
              unsigned flags);

}  // namespace penstock::system
