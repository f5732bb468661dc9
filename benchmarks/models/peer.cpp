// bench_models_peer PACKAGE RESULT BLOCKS CALLS THREADS INPUT...: the same as ours.cpp, on libtorch.
#include "../common/blocks.hpp"
#include "../common/inputs.hpp"
#include "../common/raw.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

namespace {

at::ScalarType scalar_type(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "int64") return at::kLong;
  throw std::runtime_error("no dtype for " + name);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<bench::Input> given;
    for (int i = 6; i < argc; ++i) given.push_back(bench::read_input(argv[i]));
    at::set_num_threads(std::atoi(argv[5]));
    const c10::InferenceMode inference;
    std::vector<at::Tensor> inputs;
    for (bench::Input& input : given) {
      inputs.push_back(at::from_blob(input.bytes.data(), input.sizes, scalar_type(input.dtype)));
    }
    const auto start = std::chrono::steady_clock::now();
    torch::inductor::AOTIModelPackageLoader loader(argv[1]);
    const std::chrono::duration<double, std::milli> loaded = std::chrono::steady_clock::now() - start;
    std::printf("%.4f\n", loaded.count());

    std::FILE* result = std::fopen(argv[2], "wb");
    if (result == nullptr) throw std::runtime_error("cannot write the result");
    const at::Tensor output = loader.run(inputs).at(0).contiguous();
    bench::write_floats(result, output.data_ptr<float>(), static_cast<std::size_t>(output.numel()));
    std::fclose(result);

    bench::time_blocks(std::atoi(argv[3]), std::atoi(argv[4]),
                       [&] { static_cast<void>(loader.run(inputs)); });
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
