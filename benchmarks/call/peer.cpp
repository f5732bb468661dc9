// bench_call_peer PACKAGE X Y RESULT BLOCKS CALLS pooled|single: the same as ours.cpp, on libtorch;
// `single` asks the loader for its run without locks.
#include "../common/blocks.hpp"
#include "../common/raw.hpp"

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

int main(int, char** argv) {
  try {
    std::vector<float> x = bench::read_floats(argv[2]);
    std::vector<float> y = bench::read_floats(argv[3]);
    const c10::InferenceMode inference;
    const bool single = std::string_view(argv[7]) == "single";
    torch::inductor::AOTIModelPackageLoader loader(argv[1], "model", single);
    const std::vector<at::Tensor> inputs{at::from_blob(x.data(), {8, 64}), at::from_blob(y.data(), {8, 64})};

    std::FILE* result = std::fopen(argv[4], "wb");
    if (result == nullptr) throw std::runtime_error("cannot write the result");
    const at::Tensor output = loader.run(inputs).at(0).contiguous();
    bench::write_floats(result, output.data_ptr<float>(), static_cast<std::size_t>(output.numel()));
    std::fclose(result);

    bench::time_blocks(std::atoi(argv[5]), std::atoi(argv[6]),
                       [&] { static_cast<void>(loader.run(inputs)); });
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
