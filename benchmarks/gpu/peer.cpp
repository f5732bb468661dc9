// penstock_gpu_peer PACKAGE RESULT BLOCKS INPUT...: the same as call.cpp, on libtorch.
#include "../common/inputs.hpp"
#include "timing.hpp"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>

#include <cstdlib>
#include <iostream>

namespace {

at::ScalarType scalar_type(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "float16") return at::kHalf;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "int64") return at::kLong;
  throw std::runtime_error("no dtype for " + name);
}

/// What the GPU needs for the loader's run as a graph, which a caller could capture.
void time_graph(int blocks, torch::inductor::AOTIModelPackageLoader& loader,
                const std::vector<at::Tensor>& inputs, const c10::cuda::CUDAStream& stream) {
  std::vector<double> gpu;
  try {
    at::cuda::CUDAGraph graph;
    graph.capture_begin({0, 0}, cudaStreamCaptureModeRelaxed);
    const std::vector<at::Tensor> outputs = loader.run(inputs, stream.stream());
    graph.capture_end();
    for (int i = 0; i < 3 * bench::kCalls; ++i) graph.replay();
    stream.synchronize();
    at::cuda::CUDAEvent before(cudaEventDefault);
    at::cuda::CUDAEvent behind(cudaEventDefault);
    gpu = bench::gpu_times(blocks, [&](int calls) {
      before.record(stream);
      for (int i = 0; i < calls; ++i) graph.replay();
      behind.record(stream);
      behind.synchronize();
      return static_cast<double>(before.elapsed_time(behind));
    });
  } catch (const std::exception& error) {
    std::cerr << "the loader's run cannot be captured: " << error.what() << "\n";
  }
  std::printf("{");
  bench::print_list("gpu_us", gpu);
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const c10::InferenceMode inference;
    const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
    const c10::cuda::CUDAStreamGuard guard(stream);
    std::vector<at::Tensor> inputs;
    for (int i = 4; i < argc; ++i) {
      bench::Input given = bench::read_input(argv[i]);
      inputs.push_back(
          at::from_blob(given.bytes.data(), given.sizes, scalar_type(given.dtype)).to(at::kCUDA));
    }
    torch::inductor::AOTIModelPackageLoader loader(argv[1]);
    const at::Tensor first = loader.run(inputs, stream.stream()).at(0).contiguous().cpu();
    std::FILE* const file = std::fopen(argv[2], "wb");
    if (file == nullptr) throw std::runtime_error("cannot write the result");
    std::fwrite(first.data_ptr(), 1, first.nbytes(), file);
    std::fclose(file);
    bench::tell_first_output();
    if (const int blocks = std::atoi(argv[3]); blocks > 0) {
      bench::time_calls(
          blocks, [&] { static_cast<void>(loader.run(inputs, stream.stream())); },
          [&] { stream.synchronize(); });
      // Last, since the loader asks for events of runs before, which those of a capture do not answer.
      time_graph(blocks, loader, inputs, stream);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
