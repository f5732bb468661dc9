#include "inputs.hpp"

#include "option_values.hpp"
#include "report.hpp"
#include "values.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/error.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <random>
#include <string_view>

namespace penstock::cli {
namespace {

/// Memory that this machine can give without taking it from others. Source: proc(5), /proc/meminfo.
std::optional<std::uint64_t> available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string name; file >> name;) {
    std::uint64_t kilobytes = 0;
    if (name == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

constexpr std::string_view kShapesHelp =
    "write NAME:2x3, NAME:int64:2x3, or NAME:scalar, several separated by commas";

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::vector<std::int64_t> parse_sizes(std::string_view text, std::string_view request) {
  std::vector<std::int64_t> sizes;
  if (text.empty() || text == "scalar") return sizes;
  for (const std::string_view part : split(text, 'x')) {
    std::int64_t size = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), size);
    if (error != std::errc() || end != part.data() + part.size() || size < 0) {
      throw UsageError(
          fmt::format("--shapes: \"{}\" has no sizes in \"{}\"; {}", request, text, kShapesHelp));
    }
    sizes.push_back(size);
  }
  return sizes;
}

ShapeRequest parse_shape(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty()) {
    throw UsageError(fmt::format("--shapes: \"{}\" cannot be understood; {}", text, kShapesHelp));
  }
  ShapeRequest request;
  request.name = parts[0];
  if (parts.size() == 3) {
    request.dtype = dtype_from_name(parts[1]);
    if (!request.dtype) {
      throw UsageError(fmt::format(
          "--shapes: \"{}\" is no dtype; float32, float16, bfloat16, int64, bool, ... are", parts[1]));
    }
  }
  request.sizes = parse_sizes(parts.back(), text);
  return request;
}

std::string accepted_names(const Model& model) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : model.inputs()) names.push_back(input_names(spec) + " " + spec_text(spec));
  if (names.empty()) return "the model takes no inputs";
  return fmt::format("the model's inputs are\n  {}", fmt::join(names, "\n  "));
}

/// Position of the input called `name`, which no earlier one was given for.
std::size_t claim(const Model& model, const std::string& name, std::vector<bool>& taken) {
  const std::optional<std::size_t> index = model.find_input(name);
  if (!index) throw UsageError(fmt::format("no input is called \"{}\"; {}", name, accepted_names(model)));
  if (taken[*index]) {
    throw UsageError(fmt::format("input {} is given twice; {}", input_names(model.inputs()[*index]),
                                 accepted_names(model)));
  }
  taken[*index] = true;
  return *index;
}

/// What will be made up, without its elements, on the model's device.
TensorView wanted_view(const Model& model, std::size_t input, const ShapeRequest& request) {
  const TensorSpec& spec = model.inputs()[input];
  const DType dtype = request.dtype.value_or(spec.dtype);
  try {
    if (request.sizes.size() != spec.dims.size()) return {nullptr, dtype, request.sizes, spec.device};
    return {nullptr, dtype, request.sizes, model.input_strides(input, request.sizes), 0, spec.device};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidArgument) throw;
    throw UsageError(fmt::format("--shapes: {}: {}", request.name, error.what()));
  }
}

/// Made-up inputs are written to from end to end: where there is not so much memory, the system would end
/// the process half-way.
void check_memory(std::span<const TensorView> wanted) {
  std::uint64_t bytes = 0;
  for (const TensorView& view : wanted) {
    if (__builtin_add_overflow(bytes, view.storage_bytes(), &bytes)) bytes = UINT64_MAX;
  }
  const std::optional<std::uint64_t> available = available_memory();
  if (!available || bytes <= *available) return;
  throw std::runtime_error(fmt::format("out of memory: --shapes asks for {}, and {} are to be had",
                                       bytes_text(bytes), bytes_text(*available)));
}

/// Files and made-up inputs are row-major. A model that was exported with another order of strides
/// takes no other, so the elements are moved to where it wants them.
Tensor laid_out(const Model& model, std::size_t input, const Tensor& tensor) {
  const std::span<const DimSpec> dims = model.inputs()[input].dims;
  const bool accepted = std::ranges::equal(tensor.sizes(), dims, [](std::int64_t size, const DimSpec& dim) {
    return dim.min <= size && size <= dim.max;
  });
  // The check of all inputs says what is wrong with others.
  if (tensor.numel() <= 1 || !accepted) return tensor;
  const std::vector<std::int64_t> wanted = model.input_strides(input, tensor.sizes());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (tensor.sizes()[i] != 1 && tensor.strides()[i] != wanted[i])
      return Tensor::copy_of(tensor.view(), wanted);
  }
  return tensor;
}

/// What will be copied to the model's device, as it will lie there.
TensorView placed_view(const Model& model, std::size_t input, const TensorView& view) {
  const Device device = model.inputs()[input].device;
  if (device == view.device()) return view;
  return {nullptr, view.dtype(), view.sizes(), view.strides(), 0, device};
}

using Requests = std::vector<const ShapeRequest*>;

