#pragma once

#include "model/loaded_library.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"

#include <penstock/model.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::model {

/// PyTorch's model container inside a loaded library, with one model in it.
/// Thread: `run` from many threads at once, once constants are folded; the rest one caller at a time.
class Container {
 public:
  /// Creates the container and with it the weights. Blocking.
  /// Errors: Corrupt where the library lacks a function that every one has; what the library says.
  Container(const LoadedLibrary& library, const std::string& device, std::string what);
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  /// Puts buffers back to what they were when the container was made, and keeps no copy any longer: calls
  /// that only meant to ask may have run the part of a model that changes its buffers.
  void restore_buffers() noexcept;

  /// Computes the weights that depend on other weights only. Blocking. Errors: what the library says.
  void fold_constants();

  [[nodiscard]] std::size_t input_count() const noexcept { return input_count_; }
  [[nodiscard]] std::size_t output_count() const noexcept { return output_count_; }
  [[nodiscard]] std::vector<ConstantInfo> constants() const;
  /// Pytree JSON of the call; empty where the library does not state it.
  [[nodiscard]] std::string call_spec_in() const { return call_spec().first; }
  [[nodiscard]] std::string call_spec_out() const { return call_spec().second; }

  /// Runs once. Input handles are taken, but where an input check refuses them: those are left as they
  /// were. Output handles are the caller's. True on success; else see `error`. The context must be
  /// current.
  [[nodiscard]] bool run(std::span<AtenTensorHandle> inputs,
                         std::span<AtenTensorHandle> outputs) const noexcept;

  /// What went wrong in the last call, as an Error that names the model.
  [[nodiscard]] Error error(const shim::CallContext& context) const;

  /// The library's own words of the last failure on this thread.
  [[nodiscard]] std::string message(const shim::CallContext& context) const;

 private:
  using Handle = void*;
  using Status = std::int32_t;
  using RunFunction = Status(Handle, AtenTensorHandle*, std::size_t, AtenTensorHandle*, std::size_t, void*,
                             void*);

  template <class Function>
  Function* required(std::string_view name) const;
  /// A weight that a run may change, and its bytes at first. Holds a reference.
  struct Buffer {
    tensor::Storage* storage;
    std::vector<std::byte> bytes;
  };
  [[nodiscard]] std::vector<bool> find_parameters() const;
  void sort_weights(std::span<tensor::Storage* const> weights);
  void drop_buffers() noexcept;
  void require(Status status, const shim::CallContext& context) const;
  [[nodiscard]] std::pair<std::string, std::string> call_spec() const;

  const LoadedLibrary& library_;
  std::string what_;
  Handle handle_ = nullptr;
  RunFunction* run_ = nullptr;
  std::size_t input_count_ = 0;
  std::size_t output_count_ = 0;
  std::vector<Buffer> buffers_;
};

}  // namespace penstock::model
