#include "session/graph_cache.hpp"

#include <algorithm>

namespace penstock::session {

GraphEntry& GraphCache::entry(const GraphKey& key, std::size_t most) {
  const auto found = std::ranges::find_if(entries_, [&](const GraphEntry& each) { return each.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front();
  }
  // Versions only go up: what is of another one than this is never used again.
  for (auto each = entries_.begin(); each != entries_.end();) {
    if (each->key.versions() == key.versions()) {
      ++each;
      continue;
    }
    dropped_ += each->captured.size();
    each = entries_.erase(each);
  }
  while (entries_.size() >= std::max<std::size_t>(most, 1)) drop_last();
  entries_.push_front({.key = key});
  return entries_.front();
}

const GraphEntry* GraphCache::find(const GraphKey& key) const noexcept {
  const auto found = std::ranges::find_if(entries_, [&](const GraphEntry& each) { return each.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

void GraphCache::drop_last() noexcept {
  dropped_ += entries_.back().captured.size();
  entries_.pop_back();
}

void GraphCache::clear() noexcept {
  while (!entries_.empty()) drop_last();
  memory_.release();
}

std::size_t GraphCache::held() const noexcept {
  std::size_t count = 0;
  for (const GraphEntry& entry : entries_) count += entry.captured.size();
  return count;
}

}  // namespace penstock::session
