#pragma once

#include <penstock/export.hpp>
#include <penstock/stream.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace penstock {

/// A set of streaming multiprocessors (SMs) of one GPU: a description, which reserves nothing. A
/// `GreenContext` is made from it. A copy describes the same SMs. docs/streams.md says what partitions do and
/// do not keep apart. Thread: thread-safe.
class PENSTOCK_API SmResource {
 public:
  /// All SMs of a device. Host-only. Errors: NotFound (no driver, no such GPU); Unsupported where the driver
  /// is older than CUDA 12.5, which brought streams of partitions, or the GPU has none; Cuda.
  [[nodiscard]] static SmResource of_device(int device = 0);

  /// The SMs that a stream's work may run on, also in a green context that someone else made. Host-only.
  /// Errors: as `of_device`, and as StreamView::device.
  [[nodiscard]] static SmResource of_stream(StreamView stream);

  SmResource(const SmResource&);
  SmResource& operator=(const SmResource&);
  ~SmResource();

  /// Ordinal of the GPU. Host-only. Errors: none.
  [[nodiscard]] int device() const noexcept;

  /// How many SMs. Host-only. Errors: none.
  [[nodiscard]] unsigned sm_count() const noexcept;

  /// The least SMs that a part can have, and the number in whose multiples parts grow. The last part, "rest",
  /// may have any number. Host-only. Errors: Unsupported for a resource that came of a split; Cuda.
  [[nodiscard]] unsigned least_sm_count() const;
  [[nodiscard]] unsigned step_sm_count() const;

  /// Divides the SMs into parts that share none. `parts` names them in order, with commas between: a number
  /// of SMs ("32"), a share ("25%") or, once and in the end, "rest". Numbers are raised to the next that the
  /// GPU can give, shares go to the nearest; where shares make up 100%, the last part has all that is left.
  /// What was given is `sm_count()` of each. Nothing is reserved, so this is also the dry run. Host-only.
  /// Errors: InvalidArgument names what is wrong in `parts`, and for parts that do not fit what the GPU can
  /// give; Unsupported for a resource that came of a split, which CUDA cannot divide again: divide
  /// `GreenContext::resource()` of one made from it; Cuda.
  [[nodiscard]] std::vector<SmResource> split(std::string_view parts) const;

  /// The same by numbers of SMs. What is left over is in no part. Host-only. Errors: as above.
  [[nodiscard]] std::vector<SmResource> split(std::span<const unsigned> sm_counts) const;

  /// Implementation detail, for the library's own use.
  struct Impl;
  explicit SmResource(std::shared_ptr<const Impl> impl) noexcept;
  [[nodiscard]] const Impl& impl() const noexcept { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// How a green context is made. So far there is nothing to choose: SMs are all that Penstock divides, and
/// work queues, which drivers of CUDA 13.1 divide too, stay shared.
struct GreenContextOptions {};

/// How a stream of a partition is made. It never waits for the default stream.
struct PartitionStreamOptions {
  int priority = 0;  ///< As StreamOptions::priority; among the streams of the partition.
};

/// A green context that may be someone else's. Two are equal where they are of the same one.
/// Thread: thread-safe. Lifetime: the owner's.
class PENSTOCK_API GreenContextView {
 public:
  /// The one that a stream belongs to, whoever made it; nothing where it belongs to none. Host-only.
  /// Errors: as StreamView::device.
  [[nodiscard]] static std::optional<GreenContextView> of(StreamView stream);

  /// The `CUgreenCtx`. Host-only. Errors: none.
  [[nodiscard]] void* handle() const noexcept { return handle_; }

  friend bool operator==(const GreenContextView&, const GreenContextView&) noexcept = default;

 private:
  friend class GreenContext;
  explicit GreenContextView(void* handle) noexcept : handle_(handle) {}
  void* handle_;
};

/// A partition: the work of its streams runs on its SMs and on no others. Work that is in no partition runs
/// on all SMs, these included: for a partition to be alone, all that competes with it has to be in another
/// one. A copy is the same green context. Thread: thread-safe. Lifetime: holds the device's primary context;
/// its streams hold it.
class PENSTOCK_API GreenContext {
 public:
  /// Makes one from a set of SMs, or from several that came of one split. Blocking the first time: CUDA makes
  /// the device's context.
  /// Errors: InvalidArgument for none, or for SMs of two devices or splits; Unsupported as
  /// SmResource::of_device; OutOfMemory; Cuda.
  [[nodiscard]] static GreenContext create(const SmResource& sms, const GreenContextOptions& options = {});
  [[nodiscard]] static GreenContext create(std::span<const SmResource> sms,
                                           const GreenContextOptions& options = {});

  /// Ordinal of the GPU. Host-only. Errors: none.
  [[nodiscard]] int device() const noexcept;

  /// SMs that CUDA gave it. Host-only. Errors: none.
  [[nodiscard]] unsigned sm_count() const noexcept;

  /// Its SMs, which can be split. Host-only. Errors: Cuda.
  [[nodiscard]] SmResource resource() const;

  /// Makes a stream whose work runs on these SMs. Blocking for some microseconds.
  /// Lifetime: the stream holds this green context. Errors: OutOfMemory, Cuda.
  [[nodiscard]] Stream create_stream(const PartitionStreamOptions& options = {}) const;

  /// Host-only. Lifetime: this green context. Errors: none.
  [[nodiscard]] GreenContextView view() const noexcept;

  /// The `CUcontext` of it, for calls that take one. CUDA lets it be current on one thread at a time; streams
  /// need no current context. Host-only. Lifetime: this green context. Errors: none.
  [[nodiscard]] void* context_handle() const noexcept;

  /// Implementation detail, for the library's own use.
  struct Impl;

 private:
  explicit GreenContext(std::shared_ptr<const Impl> impl) noexcept;
  std::shared_ptr<const Impl> impl_;
};

/// Runs a kernel on the stream that only says where it ran, and gives the SM of each of its blocks, of which
/// there are several for each SM of the device. Blocking.
/// Thread: thread-safe. Errors: as StreamView::device; InvalidArgument for a stream that is being captured;
/// OutOfMemory; Cuda.
[[nodiscard]] PENSTOCK_API std::vector<unsigned> probe_sms(StreamView stream);

}  // namespace penstock
