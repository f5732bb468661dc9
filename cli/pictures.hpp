#pragma once

#include <penstock/tensor.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace penstock::cli {

/// The first images of an input [N, 1, H, W] or [N, H, W] in block characters by brightness, side by
/// side as far as a terminal of 80 columns goes, each with its caption below.
/// Throws UsageError for another tensor, or images too large for a terminal.
std::string pictures(const std::string& name, const Tensor& images,
                     const std::function<std::string(std::int64_t)>& caption);

}  // namespace penstock::cli