/// Before anything is made up: whether the model takes what is given and what is asked for.
void check_inputs(const Model& model, const std::vector<Tensor>& given, const Requests& requests) {
  std::vector<TensorView> views;
  std::vector<TensorView> wanted;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (requests[i] != nullptr) wanted.push_back(wanted_view(model, i, *requests[i]));
    views.push_back(requests[i] != nullptr ? wanted.back() : placed_view(model, i, given[i].view()));
  }
  try {
    model.check_inputs(views);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidArgument) throw;
    throw UsageError(error.what());
  }
  check_memory(wanted);
}

}  // namespace

void add_input_options(CLI::App& app, InputOptions& options) {
  app.add_option("--inputs", options.inputs_file, "Inputs by name, from a .npz or .safetensors file")
      ->type_name("FILE")
      ->check(not_empty())
      ->group("Inputs");
  app.add_option("--input", options.inputs, "One input from a .npy file; may be repeated")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false)
      ->group("Inputs");
  app.add_option("--shapes", options.shapes,
                 "Made-up inputs: NAME:2x3, NAME:int64:2x3 or NAME:scalar, separated by commas;\n"
                 "floats are uniform in [0, 1), integers 0, booleans false")
      ->type_name("NAME:SIZES")
      ->allow_extra_args(false)
      ->group("Inputs");
  app.add_option("--seed", options.seed, "Seed of made-up floats (default 0)")
      ->type_name("N")
      ->group("Inputs");
}

GivenInputs read_inputs(const InputOptions& options) {
  GivenInputs given;
  given.seed = options.seed;
  for (const std::string& list : options.shapes) {
    for (const std::string_view text : split(list, ',')) given.shapes.push_back(parse_shape(text));
  }
  if (!options.inputs_file.empty()) given.tensors = read_tensors(options.inputs_file);
  for (const std::string& text : options.inputs) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      throw UsageError(fmt::format("--input: \"{}\" cannot be understood; write NAME=FILE.npy", text));
    }
    NamedTensors tensors = read_tensors(text.substr(equals + 1));
    if (tensors.size() != 1) {
      throw UsageError(fmt::format("--input: {} holds {} tensors; give it with --inputs",
                                   text.substr(equals + 1), tensors.size()));
    }
    given.tensors.emplace_back(text.substr(0, equals), std::move(tensors[0].second));
  }
  return given;
}

std::vector<Tensor> bind_inputs(const Model& model, const GivenInputs& given) {
  std::vector<Tensor> bound(model.inputs().size());
  std::vector<bool> taken(bound.size(), false);
  for (const auto& [name, tensor] : given.tensors) {
    const std::size_t input = claim(model, name, taken);
    bound[input] = laid_out(model, input, tensor);
  }
  Requests requests(bound.size(), nullptr);
  for (const ShapeRequest& request : given.shapes) requests[claim(model, request.name, taken)] = &request;

  std::vector<std::string> missing;
  for (std::size_t i = 0; i < bound.size(); ++i) {
    if (!taken[i]) missing.push_back(input_names(model.inputs()[i]));
  }
  if (!missing.empty()) {
    throw UsageError(
        fmt::format("nothing is given for {}; {}", fmt::join(missing, ", "), accepted_names(model)));
  }
  check_inputs(model, bound, requests);
  // In call order, whatever the order of the options, so that a seed stands for the same inputs.
  std::mt19937_64 generator(given.seed);
  for (std::size_t i = 0; i < bound.size(); ++i) {
    if (requests[i] == nullptr) continue;
    Tensor tensor = Tensor::empty(requests[i]->dtype.value_or(model.inputs()[i].dtype), requests[i]->sizes);
    fill(tensor, generator);
    bound[i] = laid_out(model, i, tensor);
  }
  return bound;
}

std::vector<Tensor> smallest_inputs(const Model& model, std::uint64_t seed) {
  GivenInputs given;
  given.seed = seed;
  std::vector<std::vector<std::int64_t>> sizes = model.smallest_sizes();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const TensorSpec& spec = model.inputs()[i];
    given.shapes.push_back({.name = spec.name, .dtype = spec.dtype, .sizes = std::move(sizes[i])});
  }
  return bind_inputs(model, given);
}

std::string input_names(const TensorSpec& spec) {
  return spec.keyword.empty() ? spec.name : fmt::format("{} ({})", spec.name, spec.keyword);
}

std::vector<Tensor> place_inputs(const Model& model, std::vector<Tensor> inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Device device = model.inputs()[i].device;
    if (device.type == DeviceType::Cuda) inputs[i] = copy_to_device(inputs[i].view(), device);
  }
  return inputs;
}

std::vector<Tensor> on_host(std::vector<Tensor> tensors) {
  for (Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.view().device().type == DeviceType::Cuda)
      tensor = copy_to_host(tensor.view());
  }
  return tensors;
}

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  views.reserve(tensors.size());
  for (const Tensor& tensor : tensors) views.push_back(tensor.view());
  return views;
}

}  // namespace penstock::cli
