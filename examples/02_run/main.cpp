// Runs a classifier on a file of images and counts how many it reads right:
//
//     example_02_run digits.pt2 heldout.npz labels.npy
#include <penstock/penstock.hpp>

#include <algorithm>
#include <iostream>
#include <span>

namespace {

/// The class with the highest score in a row.
std::int64_t best(std::span<const float> scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

int classify(const char* package_file, const char* images_file, const char* labels_file) {
  // Opening reads the file's index and runs nothing of it; loading runs the package's code.
  const penstock::Package package = penstock::Package::open(package_file);
  const penstock::Model model = penstock::Model::load(package);

  // A session is the mutable part. One thread uses it at a time; any number of them share a model.
  penstock::Session session(model);

  const penstock::NamedTensors images = penstock::read_tensors(images_file);
  const penstock::Tensor labels = penstock::read_tensors(labels_file).at(0).second;

  // The input is checked against what the model was exported for before any of it runs.
  const penstock::TensorView input = images.at(0).second.view();
  const penstock::Tensor scores = session.run({&input, 1}).at(0);

  const std::int64_t rows = scores.sizes()[0];
  const std::int64_t classes = scores.sizes()[1];
  if (labels.numel() != rows) {
    std::cerr << "error: " << rows << " images, but " << labels.numel() << " labels\n";
    return 1;
  }
  const auto* score = scores.data_as<float>();
  const auto* label = labels.data_as<std::int64_t>();
  std::int64_t right = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::span<const float> row_scores(score + row * classes, static_cast<std::size_t>(classes));
    if (best(row_scores) == label[row]) ++right;
  }
  std::cout << right << " of " << rows << " digits read right\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " DIGITS.pt2 IMAGES.npz LABELS.npy\n";
    return 2;
  }
  try {
    return classify(argv[1], argv[2], argv[3]);
  } catch (const penstock::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
