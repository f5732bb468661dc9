#pragma once

#include <penstock/custom_objects.hpp>
#include <penstock/dtype.hpp>
#include <penstock/export.hpp>
#include <penstock/stream.hpp>
#include <penstock/system.hpp>
#include <penstock/value.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace penstock {

/// An input or output of a TensorRT engine.
struct TensorRTTensor {
  std::string name;  ///< In the plan.
  DType dtype = DType::Float32;
  std::vector<std::int64_t> sizes;  ///< -1: dynamic; of an output also where the data decide it.
  bool on_host = false;             ///< TensorRT reads it in host memory: the values of a shape.
  std::string alias_of;             ///< Of an output: the input that it changes in place; empty: none.
};

/// Sizes that a profile takes of an input; of a tensor `on_host` the values.
struct TensorRTRange {
  std::vector<std::int64_t> least;
  std::vector<std::int64_t> best;  ///< What the profile is tuned for.
  std::vector<std::int64_t> most;
};

/// Time that one layer took, as TensorRT measures it.
struct TensorRTLayerTime {
  std::string layer;
  double milliseconds = 0;
};

/// What a package says of an engine, as far as it can be told without TensorRT.
struct TensorRTEngineInfo {
  int format = 0;  ///< Of the state: 7 to 10.
  std::string name;
  std::string gpu;        ///< That it was built on.
  int compute_major = 0;  ///< Of its compute capability.
  int compute_minor = 0;
  bool hardware_compatible = false;  ///< Built for later GPUs too.
  std::string platform;              ///< "linux_x86_64"
  std::uint64_t plan_bytes = 0;
  std::string built_by;              ///< "TensorRT 10.3.0.26", as the plan begins; empty: it does not say.
  std::vector<std::string> inputs;   ///< In the order of calls.
  std::vector<std::string> outputs;  ///< Both empty: the plan's own names tell.
};

/// Reads the state of an object of class "tensorrt.Engine": `ObjectInfo::state`. Host-only.
/// Thread: thread-safe. Errors: Corrupt; Unsupported for another format; Incompatible for another platform.
[[nodiscard]] PENSTOCK_API TensorRTEngineInfo describe_engine(const Value& state);

/// What the first bytes of a plan say of it.
struct TensorRTPlanInfo {
  std::uint64_t bytes = 0;
  std::string built_by;  ///< As of TensorRTEngineInfo.
};

/// Reads the header of a plan that is in no package. Host-only. Thread: thread-safe. Errors: NotFound.
[[nodiscard]] PENSTOCK_API TensorRTPlanInfo describe_plan(const std::filesystem::path& plan);

/// The libraries of TensorRT that are found: TensorRT 10 and 11, their lean runtimes, TensorRT-RTX. Where
/// there is none, one entry without a path. Blocking: opens them. Needs no GPU. Thread: thread-safe. Errors:
/// OutOfMemory.
[[nodiscard]] PENSTOCK_API std::vector<OptionalLibrary> tensorrt_libraries();

/// A TensorRT engine within a package: what Torch-TensorRT writes as `tensorrt.Engine`, and
/// `tensorrt::execute_engine` runs. It runs on the stream that the session runs on, auxiliary streams in the
/// same partition, and is captured with the session's graph. docs/tensorrt.md has the rules.
/// What is set is taken up by every session at its next run, whatever runs meanwhile; a captured run with
/// other settings is captured anew.
/// Thread: thread-safe. Lifetime: as CustomObject.
class PENSTOCK_API TensorRTEngine final : public CustomObject {
 public:
  ~TensorRTEngine() override;

  /// As the package calls it. Host-only. Lifetime: the engine. Errors: none.
  [[nodiscard]] const std::string& name() const noexcept;

  /// The library that runs it: "TensorRT 11.1.0 (/usr/lib/libnvinfer.so.11)". Host-only. Errors: none.
  [[nodiscard]] std::string library() const;

  /// In the order of calls. Host-only. Lifetime: the engine. Errors: none.
  [[nodiscard]] std::span<const TensorRTTensor> inputs() const noexcept;
  [[nodiscard]] std::span<const TensorRTTensor> outputs() const noexcept;

  /// How many optimization profiles there are. Host-only. Errors: none.
  [[nodiscard]] int profile_count() const;

  /// What a profile takes. Host-only. Errors: InvalidArgument where there is no such profile or input.
  [[nodiscard]] TensorRTRange range(int profile, std::size_t input) const;

