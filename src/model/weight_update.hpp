#pragma once

#include "model/container.hpp"
#include "model/model_impl.hpp"
#include "package/manifest.hpp"

#include <penstock/model.hpp>

#include <span>
#include <string>
#include <string_view>

namespace penstock::model {

/// Weights for a container that is being loaded, besides those that it was created with.
struct FirstWeights {
  const package::ModelFiles& files;
  std::span<const NamedWeight> packaged;
  std::span<const NamedWeight> given;  ///< By the caller; they come first.
};

/// Gives a container that is being loaded all weights that it was not created with, and those that a caller
/// wants instead. Errors: as Model::load.
void give_first_weights(Container& container, const FirstWeights& first, const std::string& what);

/// Errors: as Model::update_weights.
void update_weights(Model::Impl& model, std::span<const NamedWeight> given, UpdateScope scope);

/// Errors: as Model::weight.
Tensor copy_weight(const Model::Impl& model, std::string_view name);

}  // namespace penstock::model
