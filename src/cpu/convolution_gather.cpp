#include "cpu/convolution_gather.hpp"

#include "base/fail.hpp"
#include "cpu/gemm_kernels.hpp"
#include "cpu/op_state_impl.hpp"
#include "cpu/parallel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <type_traits>
#include <vector>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;
using Spatial = std::array<std::int64_t, 3>;

/// Elements gathered at a time: about what a second-level cache holds.
constexpr std::int64_t kGathered = 1 << 16;

/// No element of the input lies there.
constexpr std::int64_t kOutside = -1;

/// The input's element that one of the kernel's meets at each place of the output, in one dimension.
struct Meeting {
  std::int64_t places;
  std::vector<std::int64_t> index;  ///< [kernel][places]

  [[nodiscard]] const std::int64_t* line(std::int64_t kernel) const { return index.data() + kernel * places; }
};

struct Sizes {
  std::int64_t kernel, input, out;
};

Meeting meet(const Sizes& sizes, std::size_t i, const ConvolutionShape& shape, bool transposed) {
  Meeting meeting{sizes.out, {}};
  for (std::int64_t k = 0; k < sizes.kernel; ++k) {
    for (std::int64_t o = 0; o < sizes.out; ++o) {
      std::int64_t at = 0;
      bool meets = true;
      if (transposed) {
        const std::int64_t moved = o + shape.padding[i] - k * shape.dilation[i];
        at = moved / shape.stride[i];
        meets = moved >= 0 && moved % shape.stride[i] == 0;
      } else {
        at = o * shape.stride[i] - shape.padding[i] + k * shape.dilation[i];
      }
      meeting.index.push_back(meets && at >= 0 && at < sizes.input ? at : kOutside);
    }
  }
  return meeting;
}

/// The call in numbers, with three spatial dimensions whatever there are.
struct Problem {
  const TensorObject& input;
  const TensorObject& weight;
  const TensorObject* bias;
  TensorObject& out;
  std::int64_t groups, inputs, outputs;  ///< Channels of one group.
  Spatial kernel{1, 1, 1}, places{1, 1, 1};
  Spatial input_stride{}, weight_stride{}, out_stride{};
  std::array<Meeting, 3> meetings;
  std::int64_t depth = 0;  ///< Elements that one element of the output is the sum of.
  std::int64_t area = 0;   ///< Elements of one channel of the output.
  std::int64_t part = 0;   ///< Of them, how many are made at a time.
  std::int64_t weight_out_stride, weight_in_stride;
};

Problem make_problem(TensorObject& out, const TensorObject& input, const TensorObject& weight,
                     const TensorObject* bias, const ConvolutionGeometry& geometry,
                     const ConvolutionShape& shape) {
  const bool transposed = geometry.transposed;
  Problem problem{.input = input,
                  .weight = weight,
                  .bias = bias,
                  .out = out,
                  .groups = geometry.groups,
                  .inputs = input.size[1] / geometry.groups,
                  .outputs = shape.out[1] / geometry.groups,
                  .meetings = {},
                  .weight_out_stride = weight.stride[transposed ? 1 : 0],
                  .weight_in_stride = weight.stride[transposed ? 0 : 1]};
  const std::size_t missing = 3 - shape.spatial;
  for (std::size_t i = 0; i < missing; ++i) problem.meetings[i] = {1, {0}};
  for (std::size_t i = 0; i < shape.spatial; ++i) {
    const std::size_t to = missing + i;
    problem.kernel[to] = weight.size[i + 2];
    problem.places[to] = shape.out[i + 2];
    problem.input_stride[to] = input.stride[i + 2];
    problem.weight_stride[to] = weight.stride[i + 2];
    problem.out_stride[to] = out.stride[i + 2];
    problem.meetings[to] =
        meet({weight.size[i + 2], input.size[i + 2], shape.out[i + 2]}, i, shape, transposed);
  }
  problem.depth = problem.inputs * problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
  problem.area = problem.places[0] * problem.places[1] * problem.places[2];
  const std::int64_t wanted =
      std::max<std::int64_t>(kGathered / std::max<std::int64_t>(problem.depth, 1), 16);
  problem.part = std::min(wanted, problem.area);
  return problem;
}

