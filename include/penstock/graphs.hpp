#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// Whether runs on CUDA are captured into CUDA graphs and replayed.
enum class GraphMode {
  Auto,     ///< Where that is right; a run that cannot be captured is put on the stream call by call.
  Off,      ///< Never.
  Require,  ///< As Auto, but a run that cannot be captured is an error that says which call prevents it.
};

/// How a session uses CUDA graphs. docs/graphs.md says what is captured, and what is not.
struct GraphOptions {
  GraphMode mode = GraphMode::Auto;
  /// Captured runs that a session keeps for one execution resource (device or partition): one for each set of
  /// shapes. The one that was not used for longest goes.
  std::size_t most = 16;
  /// A replay on a stream of a partition is followed by a fill of 4 bytes: without it neither
  /// cudaDeviceSynchronize nor torch.cuda.synchronize waits for the replay.
  bool seen_by_device_sync = true;
};

/// The reason why a run is not replayed that every model has: each set of shapes is first run call by call.
inline constexpr std::string_view kFirstRun = "the first run of these shapes";

/// What a session did with CUDA graphs so far.
struct GraphStatistics {
  std::uint64_t captures = 0;
  std::uint64_t replays = 0;
  std::uint64_t recorded = 0;       ///< Runs that were recorded into graphs that the caller captured.
  std::uint64_t patched_nodes = 0;  ///< Nodes of graphs that were told of another address, over all replays.
  std::uint64_t fills = 0;          ///< Of GraphOptions::seen_by_device_sync.
  std::uint64_t dropped = 0;  ///< Captured runs that went, for others or with the weights that they used.
  std::size_t held = 0;       ///< Captured runs that are there now.
  /// Why the graph that was captured last takes inputs only where they lay; empty: it takes them anywhere.
  std::string fixed;
  std::uint64_t held_bytes = 0;  ///< Of device memory that they work in. Part of SessionMemory::held_bytes.

  /// Runs that were not replayed, by the reason for it.
  struct Eager {
    std::string reason;
    std::uint64_t runs = 0;
  };
  std::vector<Eager> eager;
};

/// How the last run was put on its stream.
struct LastRun {
  bool replayed = false;
  /// Why it was not: kFirstRun, "item needs the host", "recorded into the caller's graph". Empty where it
  /// was.
  std::string reason;
};

}  // namespace penstock
