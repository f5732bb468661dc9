#pragma once

#include <penstock/io.hpp>
#include <penstock/model.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace penstock::cli {

/// The options with which `run` and `bench` are given inputs, as they were written.
struct InputOptions {
  std::string inputs_file;
  std::vector<std::string> inputs;  ///< "NAME=FILE.npy"
  std::vector<std::string> shapes;  ///< "NAME:2x3,NAME:int64:2x3"
  std::uint64_t seed = 0;
};

void add_input_options(CLI::App& app, InputOptions& options);

/// An input to be made up.
struct ShapeRequest {
  std::string name;
  std::optional<DType> dtype;
  std::vector<std::int64_t> sizes;
};

/// What the options gave, not yet matched with a model.
struct GivenInputs {
  NamedTensors tensors;
  std::vector<ShapeRequest> shapes;
  std::uint64_t seed = 0;

  [[nodiscard]] bool empty() const noexcept { return tensors.empty() && shapes.empty(); }
};

/// Reads files and parses shapes. Throws UsageError; Error for files that cannot be read.
GivenInputs read_inputs(const InputOptions& options);

/// One tensor for each input of the model, in call order and laid out as the model declares.
/// Throws UsageError that lists the accepted names where names are unknown, missing or given twice.
std::vector<Tensor> bind_inputs(const Model& model, const GivenInputs& given);

/// Inputs of the smallest sizes that the model takes, none of them 0 where it can be avoided.
std::vector<Tensor> smallest_inputs(const Model& model, std::uint64_t seed);

/// "arg0 (image)", the names an input goes by.
std::string input_names(const TensorSpec& spec);

/// Copies inputs to where the model declares them: those of a CUDA model to its device.
std::vector<Tensor> place_inputs(const Model& model, std::vector<Tensor> inputs);

/// Copies tensors to host memory that are not there.
std::vector<Tensor> on_host(std::vector<Tensor> tensors);

/// Views of tensors, for Session::run.
std::vector<TensorView> views_of(const std::vector<Tensor>& tensors);

}  // namespace penstock::cli