/// Calls `work(channel, depth, height, width)` for every element of the kernel, in the order of the sums.
template <class Work>
void for_each_kernel_element(const Problem& problem, Work&& work) {
  for (std::int64_t c = 0; c < problem.inputs; ++c) {
    for (std::int64_t d = 0; d < problem.kernel[0]; ++d) {
      for (std::int64_t h = 0; h < problem.kernel[1]; ++h) {
        for (std::int64_t w = 0; w < problem.kernel[2]; ++w) work(c, d, h, w);
      }
    }
  }
}

/// Calls `work(depth, height, width)` for places [first, first + count) of the output.
template <class Work>
void for_each_place(const Problem& problem, std::int64_t first, std::int64_t count, Work&& work) {
  std::int64_t w = first % problem.places[2];
  std::int64_t h = first / problem.places[2] % problem.places[1];
  std::int64_t d = first / problem.places[2] / problem.places[1];
  for (std::int64_t i = 0; i < count; ++i) {
    work(d, h, w);
    if (++w < problem.places[2]) continue;
    w = 0;
    if (++h < problem.places[1]) continue;
    h = 0;
    ++d;
  }
}

/// [groups][outputs][depth], without gaps.
template <class T>
void gather_weights(const Problem& problem, T* to) {
  const auto* const from = reinterpret_cast<const T*>(problem.weight.data);
  // A transposed convolution's weight has the groups among its input channels.
  const std::int64_t group_stride = problem.weight.stride[0] * (problem.weight.size[0] / problem.groups);
  for (std::int64_t g = 0; g < problem.groups; ++g) {
    for (std::int64_t o = 0; o < problem.outputs; ++o) {
      for_each_kernel_element(problem, [&](std::int64_t c, std::int64_t d, std::int64_t h, std::int64_t w) {
        *to++ =
            from[g * group_stride + o * problem.weight_out_stride + c * problem.weight_in_stride +
                 d * problem.weight_stride[0] + h * problem.weight_stride[1] + w * problem.weight_stride[2]];
      });
    }
  }
}

/// [depth][count]: what the kernel meets at places [first, first + count).
template <class T>
void gather_input(const Problem& problem, const T* image, std::int64_t first, std::int64_t count, T* to) {
  for_each_kernel_element(problem, [&](std::int64_t c, std::int64_t kd, std::int64_t kh, std::int64_t kw) {
    const T* const channel = image + c * problem.input.stride[1];
    const std::int64_t* const depths = problem.meetings[0].line(kd);
    const std::int64_t* const heights = problem.meetings[1].line(kh);
    const std::int64_t* const widths = problem.meetings[2].line(kw);
    for_each_place(problem, first, count, [&](std::int64_t d, std::int64_t h, std::int64_t w) {
      const bool inside = depths[d] != kOutside && heights[h] != kOutside && widths[w] != kOutside;
      *to++ = inside ? channel[depths[d] * problem.input_stride[0] + heights[h] * problem.input_stride[1] +
                               widths[w] * problem.input_stride[2]]
                     : T{0};
    });
  });
}

/// Adds the bias to [outputs][count] and writes it where it belongs.
template <class T>
void write_part(const Problem& problem, std::int64_t image, std::int64_t group, std::int64_t first,
                std::int64_t count, const T* from) {
  auto* const out = reinterpret_cast<T*>(problem.out.data) + image * problem.out.stride[0];
  for (std::int64_t o = 0; o < problem.outputs; ++o) {
    const std::int64_t channel = group * problem.outputs + o;
    T addend = 0;
    if (problem.bias != nullptr) {
      addend = reinterpret_cast<const T*>(problem.bias->data)[channel * problem.bias->stride[0]];
    }
    T* const to = out + channel * problem.out.stride[1];
    for_each_place(problem, first, count, [&](std::int64_t d, std::int64_t h, std::int64_t w) {
      to[d * problem.out_stride[0] + h * problem.out_stride[1] + w * problem.out_stride[2]] =
          static_cast<T>(*from++ + addend);
    });
  }
}

template <class T>
void multiply(const GemmCall& call) {
  if constexpr (std::is_same_v<T, double>) {
    gemm_kernels().float64(call);
  } else if constexpr (std::is_same_v<T, float>) {
    gemm_kernels().float32(call);
  } else if constexpr (sizeof(T) == 1) {
    kGemmBaseline.integer8(call);
  } else if constexpr (sizeof(T) == 2) {
    kGemmBaseline.integer16(call);
  } else if constexpr (sizeof(T) == 4) {
    kGemmBaseline.integer32(call);
  } else {
    kGemmBaseline.integer64(call);
  }
}

