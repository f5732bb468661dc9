#include "session/graph_runs.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"

#include <algorithm>
#include <utility>

namespace penstock::session {
namespace {

/// Captures of one key for different addresses, where these cannot be changed: as many as buffers take turns.
constexpr std::size_t kMostAddresses = 4;
/// Replays in a row for which the driver does not take an address.
constexpr unsigned kMostRefused = 3;
/// Captures of one key that have ended before their end.
constexpr unsigned kMostEnded = 3;
/// Reasons that are counted one by one.
constexpr std::size_t kMostReasons = 32;

constexpr std::string_view kOff = "graphs are off";
constexpr std::string_view kRecorded = "recorded into the caller's graph";

}  // namespace

void GraphRuns::run(const GraphRun& run) {
  replayed_ = nullptr;
  const bool is_off = options_.mode == GraphMode::Off;
  if (is_off && !run.prepares) return run_eagerly(run, kOff);
  if (!run.obstacle.empty()) {
    refuse(run.obstacle);
    return run_eagerly(run, run.obstacle);
  }
  key_.set(run.inputs, run.versions, run.storage_counts);
  GraphEntry& entry = run.run.graphs().entry(key_, options_.most);
  if (!entry.warm || is_off) return warm_up(run, entry, is_off ? kOff : kFirstRun);
  if (entry.obstacle.empty() && replay(run, entry)) {
    ++statistics_.replays;
    last_run_.replayed = true;
    last_run_.reason.clear();
    return;
  }
  const std::string reason = entry.obstacle.empty() ? std::exchange(passing_, {}) : entry.obstacle;
  refuse(reason);
  run_eagerly(run, reason);
}

void GraphRuns::refuse(std::string_view obstacle) const {
  if (options_.mode != GraphMode::Require) return;
  base::fail(ErrorCode::Unsupported, "the run cannot be captured into a CUDA graph, which was required: {}",
             obstacle);
}

void GraphRuns::run_eagerly(const GraphRun& run, std::string_view reason) {
  last_run_.replayed = false;
  last_run_.reason = reason;
  count_eager(reason);
  run.run_model(run.inputs, run.run.call());
}

void GraphRuns::note_recorded() {
  replayed_ = nullptr;
  last_run_.replayed = false;
  last_run_.reason = kRecorded;
  ++statistics_.recorded;
}

void GraphRuns::warm_up(const GraphRun& run, GraphEntry& entry, std::string_view reason) {
  run_eagerly(run, reason);
  entry.warm = true;
  const char* const read = run.run.call().read_by_host;
  if (read == nullptr) return;
  entry.obstacle = std::string(read) + " needs the host";
  refuse(entry.obstacle);
}

bool GraphRuns::replay(const GraphRun& run, GraphEntry& entry) {
  const auto found =
      std::ranges::find_if(entry.captured, [&](const auto& each) { return each->can_take(run.inputs); });
  CapturedRun* const captured = found != entry.captured.end() ? found->get() : capture(run, entry);
  if (captured == nullptr) return false;
  try {
    statistics_.patched_nodes += captured->replay(run.inputs, run.run.call(), run.outputs);
  } catch (const Error& error) {
    if (captured->is_launched() || cuda::is_sticky(error.cuda_result())) throw;
    passing_ = error.what();
    // Once is an accident, after which the nodes that are left are told of their addresses at the next run.
    if (error.code() != ErrorCode::OutOfMemory && ++entry.refused == kMostRefused) {
      entry.obstacle = passing_;
      entry.captured.clear();
    }
    return false;
  }
  entry.refused = 0;
  replayed_ = captured;
  if (options_.seen_by_device_sync && run.run.lane().resource.green != nullptr) {
    run.run.be_seen_by_device_sync();
    ++statistics_.fills;
  }
  return true;
}

bool GraphRuns::may_go_on(const Error& error, GraphEntry& entry) {
  // Nothing can be run any more, in whatever way.
  if (cuda::is_sticky(error.cuda_result())) return false;
  // There may be memory at the next run. Others may have ended the capture, by a call that the model's own do
  // not make; where it ends so again and again, they do.
  const bool was_ended = error.cuda_result() == cuda::kStreamCaptureUnsupported ||
                         error.cuda_result() == cuda::kStreamCaptureInvalidated;
  const bool may_pass = error.code() == ErrorCode::OutOfMemory || (was_ended && ++entry.ended != kMostEnded);
  std::string& reason = may_pass ? passing_ : entry.obstacle;
  reason = error.what();
  return true;
}

CapturedRun* GraphRuns::capture(const GraphRun& run, GraphEntry& entry) {
  if (entry.captured.size() == kMostAddresses) {
    entry.obstacle = "inputs lie at ever other addresses, and " + entry.captured.back()->obstacle();
    return nullptr;
  }
  try {
    entry.captured.push_back(
        std::make_unique<CapturedRun>(CaptureRequest{.run_model = run.run_model,
                                                     .inputs = run.inputs,
                                                     .outputs = run.outputs,
                                                     .call = run.run.call(),
                                                     .stream = run.run.capture_stream(),
                                                     .node_context = run.run.lane().context,
                                                     .context = run.run.context(),
                                                     .memory = run.run.graphs().memory()}));
  } catch (const Error& error) {
    if (!may_go_on(error, entry)) throw;
    return nullptr;
  }
  ++statistics_.captures;
  statistics_.fixed = entry.captured.back()->obstacle();
  return entry.captured.back().get();
}

void GraphRuns::count_eager(std::string_view reason) {
  auto& reasons = statistics_.eager;
  const auto found = std::ranges::find(reasons, reason, &GraphStatistics::Eager::reason);
  if (found != reasons.end()) {
    ++found->runs;
  } else if (reasons.size() < kMostReasons) {
    reasons.push_back({.reason = std::string(reason), .runs = 1});
  }
}

}  // namespace penstock::session