  /// Streams that it uses besides the session's; sessions make them, in their own partitions. Host-only.
  /// Errors: none.
  [[nodiscard]] int aux_stream_count() const;

  /// Device memory that a session needs for each run of it, from its lane. Host-only. Errors: none.
  [[nodiscard]] std::uint64_t run_bytes() const;

  /// The layers, as TensorRT's inspector writes them (JSON). Blocking. Errors: Unsupported where it does not.
  [[nodiscard]] std::string layer_information() const;

  /// Runs it on this stream from now on, which waits for the session's and the session's for it, both by
  /// events; nothing: on the session's own, as at first. Where both are the same nothing waits. The stream
  /// may be of another partition of the same device, which the engine then runs in. A run that is replayed
  /// from a graph runs there too, in its place among the session's work: the stream itself is not captured,
  /// sees nothing of a replay and does not hold it up. Host-only. Lifetime: of the stream, until each session
  /// that ran with it has begun another run in each partition that it runs in, or is gone. Errors:
  /// InvalidArgument for a default stream, and for one of another device; as StreamView::device; OutOfMemory.
  void set_stream(std::optional<StreamView> stream);
  /// The same, and keeps what the stream belongs to for that long. It is let go of on any thread that waits
  /// for work of the device.
  void set_stream(StreamView stream, std::shared_ptr<const void> owner);
  [[nodiscard]] std::optional<StreamView> stream() const;
  /// What is kept with the stream; null where nothing is.
  [[nodiscard]] std::shared_ptr<const void> stream_owner() const;

  /// Runs with this profile from now on; nothing: with the one in use where sizes fit it, else with the first
  /// that they fit, as at first. Host-only. Errors: InvalidArgument where there is no such profile;
  /// OutOfMemory.
  void set_profile(std::optional<int> profile);
  [[nodiscard]] std::optional<int> profile() const;

  /// Device memory for weights that TensorRT may stream from the host, in bytes: of plans that were built for
  /// that. At first it is what TensorRT holds right for the memory that is free then.
  /// The engine is built anew of its plan beside the one in use. That goes when each session has begun
  /// another run in each partition that it runs in, and a thread waits for work of the device then. Blocking.
  /// Errors: Unsupported where the plan streams no weights; InvalidArgument for a budget that TensorRT
  /// refuses (more than all of them, less than it needs), and then it is as it was; OutOfMemory.
  void set_weight_budget(std::int64_t bytes);
  /// Bytes. Host-only. Errors: none; 0 where the plan streams no weights.
  [[nodiscard]] std::int64_t weight_budget() const;
  [[nodiscard]] std::int64_t streamable_weight_bytes() const;

  /// Measures each layer in every run from now on. TensorRT waits for the device to do so: such runs are
  /// blocking and not captured. Host-only. Errors: OutOfMemory.
  void set_profiling(bool on);
  [[nodiscard]] bool profiling() const;
  /// Of the last run that was measured, in whatever session. Host-only. Errors: OutOfMemory.
  [[nodiscard]] std::vector<TensorRTLayerTime> layer_times() const;

  /// Gives all outputs by the way of those whose size the data decide. Host-only. Errors: InvalidArgument for
  /// an engine that changes inputs in place; OutOfMemory.
  void set_output_allocator(bool on);
  [[nodiscard]] bool output_allocator() const;

  /// Writes outputs of the same sizes into the same memory at every run of a session, so that a run changes
  /// what the last one gave. Captured runs have memory of their own anyway. Host-only. Errors: OutOfMemory.
  void set_reused_outputs(bool on);
  [[nodiscard]] bool reused_outputs() const;

  /// The `ncclComm_t` for plans with collectives of several GPUs; null: none. Host-only. Lifetime: until no
  /// session runs with it any more. Errors: Unsupported where the plan has no collectives, or the library
  /// cannot take one; OutOfMemory. Of a plan without a package nothing tells whether it has some.
  void set_communicator(void* communicator);
  [[nodiscard]] void* communicator() const;

  /// Implementation detail, for the library's own use.
  struct Impl;
  explicit TensorRTEngine(std::unique_ptr<Impl> impl) noexcept;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }
  [[nodiscard]] ObjectSnapshot snapshot() const override;

 private:
  template <class Work>
  void change(Work&& work);

  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
