#pragma once

#include "model/container.hpp"
#include "model/model_impl.hpp"
#include "package/manifest.hpp"

#include <penstock/model.hpp>

#include <span>
#include <string>
#include <string_view>

namespace penstock::model {

/// Gives a container that is being loaded the weights that its package does not have, and those that a caller
/// wants instead. Errors: as Model::load.
void give_first_weights(Container& container, const package::ModelFiles& files,
                        std::span<const NamedWeight> given, const std::string& what);

/// Errors: as Model::update_weights.
void update_weights(Model::Impl& model, std::span<const NamedWeight> given, UpdateScope scope);

/// Errors: as Model::weight.
Tensor copy_weight(const Model::Impl& model, std::string_view name);

}  // namespace penstock::model
