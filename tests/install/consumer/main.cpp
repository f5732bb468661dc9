// Loads a package and runs it on the tensors of a file: consumer FILE.pt2 INPUTS OUTPUTS
#include <penstock/penstock.hpp>

#include <cmath>
#include <iostream>

int main(int, char** argv) {
  try {
    const penstock::Model model = penstock::Model::load(penstock::Package::open(argv[1]));
    std::vector<penstock::TensorView> inputs;
    const penstock::NamedTensors given = penstock::read_tensors(argv[2]);
    for (const auto& [name, tensor] : given) inputs.push_back(tensor.view());
    const penstock::Tensor output = penstock::Session(model).run(inputs).at(0);
    const penstock::Tensor expected = penstock::read_tensors(argv[3]).at(0).second;
    if (output.numel() != expected.numel()) return 1;
    for (std::int64_t i = 0; i < output.numel(); ++i) {
      if (std::abs(output.data_as<float>()[i] - expected.data_as<float>()[i]) > 1e-4F) return 1;
    }
    std::cout << "penstock " << penstock::version() << " gave what was expected\n";
    return 0;
  } catch (const penstock::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
