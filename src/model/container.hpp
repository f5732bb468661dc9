#pragma once

#include "base/unique_handle.hpp"
#include "cuda/run_end.hpp"
#include "model/cuda_model.hpp"
#include "model/loaded_library.hpp"
#include "model/weights.hpp"
#include "objects/executor.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"

#include <penstock/model.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::model {

/// Where a container is made.
struct Place {
  Device device;
  std::shared_ptr<CudaModel> cuda;  ///< Null on the CPU.
  /// Who answers calls of operators by number; null where the package has none.
  std::shared_ptr<const objects::Executor> executor;
};

/// PyTorch's model container inside a loaded library, with one model in it: one version of its weights.
/// Thread: `run` and `note_user` from many threads at once, once constants are folded; the rest one caller at
/// a time. Lifetime: holds its library. On CUDA it must not go while it `is_used`: see `make_container`.
class Container {
 public:
  using Handle = void*;
  using Status = std::int32_t;
  /// Runs once: container, inputs, outputs, stream, who answers calls of operators; 0 on success.
  using RunFunction = Status(Handle, AtenTensorHandle*, std::size_t, AtenTensorHandle*, std::size_t, void*,
                             void*);
  struct Counts {
    std::size_t inputs = 0;
    std::size_t outputs = 0;
  };

  /// Creates the container and with it the weights that `source` has. Blocking.
  /// Errors: Corrupt where the library lacks a function that every one has, or its weights reach past what
  /// there is; what the library says.
  Container(std::shared_ptr<const LoadedLibrary> library, Place place, std::string what,
            const WeightSource& source);
  /// A model without a library and without weights, that `code` is. Errors: OutOfMemory.
  Container(RunFunction* code, Counts counts, Place place, std::string what);
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  /// Keeps a copy of all buffers. Errors: OutOfMemory.
  void keep_buffers();

  /// Puts buffers back to what they were when they were kept, and keeps no copy any longer: calls
  /// that only meant to ask may have run the part of a model that changes its buffers.
  void restore_buffers() noexcept;

  /// The weights that a caller may replace, by number. Empty where the library does not tell.
  [[nodiscard]] std::span<const WeightSlot> slots() const noexcept { return slots_; }

  /// Their tensors, one a slot where there are slots; empty as long as there are none.
  [[nodiscard]] std::span<const tensor::TensorObjectPtr> weights() const noexcept { return weights_; }

  /// Gives all weights, one a slot; on CUDA those in host memory are copied to the device, unless they are of
  /// a slot that has been told to stay on the host. To be called before the first run and before constants
  /// are folded. Errors: Unsupported where the library has no function for it; what the library says.
  void assign(std::vector<tensor::TensorObjectPtr> weights);

  /// On CUDA: which weights stay on the host is as in `other`, a version of the same model.
  void take_places_of(const Container& other) noexcept;

  /// Computes the weights that depend on other weights only. Blocking. Errors: what the library says.
  void fold_constants();

  /// On CUDA: that runs which end there read the weights. Errors: OutOfMemory.
  void note_user(const std::shared_ptr<const cuda::RunEnd>& user);
  /// Whether one of those is on its way. Errors: none.
  [[nodiscard]] bool is_used() const noexcept;

  [[nodiscard]] std::size_t input_count() const noexcept { return input_count_; }
  [[nodiscard]] std::size_t output_count() const noexcept { return output_count_; }
  /// Weights and buffers, sorted by name.
  [[nodiscard]] std::vector<ConstantInfo> constants() const;
  /// Pytree JSON of the call; empty where the library does not state it.
  [[nodiscard]] std::string call_spec_in() const { return call_spec().first; }
  [[nodiscard]] std::string call_spec_out() const { return call_spec().second; }

  /// Runs once. Input handles are taken, but where an input check refuses them: those are left as they
  /// were. Output handles are the caller's. True on success; else see `error`. The context must be
  /// current. On CUDA: stream-ordered, on the stream of the context's CUDA part.
  [[nodiscard]] bool run(std::span<AtenTensorHandle> inputs,
                         std::span<AtenTensorHandle> outputs) const noexcept;

  /// What went wrong in the last call, as an Error that names the model.
  [[nodiscard]] Error error(const shim::CallContext& context) const;

  /// The library's own words of the last failure on this thread.
  [[nodiscard]] std::string message(const shim::CallContext& context) const;

 private:
  template <class Function>
  Function* required(std::string_view name) const;
  /// A weight that a run may change, and its bytes when they were kept. Holds a reference.
  struct Buffer {
    tensor::Storage* storage;
    std::vector<std::byte> bytes;
  };
  void create(const WeightSource& source);
  void note_places() noexcept;
  [[nodiscard]] std::vector<tensor::TensorObjectPtr> on_device(std::vector<tensor::TensorObjectPtr> weights,
                                                               const shim::CudaCall& call) const;
  [[nodiscard]] std::span<const std::byte> lay_stand_in(const WeightSource& source);
  void load_blob(const WeightSource& source, shim::CallContext& context);
  [[nodiscard]] std::vector<WeightSlot> read_slots() const;
  void sort_weights(std::vector<tensor::TensorObjectPtr> weights);
  void drop_buffers() noexcept;
  void require(Status status, const shim::CallContext& context) const;
  [[nodiscard]] std::pair<std::string, std::string> call_spec() const;

  std::shared_ptr<const LoadedLibrary> library_;
  Place place_;
  std::string what_;
  bool copies_are_seen_ = false;
  /// What a library maps that wants to map its weights.
  base::UniqueMapping stand_in_;
  Handle handle_ = nullptr;
  RunFunction* run_ = nullptr;
  std::size_t input_count_ = 0;
  std::size_t output_count_ = 0;
  std::vector<WeightSlot> slots_;
  std::vector<tensor::TensorObjectPtr> weights_;
  std::vector<Buffer> buffers_;
  mutable std::mutex users_mutex_;
  /// Who is gone has waited.
  std::vector<std::weak_ptr<const cuda::RunEnd>> users_;
};

/// A container that is shared. On CUDA it is put by with its last share, as something `UsedOnDevice`: the
/// last one to let go of it may be a run that waits for nothing. Errors: as the constructor.
std::shared_ptr<Container> make_container(std::shared_ptr<const LoadedLibrary> library, Place place,
                                          std::string what, const WeightSource& source);
std::shared_ptr<Container> make_container(Container::RunFunction* run, Container::Counts counts, Place place,
                                          std::string what);

}  // namespace penstock::model
