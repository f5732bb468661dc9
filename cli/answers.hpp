#pragma once

#include <penstock/tensor.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// What a classifier says: the best classes of each row, their names, and how often they are right.
namespace penstock::cli {

/// The rows of scores in an output: all leading sizes together, by the last size.
struct Scores {
  Tensor tensor;  ///< Row-major.
  std::int64_t rows = 0;
  std::int64_t classes = 0;

  [[nodiscard]] double at(std::int64_t row, std::int64_t index) const noexcept;
  /// The `count` best classes of a row, best first; the lower class first where they are equal.
  [[nodiscard]] std::vector<std::int64_t> best(std::int64_t row, std::int64_t count) const;
};

/// Throws UsageError where the output has no row of numbers.
Scores scores_of(const std::string& name, const Tensor& output);

/// The names of classes, one a line. Throws where the file cannot be read.
std::vector<std::string> read_labels(const std::filesystem::path& path);

/// The name of a class: its label, or its number where there are no labels.
std::string label_of(const std::vector<std::string>& labels, std::int64_t index);

/// The true class of each row, from a .npy file of integers. Throws Error for another file.
std::vector<std::int64_t> read_truth(const std::filesystem::path& path);

/// One line a row with its best classes and their values.
std::string top_text(const Scores& scores, std::int64_t count, const std::vector<std::string>& labels);

/// "accuracy  350 of 360 (97.2 %)". Throws UsageError where there are more or fewer rows than truth.
std::string accuracy_text(const Scores& scores, const std::vector<std::int64_t>& truth);

}  // namespace penstock::cli
