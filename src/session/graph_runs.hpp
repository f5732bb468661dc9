#pragma once

#include "session/graph_cache.hpp"
#include "session/lanes.hpp"

#include <penstock/error.hpp>
#include <penstock/graphs.hpp>

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace penstock::session {

/// One run, as it is offered for capture and replay.
struct GraphRun {
  LaneRun& run;
  std::span<const TensorView> inputs;
  GraphKey::Versions versions;
  /// Puts the model's calls on the stream of a call, and leaves the results in `outputs`.
  const std::function<void(std::span<const TensorView>, const shim::CudaCall&)>& run_model;
  std::span<AtenTensorHandle> outputs;
  /// Why this one is not to be captured; empty: it may be.
  std::string_view obstacle;
  /// It makes ready for runs like it, which may be recorded into graphs of the caller.
  bool prepares = false;
  /// What is done with inputs depends on how much memory each has: sizes of 0 and 1, and such that follow.
  bool storage_counts = false;
};

/// Decides for each run of a session whether it is replayed, and counts. docs/design/0012-graphs.md says how.
/// Thread: one caller at a time.
class GraphRuns {
 public:
  explicit GraphRuns(const GraphOptions& options) : options_(options) {}

  /// Puts a run on its stream, by replaying it, capturing and replaying it, or call by call.
  /// Errors: what the run says; with GraphMode::Require, Unsupported where it cannot be captured.
  void run(const GraphRun& run);

  /// Notes a run that was recorded into a graph of the caller.
  void note_recorded();

  [[nodiscard]] const LastRun& last_run() const noexcept { return last_run_; }
  /// That was replayed by the last run; null: none was. Lifetime: until the next run, and that of the lanes.
  [[nodiscard]] const CapturedRun* replayed() const noexcept { return replayed_; }
  /// Without what the lanes count.
  [[nodiscard]] const GraphStatistics& statistics() const noexcept { return statistics_; }

 private:
  void run_eagerly(const GraphRun& run, std::string_view reason);
  void warm_up(const GraphRun& run, GraphEntry& entry, std::string_view reason);
  bool replay(const GraphRun& run, GraphEntry& entry);
  /// Keeps the reason why a run is made call by call; false where none can be made.
  bool may_go_on(const Error& error, GraphEntry& entry);
  CapturedRun* capture(const GraphRun& run, GraphEntry& entry);
  void refuse(std::string_view obstacle) const;
  void count_eager(std::string_view reason);

  GraphOptions options_;
  GraphKey key_;
  /// Why the run that is being made is not captured, where the next one like it may be.
  std::string passing_;
  LastRun last_run_;
  const CapturedRun* replayed_ = nullptr;
  GraphStatistics statistics_;
};

}  // namespace penstock::session
