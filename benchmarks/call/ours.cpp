// bench_call_ours PACKAGE X Y RESULT BLOCKS CALLS run|run_borrowed: writes the result of one call as raw
// floats, then times calls.
#include "../common/blocks.hpp"
#include "../common/raw.hpp"

#include <penstock/penstock.hpp>

#include <array>
#include <cstdlib>
#include <iostream>
#include <string_view>

int main(int, char** argv) {
  try {
    std::vector<float> x = bench::read_floats(argv[2]);
    std::vector<float> y = bench::read_floats(argv[3]);
    const penstock::Model model = penstock::Model::load(penstock::Package::open(argv[1]));
    penstock::Session session(model, {.threads = 1});
    const std::array inputs{penstock::TensorView(x.data(), penstock::DType::Float32, {8, 64}),
                            penstock::TensorView(y.data(), penstock::DType::Float32, {8, 64})};

    std::FILE* result = std::fopen(argv[4], "wb");
    if (result == nullptr) throw std::runtime_error("cannot write the result");
    const penstock::Tensor output = session.run(inputs).at(0);
    bench::write_floats(result, output.data_as<float>(), static_cast<std::size_t>(output.numel()));
    std::fclose(result);

    const int blocks = std::atoi(argv[5]);
    const int calls = std::atoi(argv[6]);
    if (std::string_view(argv[7]) == "run") {
      bench::time_blocks(blocks, calls, [&] { static_cast<void>(session.run(inputs)); });
    } else {
      bench::time_blocks(blocks, calls, [&] { static_cast<void>(session.run_borrowed(inputs)); });
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
