// Says what a package holds and what it needs, without running anything of it:
//
//     example_01_inspect model.pt2
#include <penstock/error.hpp>
#include <penstock/package.hpp>

#include <iostream>

namespace {

void print(const penstock::ModelInfo& model) {
  std::cout << "model " << model.name << "\n";
  // Names, dtypes and sizes as the package's text tells them. `Model::load` asks the code itself.
  for (const penstock::TensorSpec& input : model.input_hints) {
    std::cout << "  input " << input.name;
    if (!input.keyword.empty()) std::cout << " (" << input.keyword << ")";
    std::cout << ": " << to_string(input) << "\n";
  }
  for (const std::string& output : model.output_names) std::cout << "  output " << output << "\n";
  std::cout << "  needs " << model.needs.architecture;
  for (const std::string& set : model.needs.instruction_sets) std::cout << " " << set;
  std::cout << ", glibc " << model.needs.glibc << "\n";

  // Every obstacle is a sentence that says what is missing and what to do about it.
  for (const std::string& obstacle : model.obstacles) std::cout << "  obstacle: " << obstacle << "\n";
  std::cout << (model.obstacles.empty() ? "  can run here\n" : "  cannot run here\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " FILE.pt2\n";
    return 2;
  }
  try {
    const penstock::Package package = penstock::Package::open(argv[1]);
    std::cout << package.name() << ", " << package.bytes() << " bytes\n";
    for (const penstock::ModelInfo& model : package.models()) print(model);
    return 0;
  } catch (const penstock::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
