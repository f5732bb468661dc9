// bench_models_ours PACKAGE RESULT BLOCKS CALLS THREADS INPUT...: prints how long loading took, writes the
// first output of one run as raw floats, then times runs.
#include "../common/blocks.hpp"
#include "../common/inputs.hpp"
#include "../common/raw.hpp"

#include <penstock/penstock.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  try {
    std::vector<bench::Input> given;
    for (int i = 6; i < argc; ++i) given.push_back(bench::read_input(argv[i]));
    std::vector<penstock::TensorView> inputs;
    for (bench::Input& input : given) {
      inputs.emplace_back(input.bytes.data(), penstock::dtype_from_name(input.dtype).value(), input.sizes);
    }
    const auto start = std::chrono::steady_clock::now();
    const penstock::Model model = penstock::Model::load(penstock::Package::open(argv[1]));
    penstock::Session session(model, {.threads = std::atoi(argv[5])});
    const std::chrono::duration<double, std::milli> loaded = std::chrono::steady_clock::now() - start;
    std::printf("%.4f\n", loaded.count());

    std::FILE* result = std::fopen(argv[2], "wb");
    if (result == nullptr) throw std::runtime_error("cannot write the result");
    const penstock::Tensor output = session.run(inputs).at(0).clone();
    bench::write_floats(result, output.data_as<float>(), static_cast<std::size_t>(output.numel()));
    std::fclose(result);

    bench::time_blocks(std::atoi(argv[3]), std::atoi(argv[4]),
                       [&] { static_cast<void>(session.run(inputs)); });
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
