// bench_proxy_peer PACKAGE X RESULT BLOCKS CALLS: the same as ours.cpp, on libtorch.
#include "../common/blocks.hpp"
#include "../common/raw.hpp"

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <cstdlib>
#include <iostream>

namespace {

void nothing(const at::Tensor&) {}

TORCH_LIBRARY(fixtures, library) { library.def("nothing(Tensor(a!) x) -> ()"); }
TORCH_LIBRARY_IMPL(fixtures, CompositeExplicitAutograd, library) { library.impl("nothing", nothing); }

}  // namespace

int main(int, char** argv) {
  try {
    std::vector<float> x = bench::read_floats(argv[2]);
    const c10::InferenceMode inference;
    torch::inductor::AOTIModelPackageLoader loader(argv[1], "model", /*run_single_threaded=*/true);
    const std::vector<at::Tensor> inputs{at::from_blob(x.data(), {4, 4})};

    std::FILE* result = std::fopen(argv[3], "wb");
    if (result == nullptr) throw std::runtime_error("cannot write the result");
    const at::Tensor output = loader.run(inputs).at(0).contiguous();
    bench::write_floats(result, output.data_ptr<float>(), static_cast<std::size_t>(output.numel()));
    std::fclose(result);

    bench::time_blocks(std::atoi(argv[4]), std::atoi(argv[5]),
                       [&] { static_cast<void>(loader.run(inputs)); });
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
