#pragma once

#include "context.hpp"

#include <vector>

namespace penstock::trt_double {

/// One inference as it is put on the streams.
class Run {
 public:
  Run(Context& context, std::vector<cuda::StreamHandle> streams, std::vector<Shape> shapes);

  /// Asks output allocators for what has a known shape.
  void place_known_outputs();
  void fork();
  void run_layer(std::size_t index);
  void join();

 private:
  /// Finds memory for a tensor whose shape is known by now.
  void place(std::size_t tensor);
  void* allocate(std::size_t tensor, std::int64_t bytes);
  void* place_between(std::size_t tensor, std::int64_t bytes);
  void wait_for_inputs(const LayerPlan& layer);
  void launch_layer(const LayerPlan& layer);
  void run_affine(const LayerPlan& layer);
  void run_nonzero(const LayerPlan& layer);
  [[nodiscard]] const TensorPlan& tensor(std::size_t index) const;
  [[nodiscard]] cuda::StreamHandle stream_of(const LayerPlan& layer) const;
  [[nodiscard]] std::int64_t count(std::size_t tensor) const { return count_of(shapes_[tensor]); }
  /// Whether the output's shape is known only once the layer has run.
  [[nodiscard]] static bool is_data_dependent(const LayerPlan& layer);

  template <class... Parameters>
  void launch(Kernel kernel, std::int64_t blocks, unsigned threads, const LayerPlan& layer,
              Parameters... parameters);

  Context& context_;
  std::vector<cuda::StreamHandle> streams_;
  std::vector<Shape> shapes_;
  std::vector<void*> addresses_;        ///< Null: not placed.
  std::vector<std::ptrdiff_t> makers_;  ///< The layer that made a tensor; -1: none did yet.
  std::int64_t used_ = 0;               ///< Of the context's memory.
};

}  // namespace penstock::trt_double
