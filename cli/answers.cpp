#include "answers.hpp"

#include "report.hpp"
#include "values.hpp"

#include <penstock/error.hpp>
#include <penstock/io.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <memory>
#include <numeric>
#include <system_error>

namespace penstock::cli {

double Scores::at(std::int64_t row, std::int64_t index) const noexcept {
  const auto offset = static_cast<std::size_t>(row * classes + index) * element_bytes(tensor.dtype());
  return number_at(static_cast<const std::byte*>(tensor.view().data()) + offset, tensor.dtype());
}

std::vector<std::int64_t> Scores::best(std::int64_t row, std::int64_t count) const {
  std::vector<std::int64_t> order(static_cast<std::size_t>(classes));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto end = order.begin() + std::min(count, classes);
  std::partial_sort(order.begin(), end, order.end(), [&](std::int64_t a, std::int64_t b) {
    const double left = at(row, a);
    const double right = at(row, b);
    // What is not a number comes last: it has to have a place for the order to be one.
    if (std::isnan(left) != std::isnan(right)) return std::isnan(right);
    return left != right && !std::isnan(left) ? left > right : a < b;
  });
  order.erase(end, order.end());
  return order;
}

Scores scores_of(const std::string& name, const Tensor& output) {
  const bool numbers = is_floating(output.dtype()) || is_integer(output.dtype());
  if (output.view().rank() == 0 || output.sizes().back() == 0 || !numbers) {
    throw UsageError(
        fmt::format("{} is {}, which has no rows of scores; leave out --top-k and --accuracy-against", name,
                    to_string(output.view())));
  }
  Scores scores;
  scores.tensor = output.view().is_contiguous() ? output : output.clone();
  scores.classes = output.sizes().back();
  scores.rows = output.numel() / scores.classes;
  return scores;
}

std::vector<std::string> read_labels(const std::filesystem::path& path) {
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) {
    throw std::runtime_error(
        fmt::format("{}: cannot be opened: {}", path.string(), std::generic_category().message(errno)));
  }
  std::vector<std::string> labels;
  std::string line;
  for (int c = std::fgetc(file.get()); c != EOF; c = std::fgetc(file.get())) {
    if (c == '\n') {
      labels.push_back(std::exchange(line, {}));
    } else if (c != '\r') {
      line += static_cast<char>(c);
    }
  }
  if (!line.empty()) labels.push_back(line);
  if (std::ferror(file.get()) != 0)
    throw std::runtime_error(fmt::format("{}: cannot be read", path.string()));
  return labels;
}

std::string label_of(const std::vector<std::string>& labels, std::int64_t index) {
  if (labels.empty()) return std::to_string(index);
  return printable(labels[static_cast<std::size_t>(index)]);
}

std::vector<std::int64_t> read_truth(const std::filesystem::path& path) {
  const NamedTensors tensors = read_tensors(path);
  if (tensors.size() != 1 || !is_integer(tensors[0].second.dtype())) {
    throw std::runtime_error(
        fmt::format("{}: is not one array of integers; give the true class of each row", path.string()));
  }
  const Tensor& tensor = tensors[0].second;
  std::vector<std::int64_t> truth;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    const auto offset = static_cast<std::size_t>(i) * element_bytes(tensor.dtype());
    const auto* element = static_cast<const std::byte*>(tensor.view().data()) + offset;
    truth.push_back(static_cast<std::int64_t>(number_at(element, tensor.dtype())));
  }
  return truth;
}

std::string top_text(const Scores& scores, std::int64_t count, const std::vector<std::string>& labels) {
  std::size_t width = 0;
  for (std::int64_t i = 0; i < scores.classes; ++i) width = std::max(width, label_of(labels, i).size());
  const std::size_t row_width = std::to_string(std::max<std::int64_t>(scores.rows - 1, 0)).size();
  std::string out;
  for (std::int64_t row = 0; row < scores.rows; ++row) {
    fmt::format_to(std::back_inserter(out), "  row {:>{}}", row, row_width);
    for (const std::int64_t index : scores.best(row, count)) {
      const std::string value = fmt::format("{:.5g}", scores.at(row, index));
      fmt::format_to(std::back_inserter(out), "   {:<{}} {:>9}", label_of(labels, index), width, value);
    }
    out += '\n';
  }
  return out;
}

std::string accuracy_text(const Scores& scores, const std::vector<std::int64_t>& truth) {
  if (truth.size() != static_cast<std::size_t>(scores.rows) || scores.rows == 0) {
    throw UsageError(fmt::format("--accuracy-against: {} true classes for {} rows; give one for each",
                                 truth.size(), scores.rows));
  }
  std::int64_t right = 0;
  for (std::int64_t row = 0; row < scores.rows; ++row) {
    if (scores.best(row, 1)[0] == truth[static_cast<std::size_t>(row)]) ++right;
  }
  return fmt::format("accuracy  {} of {} ({:.1f} %)\n", right, scores.rows,
                     100.0 * static_cast<double>(right) / static_cast<double>(scores.rows));
}

}  // namespace penstock::cli
