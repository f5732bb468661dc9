#pragma once

#include "cpu/convolution.hpp"
#include "cpu/strided.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::cpu {

inline constexpr std::size_t kMostSpatial = 3;

/// A convolution's geometry with one value for each spatial dimension.
struct ConvolutionShape {
  std::size_t spatial = 0;  ///< Spatial dimensions.
  std::array<std::int64_t, kMostSpatial> stride{};
  std::array<std::int64_t, kMostSpatial> padding{};
  std::array<std::int64_t, kMostSpatial> dilation{};
  std::array<std::int64_t, kMostSpatial> output_padding{};
  std::array<std::int64_t, kMostSpatial + 2> out{};  ///< Sizes of the result.
};

/// Checks what goes together and works out the sizes. Errors: as convolution_output.
ConvolutionShape convolution_shape(const tensor::TensorObject& input, const tensor::TensorObject& weight,
                                   const tensor::TensorObject* bias, const ConvolutionGeometry& geometry);

/// True where PyTorch takes input or weight for channels-last, and so makes the result.
bool convolution_is_channels_last(const tensor::TensorObject& input,
                                  const tensor::TensorObject& weight) noexcept;

}  // namespace penstock::cpu
