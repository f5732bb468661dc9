#pragma once

#include <penstock/custom_objects.hpp>
#include <penstock/device.hpp>
#include <penstock/export.hpp>
#include <penstock/operators.hpp>
#include <penstock/package.hpp>
#include <penstock/tensor.hpp>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// Where a load has got to. `done` and `total` count bytes of the package that were prepared.
struct LoadProgress {
  std::string_view stage;  ///< "reading", "loading", "inputs", "ready".
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

/// Whether the input checks that PyTorch generated into the library run at each call, besides
/// Penstock's own, which always run and which are derived from them at load.
enum class GeneratedChecks {
  Auto,  ///< Only where Penstock's own could not be derived in full.
  On,    ///< They do. They refuse sizes 0 and 1 in every dimension that was exported as dynamic.
  Off,   ///< They do not, also where Penstock's own are not complete.
};

/// Whether sizes have to be within the ranges that a package states.
enum class SizeRanges {
  Stated,  ///< They have to. PyTorch's compiler narrows what was exported where it chose code by the
           ///< example's sizes: a convolution on small images gets "below 16" or "from 16 on".
  /// Dynamic dimensions may have any size, as under libtorch, which looks at none. Code that was chosen for
  /// some sizes is mostly right for all; where it is not, it gives wrong results or damages memory. Try it
  /// beside torch (`penstock verify`). Fixed sizes, and sizes that go together, are still checked.
  Ignored,
};

/// A weight or buffer that is given to a model.
struct NamedWeight {
  std::string name;  ///< In PyTorch: "conv1.weight".
  TensorView view;   ///< Of the weight's dtype and sizes, with any strides; in host memory.
  /// Keeps the memory of `view`, which nobody may change from then on. A parameter is used in place then,
  /// where it is aligned to 64 bytes and lies as the model has it. Null: it is copied.
  std::shared_ptr<const void> owner = nullptr;
};

/// How to load a model.
struct LoadOptions {
  /// Which model of the package; empty: the only one, or the one called "model".
  std::string model;
  Device device = {};
  GeneratedChecks generated_checks = GeneratedChecks::Auto;
  SizeRanges size_ranges = SizeRanges::Stated;  ///< Ignored: the library's own checks are off.
  /// Weights that the package does not have, and others to use instead of those that it has.
  std::vector<NamedWeight> weights;
  /// The operators and classes that the program has for the package (Requirements::operators, classes).
  Registry registry;
  /// Shared libraries that have more of them (PENSTOCK_LIBRARY). Their code runs; they stay open for as long
  /// as anything of theirs is used.
  std::vector<std::filesystem::path> libraries;
  /// Libraries of TensorRT to run engines with, of which each engine takes the first that takes its plan;
  /// none: those that PENSTOCK_TENSORRT names, else those that are found. They stay open.
  std::vector<std::filesystem::path> tensorrt;
  /// Called between stages on the loading thread; returning false cancels the load, which then
  /// leaves nothing behind and throws Error with ErrorCode::Cancelled. May throw.
  std::function<bool(const LoadProgress&)> progress;
};

/// How to load a TensorRT engine that is in no package.
struct EngineOptions {
  Device device = {DeviceType::Cuda, 0};
  std::vector<std::filesystem::path> tensorrt;  ///< As of LoadOptions.
  std::string sha256;                           ///< Digest that a plan must have, in hex; empty: any.
};

/// A weight or buffer of a model, by the name it had in PyTorch.
struct ConstantInfo {
  std::string name;
  DType dtype = DType::Float32;
  std::uint64_t bytes = 0;  ///< Of its elements, padding not counted.
  std::vector<std::int64_t> sizes;
};

/// Which weights an update gives.
enum class UpdateScope {
  Partial,  ///< Some; the others stay as they are.
  Full,     ///< All but buffers and constants, which may be left out and stay as they are.
};

/// How to update weights.
struct UpdateOptions {
  UpdateScope scope = UpdateScope::Partial;
};

/// One model of a package, loaded on one device: code and weights, shared by its sessions.
/// A copy shares the same loaded model. Buffers that its code changes in place are shared too: every session
/// sees what another's run made of them, and runs of such a model must not overlap. Thread: thread-safe.
/// Weights change only by versions: see `update_weights`.
/// Lifetime: sessions and outputs hold what they need; the library is unloaded with the last of them.
/// Loading runs code of the package: see SECURITY.md.
class PENSTOCK_API Model {
 public:
  /// Loads a model. Blocking: reads the library, binds it, creates its weights, folds constants, and asks the
  /// library's own checks what inputs it takes. Large entries are verified by up to 4 threads meanwhile.
  /// Weights that lie in the package's file are used in place: their pages are the page cache's.
  /// Errors: NotFound (no such model); Unsupported (functions that Penstock does not have, operators
  /// and classes that are not registered, all named; a device it was not compiled for); Incompatible
  /// (instructions, glibc, libstdc++, libraries); InvalidArgument (weights that the model does not have, that
  /// do not fit, or that are missing); Corrupt; Cancelled; OutOfMemory; Internal (the library's own words).
  /// Nothing is left behind.
  static Model load(const Package& package, const LoadOptions& options = {});

