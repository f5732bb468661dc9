// penstock_gpu_call PACKAGE RESULT BLOCKS INPUT...: writes the first output of one run, as raw bytes, then
// times runs on a stream. With 0 blocks it ends after the first output, which is what a start is measured by.
#include "../common/inputs.hpp"
#include "timing.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/penstock.hpp>

#include <cstdlib>
#include <iostream>

namespace {

void write(const char* path, const penstock::Tensor& tensor) {
  std::FILE* const file = std::fopen(path, "wb");
  if (file == nullptr) throw std::runtime_error("cannot write the result");
  std::fwrite(tensor.view().data(), 1, tensor.view().storage_bytes(), file);
  std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    constexpr penstock::Device kGpu{penstock::DeviceType::Cuda, 0};
    std::vector<penstock::Tensor> inputs;
    std::vector<penstock::TensorView> views;
    for (int i = 4; i < argc; ++i) {
      bench::Input given = bench::read_input(argv[i]);
      const penstock::TensorView host(given.bytes.data(), penstock::dtype_from_name(given.dtype).value(),
                                      given.sizes);
      inputs.push_back(penstock::copy_to_device(host, kGpu));
      views.push_back(inputs.back().view());
    }
    const penstock::Model model = penstock::Model::load(
        penstock::Package::open(argv[1]), {.model = {}, .device = kGpu, .weights = {}, .progress = {}});
    penstock::Session session(model);
    const penstock::Stream stream = penstock::Stream::create();
    const std::vector<penstock::Tensor> first = session.enqueue(views, stream);
    stream.view().synchronize();
    write(argv[2], penstock::copy_to_host(first.at(0).view()));
    bench::tell_first_output();
    if (const int blocks = std::atoi(argv[3]); blocks > 0) {
      bench::time_calls(
          blocks, [&] { static_cast<void>(session.enqueue(views, stream)); },
          [&] { stream.view().synchronize(); });
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
