#include "agree.hpp"

#include <penstock/penstock.hpp>

#include <cmath>
#include <exception>
#include <map>

namespace penstock::isolation {
namespace {

/// By number: "arg0", "arg1", ...
std::vector<Tensor> in_order(const std::string& path) {
  std::map<int, Tensor> sorted;
  for (const auto& [name, tensor] : read_tensors(path)) sorted[std::stoi(name.substr(3))] = tensor;
  std::vector<Tensor> result;
  for (const auto& [number, tensor] : sorted) result.push_back(tensor);
  return result;
}

std::vector<float> floats(const Tensor& tensor) {
  if (!tensor.view().is_contiguous()) return {};
  return {tensor.data_as<float>(), tensor.data_as<float>() + tensor.numel()};
}

}  // namespace

std::vector<std::vector<float>> recorded_numbers(const std::string& path) {
  std::vector<std::vector<float>> result;
  for (const Tensor& tensor : in_order(path)) result.push_back(floats(tensor));
  return result;
}

std::string disagreement(const std::string& stem) noexcept {
  try {
    const std::vector<Tensor> inputs = in_order(stem + ".inputs.safetensors");
    std::vector<TensorView> views;
    for (const Tensor& input : inputs) views.push_back(input.view());
    Session session(Model::load(Package::open(stem + ".pt2")), {.threads = 8});
    const std::vector<Tensor> results = session.run(views);
    const std::vector<std::vector<float>> expected = recorded_numbers(stem + ".outputs.safetensors");
    if (results.size() != expected.size()) return "another count of outputs";
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::vector<float> given = floats(results[i].clone());
      if (given.size() != expected[i].size()) return "out" + std::to_string(i) + " has another size";
      float largest = 0;
      for (const float value : expected[i]) largest = std::max(largest, std::abs(value));
      for (std::size_t k = 0; k < given.size(); ++k) {
        if (!(std::abs(given[k] - expected[i][k]) <= 2e-4F * largest)) {
          return "out" + std::to_string(i) + " differs in element " + std::to_string(k);
        }
      }
    }
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace penstock::isolation
