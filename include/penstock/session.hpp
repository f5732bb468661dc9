#pragma once

#include <penstock/export.hpp>
#include <penstock/model.hpp>
#include <penstock/tensor.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace penstock {

/// How a session runs.
struct SessionOptions {
  /// Upper bound on the threads of a run, the caller's own counted. 0: as many as the library was
  /// compiled for, but no more than this machine has. Never more than `Model::max_threads()`. A library
  /// that divides its work among a fixed number of threads (max-autotune's matrix products) always gets
  /// that number.
  int threads = 0;
};

/// What one run may be told.
struct RunOptions {
  /// Where results go: one view an output, of the right dtype and sizes, of any strides that each step
  /// past all that the smaller ones span. Empty: Penstock gives memory. A view may not overlap an input or
  /// another output view.
  std::span<const TensorView> outputs = {};
};

/// What a session makes ready before its first run.
struct PrepareOptions {
  /// Sizes of each input, in call order. Empty: what the declared minimum sizes are.
  std::vector<std::vector<std::int64_t>> shapes = {};
};

/// The mutable state of running one model: memory, prepared operators, thread count.
/// Thread: one caller at a time; sessions of one model run in parallel.
/// Lifetime: holds its model. Outputs may outlive it.
class PENSTOCK_API Session {
 public:
  /// Makes a session. Host-only. Errors: InvalidArgument for negative threads, and for fewer than a
  /// library needs that divides its work among a fixed number; OutOfMemory.
  explicit Session(Model model, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Runs once and gives the outputs, which are safe to keep. An output that is an input, or a view
  /// of one, shares the caller's memory; one that is a weight shares the model's, which must not be
  /// written to. Blocking (CPU: the calling thread and up to `threads() - 1` others).
  /// Errors: InvalidArgument names the input, what was given and what is accepted, before anything
  /// runs; OutOfMemory; Internal with the library's own words where the model itself stopped. The
  /// session stays usable after every error; an input that the model changes in place may have been.
  std::vector<Tensor> run(std::span<const TensorView> inputs, const RunOptions& options = {});

  /// As `run`, without a heap allocation: the views are valid until the next call on this session.
  /// Blocking. Errors: as `run`.
  std::span<const TensorView> run_borrowed(std::span<const TensorView> inputs);

  /// Runs once on zeros of these sizes, so that a later run of the same sizes prepares nothing.
  /// Blocking. Errors: InvalidArgument for shapes that the model does not accept.
  void prepare(const PrepareOptions& options = {});

  /// Threads that a run uses at most. Host-only. Errors: none.
  [[nodiscard]] int threads() const noexcept;

  /// The model. Host-only. Lifetime: the session. Errors: none.
  [[nodiscard]] const Model& model() const noexcept;

  /// Bytes that the session holds for runs to come, ones in use included. Host-only. Errors: none.
  [[nodiscard]] std::uint64_t arena_bytes() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
