#pragma once

#include "cuda/abi.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace penstock::cuda {

/// One node of a captured graph, with a copy of the parameters that a launch of it gets, as bytes: so that
/// two captures can be compared, and addresses in them changed. Thread: one caller at a time.
class GraphNode {
 public:
  /// Errors: Cuda.
  explicit GraphNode(GraphNodeHandle node);
  ~GraphNode() = default;
  // Parameters are pointed to.
  GraphNode(const GraphNode&) = delete;
  GraphNode& operator=(const GraphNode&) = delete;
  GraphNode(GraphNode&&) noexcept = default;
  GraphNode& operator=(GraphNode&&) noexcept = default;

  [[nodiscard]] GraphNodeType type() const noexcept { return type_; }
  /// The context that the work runs in: of a green one its own. Null where the driver does not tell.
  [[nodiscard]] ContextHandle context() const noexcept { return kernel_.context; }
  /// "add_kernel", "a copy", "a fill", or the type's number.
  [[nodiscard]] std::string name() const;

  /// False where the driver does not tell all parameters, so that two nodes cannot be compared.
  [[nodiscard]] bool is_readable() const noexcept { return readable_; }
  /// True where both do the same but for the bytes of their parameters.
  [[nodiscard]] bool is_like(const GraphNode& other) const noexcept;

  /// The parameters. A pointer that a kernel gets lies at a multiple of 8.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// The 8 bytes at an offset.
  [[nodiscard]] DevicePointer word(std::size_t offset) const noexcept;
  void set_word(std::size_t offset, DevicePointer value) noexcept;

  /// Gives the parameters as they are now to an executable graph: of launches to come. `context` is that of
  /// the resource that was captured in, and has to be the current one. Errors: Cuda.
  void update(GraphExecHandle exec, ContextHandle context);

 private:
  struct Parameter {
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };
  void read_kernel();
  bool read_listed();
  bool read_packed();
  void read_copy();
  void read_fill();
  [[nodiscard]] Result find_parameter(std::size_t index, Parameter& found) const;

  GraphNodeHandle node_;
  GraphNodeType type_;
  bool readable_ = false;
  KernelNodeParams kernel_;
  MemcpyNodeParams copy_;
  MemsetNodeParams fill_;
  std::vector<std::byte> bytes_;
  std::vector<void*> parameters_;  ///< Of a kernel: where each lies in `bytes_`.
  std::size_t packed_bytes_ = 0;   ///< Of a kernel that was launched with one buffer of parameters.
};

}  // namespace penstock::cuda
