#pragma once

#include <penstock/audit.hpp>
#include <penstock/export.hpp>
#include <penstock/graphs.hpp>
#include <penstock/model.hpp>
#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace penstock {

/// What is done with inputs of a CUDA model that lie in host memory which the device cannot read. Memory that
/// it can read (pinned, mapped, managed) is an input like any other.
enum class HostInputs {
  Refuse,  ///< They are an error: a copy that nobody asked for costs more than many a model.
  /// They are copied to the device, on the run's stream; the host waits for the copy. What the model changes
  /// of one in place it changes in the copy. An output that is the input, or a view of it, is the copy, safe
  /// to keep.
  Copy,
};

/// How CUDA libraries may round. The defaults are PyTorch's.
struct CudaNumerics {
  bool tf32_matmul = false;            ///< float32 matrix products may be computed in TF32.
  bool tf32_convolution = true;        ///< float32 convolutions may.
  bool reduced_precision_sums = true;  ///< 16-bit products may add up partial sums in 16 bits.
};

/// How a session runs.
struct SessionOptions {
  /// Upper bound on the threads of a run, the caller's own counted. 0: as many as the library was
  /// compiled for, but no more than this machine has. Never more than `Model::max_threads()`. A library
  /// that divides its work among a fixed number of threads (max-autotune's matrix products) always gets
  /// that number.
  int threads = 0;
  HostInputs host_inputs = HostInputs::Refuse;
  CudaNumerics numerics = {};
  GraphOptions graphs = {};
  /// CUDA: for how many execution resources (the device, partitions) it keeps memory and plans, at least 1. A
  /// further one takes the place of the one that was used longest ago, of those whose last run is done.
  int max_lanes = 16;
};

/// Memory of a session. Bytes of the device on CUDA, of the host on the CPU.
struct SessionMemory {
  std::uint64_t held_bytes = 0;  ///< For runs to come, those in use included.
  std::uint64_t peak_bytes = 0;  ///< The most that were in use at once.
};

/// What a session on CUDA has waited for, over all its runs: docs/streams.md says when.
struct StreamWaits {
  std::uint64_t stream_changes = 0;  ///< A lane went on on another stream than before: one wait each.
  std::uint64_t fences = 0;          ///< Events around runs for callers on a default stream: two a run.
};

/// What one run may be told.
struct RunOptions {
  /// Where results go: one view an output, of the right dtype and sizes, of any strides that each step
  /// past all that the smaller ones span. Empty: Penstock gives memory. A view may not overlap an input or
  /// another output view. One for an output that is None is left as it is: `TensorView()` will do.
  std::span<const TensorView> outputs = {};
};

/// What a session makes ready before its first run.
struct PrepareOptions {
  /// Sizes of each input, in call order. Empty: what the declared minimum sizes are.
  std::vector<std::vector<std::int64_t>> shapes = {};
  /// CUDA: a stream of the execution resource (device or partition) that is made ready. Nothing: the default
  /// stream.
  std::optional<StreamView> stream = {};
};

