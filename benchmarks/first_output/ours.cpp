// bench_first_output_ours PACKAGE IMAGE: loads, runs one image of 64 raw floats, writes the raw scores.
#include "../common/raw.hpp"

#include <penstock/penstock.hpp>

#include <iostream>

int main(int, char** argv) {
  try {
    std::vector<float> image = bench::read_floats(argv[2]);
    const penstock::Model model = penstock::Model::load(penstock::Package::open(argv[1]));
    penstock::Session session(model);
    const penstock::TensorView input(image.data(), penstock::DType::Float32, {1, 1, 8, 8});
    const penstock::Tensor scores = session.run({&input, 1}).at(0);
    bench::write_floats(stdout, scores.data_as<float>(), static_cast<std::size_t>(scores.numel()));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
