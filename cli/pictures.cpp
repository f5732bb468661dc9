#include "pictures.hpp"

#include "report.hpp"
#include "values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

namespace penstock::cli {
namespace {

constexpr std::int64_t kTerminalColumns = 80;
constexpr std::int64_t kRowsOfPictures = 2;
constexpr std::int64_t kMargin = 2;
// Each pixel is two columns wide, which is about square.
constexpr std::array<std::string_view, 5> kShades{"  ", "░░", "▒▒", "▓▓", "██"};

struct Images {
  const std::byte* data;
  DType dtype;
  std::int64_t count;
  std::int64_t height;
  std::int64_t width;
  double darkest = 0;
  double brightest = 0;

  [[nodiscard]] double pixel(std::int64_t index) const noexcept {
    return number_at(data + static_cast<std::size_t>(index) * element_bytes(dtype), dtype);
  }
  [[nodiscard]] std::string_view shade(std::int64_t image, std::int64_t y, std::int64_t x) const noexcept {
    const double range = brightest - darkest;
    const double level = range > 0 ? (pixel((image * height + y) * width + x) - darkest) / range : 0;
    const double step = std::clamp(level, 0.0, 1.0) * (kShades.size() - 1) + 0.5;
    // What is not a number is shown dark.
    return kShades[step >= 0 ? static_cast<std::size_t>(step) : 0];
  }
};

Images images_of(const std::string& name, const Tensor& tensor) {
  const auto sizes = tensor.sizes();
  const std::size_t rank = sizes.size();
  const bool fits = (rank == 3 || (rank == 4 && sizes[1] == 1)) && !is_complex(tensor.dtype()) &&
                    sizes[rank - 1] <= kTerminalColumns / 2 - kMargin &&
                    sizes[rank - 2] <= kTerminalColumns / 2;
  if (!fits) {
    throw UsageError(
        fmt::format("--ascii-image: {} is {}; pictures are made of [N, 1, H, W] or [N, H, W] with at "
                    "most {} pixels a side",
                    name, to_string(tensor.view()), kTerminalColumns / 2 - kMargin));
  }
  Images images{static_cast<const std::byte*>(tensor.view().data()), tensor.dtype(), sizes[0],
                sizes[rank - 2], sizes[rank - 1]};
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    images.darkest = std::min(images.darkest, images.pixel(i));
    images.brightest = std::max(images.brightest, images.pixel(i));
  }
  return images;
}

}  // namespace

std::string pictures(const std::string& name, const Tensor& input,
                     const std::function<std::string(std::int64_t)>& caption) {
  const Tensor tensor = input.view().is_contiguous() ? input : input.clone();
  const Images images = images_of(name, tensor);
  const std::int64_t columns = 2 * images.width + kMargin;
  const std::int64_t per_row = std::max<std::int64_t>(kTerminalColumns / columns, 1);
  const std::int64_t shown = std::min(images.count, per_row * kRowsOfPictures);
  std::string out;
  for (std::int64_t first = 0; first < shown; first += per_row) {
    const std::int64_t end = std::min(first + per_row, shown);
    for (std::int64_t y = 0; y < images.height; ++y) {
      for (std::int64_t image = first; image < end; ++image) {
        out.append(kMargin, ' ');
        for (std::int64_t x = 0; x < images.width; ++x) out += images.shade(image, y, x);
      }
      out += '\n';
    }
    for (std::int64_t image = first; image < end; ++image) {
      out.append(kMargin, ' ');
      fmt::format_to(std::back_inserter(out), "{:<{}}", caption(image), 2 * images.width);
    }
    out += "\n\n";
  }
  return out;
}

}  // namespace penstock::cli