/// What one caller runs a model with: memory, prepared operators, thread count. Buffers that the model
/// changes in place are not among it: they are the model's. Thread: one caller at a time; sessions of one
/// model run in parallel. Lifetime: holds its model. Outputs may outlive it.
class PENSTOCK_API Session {
 public:
  /// Makes a session. Host-only. Errors: InvalidArgument for negative threads, for fewer than a
  /// library needs that divides its work among a fixed number, and for no lanes; OutOfMemory.
  explicit Session(Model model, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Puts one inference on a CUDA stream and returns. All of it goes to that stream; a default stream is kept
  /// to by two events. The outputs are in memory of the device, safe to keep, and ready once the stream has
  /// got there: what reads them goes on the same stream, or waits for it. They are given back to the
  /// session's memory with the last copy of the `Tensor`, in the order of the stream that made them: work on
  /// other streams that still reads one must be done by then. Runs on other streams get other memory. Once
  /// the session is gone the memory goes to the driver, which waits for what reads it, but not for a graph of
  /// yours that is alone on a stream of a partition: wait for that first. Inputs must stay as they are until
  /// the run is done. Stream-ordered; a model that needs a value on the host (sizes that depend on data,
  /// `item`) waits for the stream. Thread: one caller at a time. Errors: as `run`; InvalidArgument for a
  /// stream of another device, a model on the CPU; Cuda, also for a stream that was destroyed.
  ///
  /// On a stream that the caller captures, the run is recorded into that graph as one node, and nothing is
  /// executed, recorded in an event or waited for. Before that, and again after new weights or a change of an
  /// object, `prepare` with these shapes and such a stream, or a run like this one. The graph reads the
  /// inputs where they lie now, uses the weights and objects of now, whatever they are later, and leaves the
  /// results in the outputs returned here. All that it uses lives as long as the graph, what was made of it,
  /// and the outputs, also when session and model are gone; it is given back by the next call of any session
  /// that waits, or `release_memory`. What was made of one graph must not run twice at the same time, and on
  /// a stream of a partition the device's own synchronization does not wait for a graph: wait for the stream.
  /// Errors then also: InvalidArgument for a run that was not prepared, inputs that would have to be copied
  /// from the host, a capture that has failed; Unsupported for a run that cannot be captured. The capture
  /// goes on as it was then.
  std::vector<Tensor> enqueue(std::span<const TensorView> inputs, StreamView stream,
                              const RunOptions& options = {});

  /// As `enqueue`, without a heap allocation: the views are valid until the next call on this session.
  /// Stream-ordered. Errors: as `enqueue`.
  std::span<const TensorView> enqueue_borrowed(std::span<const TensorView> inputs, StreamView stream);

  /// Puts one inference on a stream, waits for it, and tells what it put on the device and where that went.
  /// The results are dropped. Runs that are not audited cost nothing for it. At AuditLevel::Process a fill of
  /// one byte of the session's own goes before the run, and one audit at a time is made in a process: others
  /// wait. Blocking. Errors: as `enqueue`; of AuditLevel::Process NotFound where there is no CUPTI (where it
  /// was looked for, how to get it), Incompatible where its version is not known, Unsupported where another
  /// tool uses it or it serves none here, Internal where it tells nothing of the run's stream; of
  /// AuditLevel::Graph Unsupported where the run is not replayed (with the reason, as `last_run`).
  [[nodiscard]] Audit audit(std::span<const TensorView> inputs, StreamView stream,
                            const AuditOptions& options = {});

  /// Runs once and gives the outputs, which are safe to keep. One that the exported model returned as None is
  /// a Tensor that is not defined, of the borrowed forms `TensorView()`. An output that is an input, or a
  /// view of one, shares the caller's memory; one that is a weight shares the model's, which must not be
  /// written to. Blocking (CPU: the calling thread and up to `threads() - 1` others;
  /// CUDA: `enqueue` on the legacy default stream, so in the current context's resource, and a wait).
  /// Errors: InvalidArgument names the input, what was given and what is accepted, before anything
  /// runs; OutOfMemory; Internal with the library's own words where the model itself stopped. The
  /// session stays usable after every error; an input that the model changes in place may have been.
  std::vector<Tensor> run(std::span<const TensorView> inputs, const RunOptions& options = {});

  /// As `run`, without a heap allocation: the views are valid until the next call on this session.
  /// Blocking. Errors: as `run`.
  std::span<const TensorView> run_borrowed(std::span<const TensorView> inputs);

  /// Runs on zeros of these sizes, so that a later run of the same sizes prepares nothing: on CUDA, in the
  /// execution resource of the stream, its graph included. Buffers that the model changes in place are
  /// changed by that, as by any run. Blocking. Errors: InvalidArgument for shapes that the model does not
  /// accept, and for a stream that is being captured; Unsupported as GraphMode::Require says.
  void prepare(const PrepareOptions& options = {});

  /// Threads that a run uses at most. Host-only. Errors: none.
  [[nodiscard]] int threads() const noexcept;

  /// The model. Host-only. Lifetime: the session. Errors: none.
  [[nodiscard]] const Model& model() const noexcept;

  /// Memory held for runs. Host-only. Errors: none.
  [[nodiscard]] SessionMemory memory() const noexcept;

  /// Gives back what no run and no output uses, captured runs too, and what graphs of callers and old weights
  /// used that are gone; the next run gets it anew. Blocking on CUDA: waits for the session's last runs, and
  /// the driver for other work of the device. Errors: none.
  void release_memory() noexcept;

  /// Waits so far; zeros on the CPU. Host-only. Errors: none.
  [[nodiscard]] StreamWaits stream_waits() const noexcept;

  /// Whether the last run on CUDA was replayed, and why not where it was not. Host-only. Errors: OutOfMemory.
  [[nodiscard]] LastRun last_run() const;

  /// Captures, replays and runs without, so far; zeros on the CPU. Host-only. Errors: OutOfMemory.
  [[nodiscard]] GraphStatistics graph_statistics() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
