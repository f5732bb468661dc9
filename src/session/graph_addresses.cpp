#include "session/graph_addresses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace penstock::session {
namespace {

using cuda::DevicePointer;

DevicePointer number(const void* address) noexcept { return reinterpret_cast<DevicePointer>(address); }

/// True where both words are an address within the memory, or its end, at the same distance from its start.
bool is_address_in(const MovableMemory& memory, DevicePointer captured, DevicePointer elsewhere) noexcept {
  const DevicePointer distance = captured - number(memory.captured);
  return distance == elsewhere - number(memory.elsewhere) && distance <= memory.bytes;
}

}  // namespace

GraphAddresses::GraphAddresses(std::vector<cuda::GraphNode> captured,
                               std::span<const cuda::GraphNode> elsewhere,
                               std::span<const MovableMemory> memory, cuda::ContextHandle context)
    : context_(context), nodes_(std::move(captured)), changed_(nodes_.size(), false) {
  for (const MovableMemory& each : memory) memory_.push_back({each.captured, {}});
  if (nodes_.size() != elsewhere.size()) {
    obstacle_ = "two captures of the run differ in what they launch";
    return;
  }
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (!compare(node, elsewhere[node], memory)) return;
  }
}

/// The driver gives parameters to a kernel only where the context that is current is the kernel's own.
bool GraphAddresses::can_change(const cuda::GraphNode& node) const noexcept {
  return node.type() != cuda::kGraphKernel || node.context() == nullptr || node.context() == context_;
}

bool GraphAddresses::compare(std::size_t node, const cuda::GraphNode& other,
                             std::span<const MovableMemory> memory) {
  const cuda::GraphNode& ours = nodes_[node];
  if (!ours.is_readable()) {
    obstacle_ = fmt::format("the driver does not tell the parameters of {}", ours.name());
    return false;
  }
  if (!ours.is_like(other)) {
    obstacle_ = fmt::format("two captures of the run differ in how they launch {}", ours.name());
    return false;
  }
  for (std::size_t offset = 0; offset < ours.bytes().size(); offset += sizeof(DevicePointer)) {
    const DevicePointer here = ours.word(offset);
    const DevicePointer there = other.word(offset);
    if (here == there) continue;
    const auto found =
        std::ranges::find_if(memory, [&](const auto& each) { return is_address_in(each, here, there); });
    if (found == memory.end()) {
      obstacle_ = fmt::format("{} has addresses in a form that is not known", ours.name());
      return false;
    }
    if (!can_change(ours)) {
      obstacle_ = fmt::format("{} runs in another context than the run's stream", ours.name());
      return false;
    }
    const auto index = static_cast<std::size_t>(found - memory.begin());
    memory_[index].sites.push_back(
        {node, offset, static_cast<std::ptrdiff_t>(here - number(found->captured))});
  }
  return true;
}

void GraphAddresses::move(std::size_t memory, const void* address) noexcept {
  Moved& moved = memory_[memory];
  if (moved.now == address) return;
  moved.now = address;
  for (const Site& site : moved.sites) {
    nodes_[site.node].set_word(site.offset, number(address) + static_cast<DevicePointer>(site.beyond));
    if (changed_[site.node]) continue;
    changed_[site.node] = true;
    to_update_.push_back(site.node);
  }
}

std::size_t GraphAddresses::update(cuda::GraphExecHandle exec) {
  const std::size_t count = to_update_.size();
  for (const std::size_t node : to_update_) {
    nodes_[node].update(exec, context_);
    changed_[node] = false;
  }
  to_update_.clear();
  return count;
}

}  // namespace penstock::session
