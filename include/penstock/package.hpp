#pragma once

#include <penstock/custom_objects.hpp>
#include <penstock/device.hpp>
#include <penstock/export.hpp>
#include <penstock/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// How to open a package.
struct OpenOptions {
  /// 64 hexadecimal digits: the SHA-256 that the file must have. Empty: not checked.
  std::string sha256;
};

/// What a model library needs from the machine and from Penstock; read from the file, nothing run.
/// Of a library for another architecture only the architecture is known.
struct Requirements {
  std::vector<std::string> shim_functions;     ///< aoti_torch_* functions it imports, sorted.
  std::vector<std::string> missing_functions;  ///< Those of them that Penstock does not have.
  /// Operators and classes that PyTorch has no C function for: "ns::op", "ns.Name". They have to be
  /// registered for a load: LoadOptions::registry, LoadOptions::libraries.
  std::vector<std::string> operators;
  std::vector<std::string> classes;
  std::vector<std::string> libraries;         ///< Shared libraries, without the ones Penstock stands in for.
  std::string glibc;                          ///< Highest version needed, "2.34"; empty: none.
  std::string libstdcxx;                      ///< Highest version needed, "3.4.30"; empty: none.
  std::vector<std::string> instruction_sets;  ///< "AVX2", "AVX512F", ...: of code and metadata.
  std::string architecture;                   ///< "x86_64"; as `uname -m` says it.
};

/// Where the weights of a model are.
enum class WeightsForm {
  None,           ///< It has none.
  Embedded,       ///< In the library, or appended to its file.
  BinaryBlob,     ///< In one file of the package.
  PickleWeights,  ///< In a file a weight, as torch.save writes it.
  External,       ///< Not in the package: to be given by name (LoadOptions::weights).
};

/// One model of a package, as far as can be known without running it.
struct ModelInfo {
  std::string name;  ///< "model" unless the packager chose another.
  DeviceType device = DeviceType::Cpu;
  std::map<std::string, std::string> metadata;  ///< The package's own keys, AOTI_*.
  std::string library;                          ///< Archive entry of the model library.
  std::uint64_t library_bytes = 0;
  WeightsForm weights_form = WeightsForm::Embedded;
  std::uint64_t weights_bytes = 0;  ///< Bytes of the weights, wherever they are.
  Requirements needs;
  /// One sentence for each thing that keeps this machine from running the model; empty: it can.
  std::vector<std::string> obstacles;
  /// Threads the code was compiled for: at most this many may run it. Nothing: not known, so 1.
  std::optional<int> compiled_threads;
  /// From the generated text, which is a hint: checked again by `Model::load`.
  std::vector<TensorSpec> input_hints;
  std::vector<std::string> output_names;  ///< "out0", "out1", ...
  std::string call_spec_in;               ///< Pytree JSON of the inputs; empty if not stated.
  std::string call_spec_out;              ///< Pytree JSON of the outputs; empty if not stated.
};

/// Where each input of a model (`input_hints`) is in the structures of the exported call: "args[1]['ids']".
/// Empty for one that its position or keyword tells already. Nothing where `call_spec_in` is not stated,
/// cannot be read, or has another number of leaves. Host-only. Thread: thread-safe. Errors: none.
PENSTOCK_API std::vector<std::string> input_places(const ModelInfo& model);

/// The same of its outputs (`output_names`, `call_spec_out`): "out['logits']". Host-only.
/// Thread: thread-safe. Errors: none.
PENSTOCK_API std::vector<std::string> output_places(const ModelInfo& model);

/// An opened `.pt2`: its index and manifests. Host-only, and nothing of it is executed.
/// A copy shares the opened file. Thread: thread-safe.
/// Lifetime: models loaded from a package hold what they need of it.
/// The file must not be changed in place while the package or a model of it lives (replacing it by
/// rename is fine): a file that is cut short under a mapping ends the process with SIGBUS.
class PENSTOCK_API Package {
 public:
  /// Opens an archive file, or the folder that one was unpacked into. Host-only.
  /// Errors: NotFound, Corrupt (truncated, overlapping, ...), Unsupported (another format version),
  /// InvalidArgument (the digest is not 64 hexadecimal digits, or not that of the file; a folder
  /// with a digest). Obstacles of this machine are no error here: see ModelInfo::obstacles.
  static Package open(const std::filesystem::path& path, const OpenOptions& options = {});

  /// Opens an archive that lies in memory; `owner` keeps `bytes` alive. `name` stands for the path
  /// in messages. Host-only. Errors: as `open`.
  static Package open_memory(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                             const std::string& name = "<memory>", const OpenOptions& options = {});

  /// The path or name it was opened with. Host-only. Lifetime: the package. Errors: none.
  [[nodiscard]] const std::string& name() const noexcept;

  /// Size of the archive, or of the folder's files. Host-only. Errors: none.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

  /// Version that the archive states, "0". Host-only. Lifetime: the package. Errors: none.
  [[nodiscard]] const std::string& archive_version() const noexcept;

  /// All models, sorted by name. Host-only. Lifetime: the package. Errors: none.
  [[nodiscard]] std::span<const ModelInfo> models() const noexcept;

  /// The model called `name`; with an empty name, the only one or the one called "model".
  /// Host-only. Lifetime: the package. Errors: NotFound lists the names there are.
  [[nodiscard]] const ModelInfo& model(std::string_view name = {}) const;

  /// The live objects that the model called `model` carries, sorted by name: what their classes wrote of
  /// them. No class is needed, and nothing is created. Blocking: reads the objects. Empty where it has none.
  /// Errors: NotFound as `model`; Corrupt and Unsupported name the object and what its state has that is not
  /// known; OutOfMemory.
  [[nodiscard]] std::vector<ObjectInfo> custom_objects(std::string_view model = {}) const;

  /// Implementation detail, for the library's own use.
  struct Impl;
  [[nodiscard]] const std::shared_ptr<const Impl>& impl() const noexcept { return impl_; }

 private:
  explicit Package(std::shared_ptr<const Impl> impl) noexcept;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace penstock
