// beside_libtorch ours|torch PACKAGES NAME...: runs each package with both libraries in one process, the
// one that is named first, then the other, then the first again.

#include "agree.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// With libtorch: `add` takes two tensors of 8x64, `mlp` one.
std::string torch_disagreement(const std::string& stem) {
  torch::inductor::AOTIModelPackageLoader loader(stem + ".pt2");
  std::vector<std::vector<float>> numbers =
      penstock::isolation::recorded_numbers(stem + ".inputs.safetensors");
  std::vector<at::Tensor> inputs;
  for (std::vector<float>& input : numbers) inputs.push_back(at::from_blob(input.data(), {8, 64}));
  const std::vector<at::Tensor> outputs = loader.run(inputs);
  const auto expected = penstock::isolation::recorded_numbers(stem + ".outputs.safetensors");
  const at::Tensor given = outputs.at(0).contiguous();
  if (static_cast<std::size_t>(given.numel()) != expected.at(0).size()) return "libtorch: another size";
  for (std::size_t i = 0; i < expected[0].size(); ++i) {
    if (!(std::abs(given.data_ptr<float>()[i] - expected[0][i]) < 1e-3F)) return "libtorch: another value";
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const bool ours_first = std::string_view(argv[1]) == "ours";
    for (int i = 3; i < argc; ++i) {
      const std::string stem = std::string(argv[2]) + "/" + argv[i];
      for (int time = 0; time < 3; ++time) {
        const bool ours = ours_first == (time % 2 == 0);
        const std::string problem = ours ? penstock::isolation::disagreement(stem) : torch_disagreement(stem);
        if (!problem.empty()) {
          std::printf("%s: %s\n", argv[i], problem.c_str());
          return 1;
        }
      }
    }
    return 0;
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
