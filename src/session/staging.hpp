#pragma once

#include "model/input_rules.hpp"
#include "shim/context.hpp"
#include "shim/cuda_call.hpp"
#include "tensor/storage.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/tensor.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace penstock::session {

/// Copies of inputs of which a model may touch more than they have, in memory that is as long. What lies
/// around an input there is unspecified. What the model does to a copy is done to the input once the run is
/// over; a tensor that is given twice has one copy. Memory is kept for the next run.
/// docs/design/0006-input-checks.md says when and why.
class Staging {
 public:
  Staging() = default;
  virtual ~Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Starts a run. Stages those inputs whose reach is more than they have.
  /// Errors: OutOfMemory, InvalidArgument where no memory could hold what the model may touch.
  void begin(const model::InputRules& rules, std::span<const TensorView> inputs,
             const model::Latitude& latitude);

  /// The CUDA part of the run that begins next; it lives until `finish`. Null on the CPU.
  virtual void use(const shim::CudaCall*) noexcept {}

  /// The room that results of this run need.
  [[nodiscard]] shim::ResultMargin margin() const noexcept { return margin_; }

  /// A storage for input `index`, with a reference for the caller: over its copy where it is staged, else
  /// over its own memory. Errors: OutOfMemory.
  [[nodiscard]] tensor::Storage* storage(std::size_t index, const TensorView& input) const;

  /// Lets an output that is a staged input, or part of it, be the caller's memory. Errors: OutOfMemory.
  void give_back(tensor::TensorObject& output, std::span<const TensorView> inputs) const;

  /// Ends a run that succeeded: writes to the inputs what the model changed of their copies.
  /// Errors: none on the CPU; Cuda.
  virtual void finish(std::span<const TensorView> inputs);

  [[nodiscard]] std::uint64_t held_bytes() const noexcept;

 protected:
  struct Copy {
    std::shared_ptr<void> memory;
    std::size_t capacity = 0;   ///< Bytes of the memory.
    std::byte* data = nullptr;  ///< The first element, within the memory.
    std::size_t bytes = 0;      ///< Of the input itself, from its first element to its last.
    model::Reach reach;         ///< In this run.
    std::size_t same_as = 0;    ///< Whose copy is used: an earlier input's where both are one tensor.
    bool used = false;          ///< In this run.
    bool changed = false;       ///< By this run.
  };

  /// Sees to it that a copy has `bytes` bytes of zeros or of what was there. Errors: OutOfMemory.
  virtual void make_room(Copy& copy, std::size_t bytes);
  virtual void fill(const Copy& copy, const TensorView& input);

  [[nodiscard]] std::vector<Copy>& copies() noexcept { return copies_; }

 private:
  void lay_out(Copy& copy, std::size_t input_bytes);
  [[nodiscard]] std::size_t first_of(std::span<const TensorView> inputs, std::size_t index) const;

  std::vector<Copy> copies_;
  shim::ResultMargin margin_;
};

/// Copies of inputs on a CUDA device, in memory of the run's lane. All elements are written back after the
/// run, changed or not: finding out would take a wait.
class DeviceStaging final : public Staging {
 public:
  void use(const shim::CudaCall* call) noexcept override { call_ = call; }
  void finish(std::span<const TensorView> inputs) override;

 private:
  void make_room(Copy& copy, std::size_t bytes) override;
  void fill(const Copy& copy, const TensorView& input) override;
  /// An audit, where there is one.
  void tell(shim::CudaObserver::Kind kind, const char* function) const noexcept;

  const shim::CudaCall* call_ = nullptr;
};

}  // namespace penstock::session