/// One part of one group of one image, in memory of [depth + outputs][part].
template <class T>
void make_part(const Problem& problem, std::int64_t task, const T* weights, T* memory) {
  const std::int64_t parts = (problem.area + problem.part - 1) / problem.part;
  const std::int64_t first = task % parts * problem.part;
  const std::int64_t group = task / parts % problem.groups;
  const std::int64_t image = task / parts / problem.groups;
  const std::int64_t count = std::min(problem.part, problem.area - first);
  T* const sums = memory + problem.depth * problem.part;
  if (problem.depth == 0) {
    std::fill_n(sums, problem.outputs * count, T{0});
  } else {
    const auto* const input = reinterpret_cast<const T*>(problem.input.data);
    gather_input<T>(
        problem, input + image * problem.input.stride[0] + group * problem.inputs * problem.input.stride[1],
        first, count, memory);
    multiply<T>({.rows = problem.outputs,
                 .columns = count,
                 .depth = problem.depth,
                 .a = {weights + group * problem.outputs * problem.depth, problem.depth, false},
                 .b = {memory, count, false},
                 .c = sums,
                 .c_stride = count,
                 .alpha = 1,
                 .beta = 0});
  }
  write_part(problem, image, group, first, count, sums);
}

template <class T>
void convolve(OpContext& context, const Problem& problem) {
  const std::int64_t parts = (problem.area + problem.part - 1) / problem.part;
  const std::int64_t tasks = problem.out.size[0] * problem.groups * parts;
  const int workers = static_cast<int>(std::clamp<std::int64_t>(context.threads, 1, tasks));
  const auto each = static_cast<std::size_t>((problem.depth + problem.outputs) * problem.part);
  Scratch& scratch = context.state.impl().scratch;
  auto* const weights = reinterpret_cast<T*>(
      scratch.get(ScratchUse::Right,
                  static_cast<std::size_t>(problem.groups * problem.outputs * problem.depth) * sizeof(T)));
  auto* const memory = reinterpret_cast<T*>(
      scratch.get(ScratchUse::Left, each * static_cast<std::size_t>(workers) * sizeof(T)));
  gather_weights<T>(problem, weights);
  std::atomic<bool> is_out_of_memory{false};
  for_each_range(tasks, workers, [&](const TaskRange& range) noexcept {
    try {
      for (std::int64_t task = range.begin; task < range.end; ++task) {
        make_part<T>(problem, task, weights, memory + each * static_cast<std::size_t>(range.worker));
      }
    } catch (const std::bad_alloc&) {
      is_out_of_memory = true;
    }
  });
  if (is_out_of_memory) base::fail(ErrorCode::OutOfMemory, "convolution: out of memory in a product");
}

}  // namespace

bool is_gathered(DType dtype) noexcept {
  switch (dtype) {
    case DType::Float64:
    case DType::UInt8:
    case DType::Int8:
    case DType::Int16:
    case DType::Int32:
    case DType::Int64: return true;
    default: return false;
  }
}

void convolution_by_gathering(OpContext& context, TensorObject& out, const TensorObject& input,
                              const TensorObject& weight, const TensorObject* bias,
                              const ConvolutionGeometry& geometry, const ConvolutionShape& shape) {
  const Problem problem = make_problem(out, input, weight, bias, geometry, shape);
  // Views that repeat elements can be larger than any memory.
  if (static_cast<double>(weight.numel) + static_cast<double>(problem.depth) * 16.0 > 1e12) {
    base::fail(ErrorCode::OutOfMemory, "convolution: out of memory: {} weights", weight.numel);
  }
  // Integers wrap around, so that their sign is of no account.
  switch (input.dtype) {
    case DType::Float32: return convolve<float>(context, problem);
    case DType::Float64: return convolve<double>(context, problem);
    case DType::UInt8:
    case DType::Int8: return convolve<std::uint8_t>(context, problem);
    case DType::Int16: return convolve<std::uint16_t>(context, problem);
    case DType::Int32: return convolve<std::uint32_t>(context, problem);
    case DType::Int64: return convolve<std::uint64_t>(context, problem);
    default: base::fail(ErrorCode::Unsupported, "convolution of {} tensors", dtype_name(input.dtype));
  }
}

}  // namespace penstock::cpu
