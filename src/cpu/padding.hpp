#pragma once

#include "cpu/dims.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace penstock::cpu {

/// What lies around a tensor that is padded.
enum class PadMode { Constant, Reflect, Replicate, Circular };

/// By PyTorch's names: "constant", "reflect", "replicate", "circular". Errors: InvalidArgument.
PadMode pad_mode(std::string_view name);

struct PadLayout {
  Dims sizes;
  Dims strides;
};

/// What torch.nn.functional.pad gives: `pad` has pairs before and after, for the last dimension first;
/// negative ones cut off. Errors: InvalidArgument names what does not fit the input.
PadLayout pad_layout(const tensor::TensorObject& input, std::span<const std::int64_t> pad, PadMode mode);

/// Pads into `out`, made as pad_layout says; `value` is for PadMode::Constant.
/// Errors: as there; Unsupported dtype. Source: torch.nn.functional.pad.
void pad(tensor::TensorObject& out, const tensor::TensorObject& input, std::span<const std::int64_t> pad,
         PadMode mode, double value);

}  // namespace penstock::cpu
