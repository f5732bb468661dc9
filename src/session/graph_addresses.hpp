#pragma once

#include "cuda/graph_node.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace penstock::session {

/// Memory that a captured run may find elsewhere when it is replayed: an input, or one that outputs lie in.
struct MovableMemory {
  const void* captured = nullptr;   ///< Where it lay in the capture that is replayed.
  const void* elsewhere = nullptr;  ///< Where it lay in the other one.
  std::size_t bytes = 0;
};

/// The places in a captured graph that hold addresses of movable memory. They are found by comparing two
/// captures of the same run that differ in nothing but these addresses: whatever differs between them is an
/// address, or the memory cannot be moved. docs/design/0012-graphs.md says why that is enough.
/// Thread: one caller at a time.
class GraphAddresses {
 public:
  GraphAddresses() = default;
  /// Of a capture whose memory cannot be moved, with the reason.
  explicit GraphAddresses(std::string obstacle) : obstacle_(std::move(obstacle)) {}
  /// `context` is that of the execution resource that was captured in.
  GraphAddresses(std::vector<cuda::GraphNode> captured, std::span<const cuda::GraphNode> elsewhere,
                 std::span<const MovableMemory> memory, cuda::ContextHandle context);

  /// Why nothing can be moved; empty: all can be.
  [[nodiscard]] const std::string& obstacle() const noexcept { return obstacle_; }

  /// Lets memory lie at `address` from the next `update` on.
  void move(std::size_t memory, const void* address) noexcept;
  [[nodiscard]] const void* address(std::size_t memory) const noexcept { return memory_[memory].now; }

  /// Of the captured graph, with the addresses as they are now; none where nothing can be moved.
  [[nodiscard]] std::span<const cuda::GraphNode> nodes() const noexcept { return nodes_; }

  [[nodiscard]] bool has_moved() const noexcept { return !to_update_.empty(); }
  /// Tells the executable graph of what has moved, and gives the number of its nodes that were concerned. The
  /// context of the resource that was captured in has to be current. Errors: Cuda.
  std::size_t update(cuda::GraphExecHandle exec);

 private:
  struct Site {
    std::size_t node;
    std::size_t offset;     ///< In the node's parameters.
    std::ptrdiff_t beyond;  ///< Of the address there, from the start of the memory.
  };
  struct Moved {
    const void* now;
    std::vector<Site> sites;
  };
  bool compare(std::size_t node, const cuda::GraphNode& other, std::span<const MovableMemory> memory);
  [[nodiscard]] bool can_change(const cuda::GraphNode& node) const noexcept;

  cuda::ContextHandle context_ = nullptr;
  std::vector<cuda::GraphNode> nodes_;
  std::vector<Moved> memory_;
  std::vector<bool> changed_;  ///< Of each node.
  std::vector<std::size_t> to_update_;
  std::string obstacle_;
};

}  // namespace penstock::session
