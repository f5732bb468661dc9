#include "cuda/callers_capture.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda/execution_resource.hpp"

#include <memory>
#include <utility>

namespace penstock::cuda {
namespace {

constexpr const char* kWhat = "the capture of the caller's stream";

using Share = std::shared_ptr<const UsedOnDevice>;

void drop_share(void* share) { delete static_cast<Share*>(share); }

}  // namespace

bool is_captured(StreamHandle stream) noexcept {
  // CUDA never captures it.
  if (stream == StreamView::legacy_default().handle() || stream == nullptr) return false;
  int status = kCaptureNone;
  return driver().stream_is_capturing(stream, &status) == kSuccess && status != kCaptureNone;
}

CallersCapture::CallersCapture(StreamHandle stream) : stream_(stream) {
  int status = kCaptureNone;
  check_stream(driver().stream_get_capture_info(stream, &status, nullptr, &graph_, nullptr, nullptr),
               "cuStreamGetCaptureInfo", stream);
  if (status == kCaptureActive) return;
  base::fail(ErrorCode::InvalidArgument,
             "the capture of {} has failed already; end it, and look for the call that it forbids",
             stream_text(stream));
}

void CallersCapture::keep(std::shared_ptr<const UsedOnDevice> used) const {
  const Driver& table = driver();
  auto share = std::make_unique<Share>(std::move(used));
  UserObjectHandle object = nullptr;
  check(table.user_object_create(&object, share.get(), &drop_share, 1, kUserObjectNoDestructorSync),
        "cuUserObjectCreate", kWhat);
  // From here on it is the object's.
  static_cast<void>(share.release());
  const Result result = table.graph_retain_user_object(graph_, object, 1, kGraphUserObjectMove);
  if (result != kSuccess) table.user_object_release(object, 1);
  check(result, "cuGraphRetainUserObject", kWhat);
}

void CallersCapture::add(const Graph& graph) const {
  const Driver& table = driver();
  int status = kCaptureNone;
  const GraphNodeHandle* before = nullptr;
  std::size_t count = 0;
  check(table.stream_get_capture_info(stream_, &status, nullptr, nullptr, &before, &count),
        "cuStreamGetCaptureInfo", kWhat);
  GraphNodeHandle node = nullptr;
  check(table.graph_add_child_graph_node(&node, graph_, before, count, graph.handle()),
        "cuGraphAddChildGraphNode", kWhat);
  const Result result = table.stream_update_capture_dependencies(stream_, &node, 1, kSetCaptureDependencies);
  if (result != kSuccess) table.graph_destroy_node(node);
  check(result, "cuStreamUpdateCaptureDependencies", kWhat);
}

}  // namespace penstock::cuda
