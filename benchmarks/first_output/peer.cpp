// bench_first_output_peer PACKAGE IMAGE: the same as ours.cpp, on libtorch.
#include "../common/raw.hpp"

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>

#include <iostream>

int main(int, char** argv) {
  try {
    std::vector<float> image = bench::read_floats(argv[2]);
    const c10::InferenceMode inference;
    torch::inductor::AOTIModelPackageLoader loader(argv[1]);
    const std::vector<at::Tensor> inputs{at::from_blob(image.data(), {1, 1, 8, 8})};
    const at::Tensor scores = loader.run(inputs).at(0).contiguous();
    bench::write_floats(stdout, scores.data_ptr<float>(), static_cast<std::size_t>(scores.numel()));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
