#pragma once

#include "support.hpp"

#include <fixtures.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::testing {

/// The folder of the packages with objects and operators, as of `package_path`.
inline constexpr std::string_view kObjects = "2.15-objects";

inline Package open_objects(std::string_view name) { return open_package(name, kObjects); }

inline LoadOptions with(Registry registry, std::string model = {}) {
  LoadOptions options;
  options.model = std::move(model);
  options.registry = std::move(registry);
  return options;
}

/// With all that the packages call.
inline Model load_objects(std::string_view name) {
  return Model::load(open_objects(name), with(fixtures::all_but({})));
}

inline std::vector<Tensor> inputs_of(std::string_view name) { return recorded(name, "inputs", kObjects); }
inline std::vector<Tensor> outputs_of(std::string_view name) { return recorded(name, "outputs", kObjects); }

inline std::vector<Tensor> run(Session& session, std::string_view name) {
  return session.run(views_of(inputs_of(name)));
}

}  // namespace penstock::testing
