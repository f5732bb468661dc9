#pragma once

#include "model/model_impl.hpp"
#include "shim/cuda_call.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/model.hpp>
#include <penstock/tensor.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::session {

/// Makes `view` show a result. Errors: Unsupported for more than kMaxRank dimensions.
void show(const tensor::TensorObject& result, TensorView& view, const std::string& what);

/// What a result that is a weight has to hold: the model, and the version that the weight is of. By
/// reference: most results are no weights, and a share costs an atomic count.
struct WeightOwner {
  const std::shared_ptr<Model::Impl>& model;
  const std::shared_ptr<model::Container>& version;
};

/// A result that the caller keeps: it holds its memory, and the owner where that is a weight's.
Tensor keep(tensor::TensorObjectPtr result, const TensorView& view, const WeightOwner& owner);

/// Tensors over views that the caller keeps alive; none where the result is None.
std::vector<Tensor> tensors_over(std::span<const TensorView> views,
                                 std::span<const AtenTensorHandle> results);

/// How many outputs there are, and where.
struct OutputPlace {
  std::size_t count = 0;
  Device device;
};

/// Refuses views that cannot take results: another count or device, overlaps. Errors: InvalidArgument.
void check_targets(std::span<const TensorView> targets, std::span<const TensorView> inputs,
                   const OutputPlace& place, const std::string& what);

/// Copies results into the caller's views, all or none. Of those whose handle is null there is nothing to
/// copy. Errors: InvalidArgument names the output whose dtype or sizes differ.
void copy_to_targets(std::span<const TensorView> results, std::span<const AtenTensorHandle> handles,
                     std::span<const TensorView> targets, const std::string& what);

/// The same on a CUDA device; nothing where there are no targets. Stream-ordered on the call's stream.
void copy_on_device(const shim::CudaCall& call, std::span<const AtenTensorHandle> results,
                    std::span<const TensorView> targets, const std::string& what);

}  // namespace penstock::session
