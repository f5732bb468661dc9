#include "session/graph_audit.hpp"

#include "cuda/driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace penstock::session {
namespace {

AuditEntry::Kind kind_of(cuda::GraphNodeType type) noexcept {
  switch (type) {
    case cuda::kGraphKernel: return AuditEntry::Kind::Kernel;
    case cuda::kGraphMemcpy: return AuditEntry::Kind::Copy;
    case cuda::kGraphMemset: return AuditEntry::Kind::Fill;
    default: return AuditEntry::Kind::Other;
  }
}

/// Nodes that put no work on the device, which so is nowhere else.
const char* name_without_work(cuda::GraphNodeType type) noexcept {
  switch (type) {
    case cuda::kGraphHost: return "a function of the host";
    case cuda::kGraphEmpty: return "an empty node";
    case cuda::kGraphWaitEvent: return "a wait for an event";
    case cuda::kGraphEventRecord: return "a record of an event";
    case cuda::kGraphMemAlloc: return "an allocation";
    case cuda::kGraphMemFree: return "a release of memory";
    default: return nullptr;
  }
}

/// Reads a graph, and the graphs in it.
class GraphReader {
 public:
  GraphReader(Audit& audit, const CapturedRun& captured, const LaneRun& run)
      : audit_(audit), captured_(captured), run_(run), primary_(run.context()->handle()) {}

  void read() {
    const std::vector<cuda::GraphNodeHandle> handles = captured_.graph().nodes();
    const std::span<const cuda::GraphNode> now = captured_.addresses().nodes();
    for (std::size_t i = 0; i < handles.size(); ++i) {
      add(handles[i], i < now.size() ? &now[i] : nullptr, Depth::Outer);
    }
  }

 private:
  enum class Depth { Outer, Inner };

  /// `now`: the node with the addresses of the last replay; null: those of the capture are still right.
  void add(cuda::GraphNodeHandle handle, const cuda::GraphNode* now, Depth depth) {
    const cuda::GraphNode node(handle);
    if (node.type() == cuda::kGraphChild) {
      for (cuda::GraphNodeHandle const inner : cuda::nodes_of(cuda::child_graph_of(handle)))
        add(inner, nullptr, Depth::Inner);
      return;
    }
    const char* const without_work = name_without_work(node.type());
    AuditEntry entry{.kind = kind_of(node.type()),
                     .name = without_work != nullptr ? without_work : node.name(),
                     .level = AuditLevel::Graph,
                     .device = audit_.device,
                     .stream = run_.stream()};
    if (without_work != nullptr) {
      place(entry, captured_.node_context());
    } else if (node.type() == cuda::kGraphKernel) {
      place(entry, node.context());
    } else if (depth == Depth::Outer && entry.kind != AuditEntry::Kind::Other) {
      place(entry, context_of(handle, now));
    } else {
      place(entry, nullptr);
    }
    audit_.entries.push_back(std::move(entry));
  }

  void place(AuditEntry& entry, cuda::ContextHandle context) const {
    if (context == nullptr) {
      entry.place_known = false;
      ++audit_.missing_count;
      return;
    }
    entry.in_place = context == captured_.node_context();
    if (entry.in_place) {
      entry.sm_count = audit_.sm_count;
      entry.in_green_context = audit_.in_green_context;
      return;
    }
    const auto sms_of = [&](cuda::ContextHandle of) {
      return cuda::sm_count_of({.device = audit_.device.index, .context = of});
    };
    entry.sm_count = sms_of(context);
    entry.in_green_context = context != primary_ && entry.sm_count < sms_of(primary_);
  }

  /// Where a copy or a fill runs the driver does not tell, but it takes parameters of such a node only with
  /// the context that it was captured in (measured of copies in green contexts). They are offered to a graph
  /// of its own, as they are, with both contexts that it can be. Null where that does not tell them apart.
  cuda::ContextHandle context_of(cuda::GraphNodeHandle handle, const cuda::GraphNode* now) {
    if (!trial_) trial_.emplace(captured_.graph(), run_.context());
    cuda::ContextHandle const expected = captured_.node_context();
    const bool is_expected = takes(handle, now, expected);
    if (expected == primary_) return is_expected ? expected : nullptr;
    const bool is_primary = takes(handle, now, primary_);
    if (is_expected == is_primary) return nullptr;
    return is_expected ? expected : primary_;
  }

  bool takes(cuda::GraphNodeHandle handle, const cuda::GraphNode* now, cuda::ContextHandle context) const {
    cuda::GraphNode node(handle);
    if (now != nullptr) {
      for (std::size_t at = 0; at < node.bytes().size(); at += sizeof(cuda::DevicePointer))
        node.set_word(at, now->word(at));
    }
    try {
      const cuda::ContextScope scope(context);
      node.update(trial_->handle(), context);
    } catch (const Error& error) {
      if (cuda::is_sticky(error.cuda_result())) throw;
      return false;
    }
    return true;
  }

  Audit& audit_;
  const CapturedRun& captured_;
  const LaneRun& run_;
  cuda::ContextHandle primary_;
  std::optional<cuda::GraphExec> trial_;  ///< Never launched.
};

}  // namespace

void add_graph(Audit& audit, const CapturedRun& captured, const LaneRun& run) {
  audit.level = AuditLevel::Graph;
  audit.not_seen = {"on which SMs the driver ran the nodes: their context is what they were captured in",
                    "what other threads and libraries of this process put on the device"};
  const cuda::CaptureModeScope mode(cuda::kCaptureRelaxed);
  const cuda::ContextScope scope(*run.context());
  GraphReader(audit, captured, run).read();
  if (cuda::driver().func_get_name == nullptr)
    audit.not_seen.emplace_back("names of kernels, which drivers tell from CUDA 12.3 on");
  if (audit.missing_count != 0) {
    audit.not_seen.push_back(fmt::format("where {} of the nodes ran, whose context the driver does not tell",
                                         audit.missing_count));
  }
}

}  // namespace penstock::session
