#pragma once

#include "tensor/tensor_object.hpp"

#include <penstock/model.hpp>
#include <penstock/tensor.hpp>

#include <memory>
#include <span>
#include <string>

namespace penstock::session {

/// Makes `view` show a result. Errors: Unsupported for more than kMaxRank dimensions.
void show(const tensor::TensorObject& result, TensorView& view, const std::string& what);

/// A result that the caller keeps: it holds its memory, and the model where that is a weight's.
Tensor keep(tensor::TensorObjectPtr result, const TensorView& view,
            const std::shared_ptr<Model::Impl>& model);

/// Refuses views that cannot take results: another count, overlaps. Errors: InvalidArgument.
void check_targets(std::span<const TensorView> targets, std::span<const TensorView> inputs, std::size_t count,
                   const std::string& what);

/// Copies results into the caller's views, all or none. Errors: InvalidArgument names the output whose
/// dtype or sizes differ.
void copy_to_targets(std::span<const TensorView> results, std::span<const TensorView> targets,
                     const std::string& what);

}  // namespace penstock::session
