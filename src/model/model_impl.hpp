#pragma once

#include "model/container.hpp"
#include "model/input_rules.hpp"
#include "model/loaded_library.hpp"

#include <penstock/model.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock {

/// Shared by sessions and outputs. Nothing of it changes after the load.
struct Model::Impl {
  std::string what;  ///< Package and model, for messages.
  std::string name;
  Device device;
  int max_threads = 1;
  bool exact_threads = false;  ///< Runs must have `max_threads`, no fewer.
  // The container's code is in the library: it goes first.
  std::optional<model::LoadedLibrary> library;
  std::optional<model::Container> container;
  model::InputRules rules;
  std::vector<TensorSpec> inputs;
  std::vector<std::string> output_names;
  std::vector<ConstantInfo> constants;
  std::string call_spec_in;
  std::string call_spec_out;
};

}  // namespace penstock