  /// Loads a TensorRT plan ("x.plan", "x.engine", as trtexec --saveEngine writes it) as a model: inputs and
  /// outputs have the plan's names and order, an input any size that one of the profiles takes. Sessions,
  /// streams, partitions and graphs are as with packages. `custom_objects().at("engine")` is the engine, a
  /// TensorRTEngine. Blocking: opens TensorRT, which builds the engine. A plan in memory is copied.
  /// Errors: NotFound (the file, the device, TensorRT); Incompatible where no TensorRT takes the plan, with
  /// its words; InvalidArgument for a device that is not CUDA; Unsupported for outputs in host memory and for
  /// dtypes that Penstock does not have; Cuda; OutOfMemory. With another digest InvalidArgument.
  static Model load_engine(const std::filesystem::path& plan, const EngineOptions& options = {});
  static Model load_engine(std::span<const std::byte> plan, const EngineOptions& options = {});

  /// Name in the package; of an engine "engine". Host-only. Lifetime: the model. Errors: none.
  [[nodiscard]] const std::string& name() const noexcept;

  /// Device it was loaded on. Host-only. Errors: none.
  [[nodiscard]] Device device() const noexcept;

  /// Inputs in call order, flattened. Host-only. Lifetime: the model. Errors: none.
  [[nodiscard]] std::span<const TensorSpec> inputs() const noexcept;

  /// "out0", "out1", ... in flattened order. Host-only. Lifetime: the model. Errors: none.
  [[nodiscard]] std::span<const std::string> output_names() const noexcept;

  /// Position of the input called `name`: "arg2", or a keyword of the exported call. Host-only.
  /// Errors: none; nothing where no input has the name.
  [[nodiscard]] std::optional<std::size_t> find_input(std::string_view name) const noexcept;

  /// Strides in elements that input `input` must have when its sizes are `sizes`; row-major where they
  /// follow from sizes in a way that is not understood. Host-only.
  /// Errors: NotFound where there is no such input; InvalidArgument for another number of dimensions, and for
  /// sizes that no tensor has.
  [[nodiscard]] std::vector<std::int64_t> input_strides(std::size_t input,
                                                        std::span<const std::int64_t> sizes) const;

  /// Sizes of all inputs that go together, each the smallest that is accepted, but 1 rather than 0.
  /// Host-only. Errors: none.
  [[nodiscard]] std::vector<std::vector<std::int64_t>> smallest_sizes() const;

  /// Checks inputs as a run does, and runs nothing. Elements are not read: a view of null data stands for a
  /// tensor that is still to be made. Host-only.
  /// Errors: InvalidArgument names the input, what was given and what is accepted.
  void check_inputs(std::span<const TensorView> inputs) const;

  /// Weights and buffers. Host-only. Lifetime: the model. Errors: none.
  [[nodiscard]] std::span<const ConstantInfo> constants() const noexcept;

  /// A copy of a weight or buffer as it is now. Blocking. A buffer that a run changes at the same time may
  /// be copied half changed. Errors: NotFound where the model has none of that name; OutOfMemory.
  [[nodiscard]] Tensor weight(std::string_view name) const;

  /// Replaces weights. Makes a new version of the model with them beside the one in use, constants folded
  /// anew, and puts it in place at once: a run uses one version from its start to its end, and every session
  /// takes up the new one at its next run. Runs wait for nothing. The memory of the old version is released
  /// when the last run with it ends; outputs that are weights keep theirs. On CUDA that is when the device
  /// has done the run, and the memory goes with the next update, `Session::release_memory`, or call of a
  /// session that waits; the driver may wait for other work of the device then. Buffers that are not given
  /// keep their memory, and what runs have made of them. Blocking. Thread: thread-safe; updates take turns.
  /// Errors: InvalidArgument (a name that the model does not have or that is given twice, another dtype,
  /// other sizes, memory of another device; with UpdateScope::Full a parameter that is missing); Unsupported
  /// for a library that does not name its weights; OutOfMemory; Internal (the library's own words). After an
  /// error the model is as it was.
  void update_weights(std::span<const NamedWeight> weights, const UpdateOptions& options = {});

  /// False once a kernel of anyone in the process has faulted on the device: CUDA then answers the same error
  /// to every call on it until the process ends, also in other partitions. True on the CPU. Host-only.
  /// Errors: none.
  [[nodiscard]] bool healthy() const noexcept;

  /// The live objects that the package carries, by name; empty where it has none. A change that is made to
  /// one is seen by every session from its next run on. Host-only. Lifetime: a handle keeps its object.
  /// Errors: OutOfMemory.
  [[nodiscard]] ObjectMap custom_objects() const;

  /// The pytree of the exported call as torch writes it (JSON): inputs, outputs. Empty where the
  /// library does not state it. Host-only. Lifetime: the model. Errors: none.
  [[nodiscard]] const std::string& call_spec_in() const noexcept;
  [[nodiscard]] const std::string& call_spec_out() const noexcept;

  /// Threads that a run may use at most: what the library was compiled for, INT_MAX where it takes any
  /// number. Host-only. Errors: none.
  [[nodiscard]] int max_threads() const noexcept;

  /// Implementation detail, for the library's own use.
  struct Impl;
  [[nodiscard]] const std::shared_ptr<Impl>& impl() const noexcept { return impl_; }

 private:
  explicit Model(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;
};

}  // namespace penstock
