#include "cuda_ops/stream_trial.hpp"

#include "cuda/driver.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace penstock::cuda_ops {
namespace {

/// A capture in which calls of this thread that are no work, such as loading a kernel, are allowed.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(cuda::StreamHandle stream) : stream_(stream) {
    cuda::check(cuda::driver().stream_begin_capture(stream, cuda::kCaptureRelaxed), "cuStreamBeginCapture",
                "a trial of an engine");
  }
  ~RelaxedCapture() {
    end();
    if (graph_ != nullptr) cuda::driver().graph_destroy(graph_);
  }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

  /// Null where a call has ended the capture.
  cuda::GraphHandle end() noexcept {
    if (stream_ == nullptr) return graph_;
    const cuda::Result result = cuda::driver().stream_end_capture(stream_, &graph_);
    if (result != cuda::kSuccess) graph_ = nullptr;
    was_ended_ = result == cuda::kStreamCaptureInvalidated;
    stream_ = nullptr;
    return graph_;
  }

  /// True where a call, of whomever, has ended it before.
  [[nodiscard]] bool was_ended() const noexcept { return was_ended_; }

 private:
  cuda::StreamHandle stream_;
  cuda::GraphHandle graph_ = nullptr;
  bool was_ended_ = false;
};

bool has_twice(std::vector<cuda::GraphNodeHandle> nodes) {
  std::ranges::sort(nodes);
  return std::ranges::adjacent_find(nodes) != nodes.end();
}

/// What goes to another stream and comes back is a second way from one node to another.
bool is_one_row(cuda::GraphHandle graph) {
  const cuda::Driver& driver = cuda::driver();
  std::size_t nodes = 0;
  std::size_t edges = 0;
  if (driver.graph_get_nodes(graph, nullptr, &nodes) != cuda::kSuccess) return false;
  if (driver.graph_get_edges(graph, nullptr, nullptr, &edges) != cuda::kSuccess) return false;
  if (edges != (nodes == 0 ? 0 : nodes - 1)) return false;
  if (edges == 0) return true;
  std::vector<cuda::GraphNodeHandle> from(edges);
  std::vector<cuda::GraphNodeHandle> to(edges);
  if (driver.graph_get_edges(graph, from.data(), to.data(), &edges) != cuda::kSuccess) return false;
  return !has_twice(std::move(from)) && !has_twice(std::move(to));
}

}  // namespace

StreamTrial::StreamTrial(const shim::CudaCall& call) {
  const cuda::Driver& driver = cuda::driver();
  cuda::GreenContextHandle green = nullptr;
  // Drivers without it have no partitions, and nor have those that do not support it.
  if (driver.stream_get_green_ctx != nullptr) {
    const cuda::Result result = driver.stream_get_green_ctx(call.stream, &green);
    if (result != cuda::kNotSupported)
      cuda::check(result, "cuStreamGetGreenCtx", "a stream to try engines on");
  }
  if (green != nullptr) {
    cuda::check(driver.green_ctx_stream_create(&stream_, green, cuda::kStreamNonBlocking, 0),
                "cuGreenCtxStreamCreate", "a stream to try engines on");
  } else {
    cuda::check(driver.stream_create_with_priority(&stream_, cuda::kStreamNonBlocking, 0),
                "cuStreamCreateWithPriority", "a stream to try engines on");
  }
}

StreamTrial::~StreamTrial() { cuda::driver().stream_destroy(stream_); }

bool StreamTrial::stays(const std::function<bool()>& work) const {
  // Another thread may have ended the capture, by a synchronization of the device. One that the work ends
  // itself ends each time.
  constexpr int kTrials = 3;
  for (int left = kTrials; left > 0; --left) {
    RelaxedCapture capture(stream_);
    const bool has_worked = work();
    cuda::GraphHandle graph = capture.end();
    if (!capture.was_ended()) return has_worked && graph != nullptr && is_one_row(graph);
  }
  return false;
}

}  // namespace penstock::cuda_ops
