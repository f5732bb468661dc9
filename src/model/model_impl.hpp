#pragma once

#include "model/container.hpp"
#include "model/input_rules.hpp"
#include "model/loaded_library.hpp"
#include "model/versions.hpp"
#include "model/weights.hpp"

#include <penstock/model.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace penstock {

/// Shared by sessions. Nothing of it changes after the load but the version of the weights.
struct Model::Impl {
  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::string what;  ///< Package and model, for messages.
  std::string name;
  Device device;
  int max_threads = 1;
  bool exact_threads = false;              ///< Runs must have `max_threads`, no fewer.
  std::shared_ptr<model::CudaModel> cuda;  ///< Null on the CPU.
  /// The live objects and the calls of operators; null where the package has neither.
  std::shared_ptr<const objects::Executor> executor;
  std::shared_ptr<model::LoadedLibrary> library;
  /// The first version. After the load only where weights are in memory of the library: outputs may be views
  /// of them.
  std::shared_ptr<model::Container> container;
  model::Versions versions;
  /// What further versions are made with.
  model::WeightSource no_weights;
  std::mutex update_mutex;  ///< Updates take turns.
  std::size_t output_count = 0;
  std::size_t input_count = 0;
  model::InputRules rules;
  std::string graph_obstacle;  ///< Why runs on CUDA are never captured; empty: they may be.
  std::vector<TensorSpec> inputs;
  std::vector<std::string> output_names;
  std::vector<ConstantInfo> constants;
  std::string call_spec_in;
  std::string call_spec_out;
};

}  // namespace penstock
