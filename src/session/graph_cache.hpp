#pragma once

#include "session/captured_run.hpp"
#include "session/graph_key.hpp"
#include "session/graph_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace penstock::session {

/// What a lane knows of runs of one key.
struct GraphEntry {
  GraphKey key;
  bool warm = false;  ///< It ran once: kernels are loaded, plans made, memory is there.
  /// Why such runs are never captured; empty: they are.
  std::string obstacle = {};
  unsigned refused = 0;  ///< Replays in a row that could not be told of an address.
  unsigned ended = 0;    ///< Captures that a forbidden call has ended.
  /// One, or where addresses could not be found, one for each set of addresses.
  std::vector<std::unique_ptr<CapturedRun>> captured = {};
};

/// The captured runs of one lane. Thread: one caller at a time.
class GraphCache {
 public:
  /// `pool` outlives this.
  explicit GraphCache(tensor::Allocator& pool) : memory_(pool) {}

  /// The entry of a key, the first of all from now on; made where there is none, in place of the one that was
  /// not used for longest where there are `most`, and of those of other versions. Lifetime: the next call.
  GraphEntry& entry(const GraphKey& key, std::size_t most);
  /// That entry; null where there is none. Lifetime: the next call.
  [[nodiscard]] const GraphEntry* find(const GraphKey& key) const noexcept;

  /// Drops all, and gives back their memory.
  void clear() noexcept;

  [[nodiscard]] GraphMemory& memory() noexcept { return memory_; }
  [[nodiscard]] std::uint64_t held_bytes() const noexcept { return memory_.held_bytes(); }
  /// Captured runs that are there, and that went.
  [[nodiscard]] std::size_t held() const noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  void drop_last() noexcept;

  GraphMemory memory_;  ///< Before what works in it.
  std::list<GraphEntry> entries_;
  std::uint64_t dropped_ = 0;
};

}  // namespace penstock::session
