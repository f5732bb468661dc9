#include "cpu/convolution.hpp"

#include "base/fail.hpp"
#include "cpu/convolution_gather.hpp"
#include "cpu/convolution_shape.hpp"
#include "cpu/copy.hpp"
#include "cpu/op_state_impl.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// Sizes and strides of a tensor as oneDNN sees it: a weight with groups has a dimension for them.
struct View {
  std::array<std::int64_t, kMostSpatial + 3> sizes{};
  std::array<std::int64_t, kMostSpatial + 3> strides{};
  std::size_t rank = 0;
  std::byte* data = nullptr;
  tensor::Storage* constant = nullptr;

  [[nodiscard]] std::span<const std::int64_t> all_sizes() const { return {sizes.data(), rank}; }
  [[nodiscard]] std::span<const std::int64_t> all_strides() const { return {strides.data(), rank}; }
  void add(std::int64_t size, std::int64_t stride) {
    sizes[rank] = size;
    strides[rank++] = stride;
  }
};

View view_of(const TensorObject& tensor) {
  View view;
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    view.add(tensor.size[static_cast<std::size_t>(i)], tensor.stride[static_cast<std::size_t>(i)]);
  }
  view.data = tensor.data;
  view.constant = tensor.storage->constant ? tensor.storage : nullptr;
  return view;
}

/// The weight as [groups, out, in, spatial...], without the first where there is one group. PyTorch
/// keeps that of a transposed convolution as [in, out, spatial...].
View weight_view(const TensorObject& weight, const ConvolutionGeometry& geometry) {
  View view;
  const std::int64_t groups = geometry.groups;
  if (groups > 1) view.add(groups, weight.size[0] / groups * weight.stride[0]);
  if (geometry.transposed) {
    view.add(weight.size[1], weight.stride[1]);
    view.add(weight.size[0] / groups, weight.stride[0]);
  } else {
    view.add(weight.size[0] / groups, weight.stride[0]);
    view.add(weight.size[1], weight.stride[1]);
  }
  for (std::int32_t i = 2; i < weight.rank; ++i) {
    view.add(weight.size[static_cast<std::size_t>(i)], weight.stride[static_cast<std::size_t>(i)]);
  }
  view.data = weight.data;
  view.constant = weight.storage->constant ? weight.storage : nullptr;
  return view;
}

/// Gives dimensions of size 1 the strides that they would have, so that equal layouts look equal, and
/// tells whether no two elements share memory, without which oneDNN has no name for a layout.
bool normalize(View& view) {
  std::array<std::size_t, kMostSpatial + 3> order{};
  for (std::size_t i = 0; i < view.rank; ++i) order[i] = i;
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(view.rank);
  std::stable_sort(order.begin(), end, [&view](std::size_t a, std::size_t b) {
    return view.strides[a] == view.strides[b] ? view.sizes[a] < view.sizes[b]
                                              : view.strides[a] < view.strides[b];
  });
  std::int64_t least = 1;
  for (auto dim = order.begin(); dim != end; ++dim) {
    if (view.sizes[*dim] == 1) view.strides[*dim] = least;
    if (view.strides[*dim] < least) return false;
    least = view.strides[*dim] * view.sizes[*dim];
  }
  return true;
}

/// `view` copied to scratch memory without gaps.
void make_contiguous(Scratch& scratch, ScratchUse use, View& view, std::size_t element) {
  View copy = view;
  tensor::fill_contiguous_strides(view.all_sizes(), {copy.strides.data(), copy.rank});
  std::size_t count = 1;
  for (const std::int64_t size : view.all_sizes()) count *= static_cast<std::size_t>(size);
  copy.data = scratch.get(use, count * element);
  tensor::copy_strided(copy.data, copy.all_strides(), view.data, view.all_strides(), view.all_sizes(),
                       element);
  copy.constant = nullptr;
  view = copy;
}

/// What one call of oneDNN works on.
struct Problem {
  dnnl_data_type_t type;
  bool transposed;
  bool channels_last;
  const ConvolutionShape& shape;
  View input;
  View weight;
  View bias;  ///< Of rank 0 where there is none.
  View out;
};

OperationKey make_key(const Problem& problem, int threads) {
  OperationKey key;
  key.add(std::int64_t{problem.transposed ? dnnl_deconvolution : dnnl_convolution});
  key.add(std::int64_t{problem.type});
  key.add(std::int64_t{threads});
  key.add(std::int64_t{problem.bias.rank != 0});
  key.add(std::int64_t{problem.channels_last});
  for (const View* view : {&problem.input, &problem.weight, &problem.out}) {
    key.add(view->all_sizes());
    key.add(view->all_strides());
  }
  const ConvolutionShape& shape = problem.shape;
  for (const auto* values : {&shape.stride, &shape.padding, &shape.dilation, &shape.output_padding}) {
    key.add({values->data(), shape.spatial});
  }
  return key;
}

/// A descriptor of what oneDNN should work on: channels-last where PyTorch's result is, else its choice.
MemoryDesc make_wanted(const OnednnApi& api, const Problem& problem, const View& view,
                       std::string_view what) {
  if (!problem.channels_last) return make_any_desc(api, problem.type, view.all_sizes(), what);
  std::array<std::int64_t, kMostSpatial + 2> strides{};
  fill_channels_last_strides(view.all_sizes(), {strides.data(), view.rank});
  return make_strided_desc(api, problem.type, view.all_sizes(), {strides.data(), view.rank}, what);
}

std::unique_ptr<OnednnOperation> make_operation(const OnednnApi& api, const Problem& problem) {
  std::string what = fmt::format(
      "convolution ({}) of {} with {}", problem.transposed ? "transposed" : "plain",
      tensor::sizes_text(problem.input.all_sizes()), tensor::sizes_text(problem.weight.all_sizes()));
  const auto given = [&](const View& view) {
    return make_strided_desc(api, problem.type, view.all_sizes(), view.all_strides(), what);
  };
  std::vector<OperationTensor> tensors;
  tensors.push_back({DNNL_ARG_SRC, given(problem.input)});
  tensors.push_back({DNNL_ARG_WEIGHTS, given(problem.weight)});
  if (problem.bias.rank != 0) tensors.push_back({DNNL_ARG_BIAS, given(problem.bias)});
  tensors.push_back({DNNL_ARG_DST, given(problem.out)});

  const MemoryDesc input = make_wanted(api, problem, problem.input, what);
  const MemoryDesc weight = make_any_desc(api, problem.type, problem.weight.all_sizes(), what);
  const MemoryDesc out = make_wanted(api, problem, problem.out, what);
  const_dnnl_memory_desc_t bias = problem.bias.rank != 0 ? tensors[2].given.get() : nullptr;
  const ConvolutionShape& shape = problem.shape;
  std::array<std::int64_t, kMostSpatial> dilation{};
  std::array<std::int64_t, kMostSpatial> padding_after{};
  for (std::size_t i = 0; i < shape.spatial; ++i) {
    dilation[i] = shape.dilation[i] - 1;  // oneDNN counts the gaps.
    padding_after[i] = shape.padding[i] - shape.output_padding[i];
  }
  const PrimitiveAttr attributes = make_attributes(api, what);
  dnnl_primitive_desc_t made = nullptr;
  const auto create = problem.transposed ? api.deconvolution_forward_primitive_desc_create
                                         : api.convolution_forward_primitive_desc_create;
  const auto algorithm = problem.transposed ? dnnl_deconvolution_direct : dnnl_convolution_direct;
  check_onednn(create(&made, api.engine, dnnl_forward_inference, algorithm, input.get(), weight.get(), bias,
                      out.get(), shape.stride.data(), dilation.data(), shape.padding.data(),
                      padding_after.data(), attributes.get()),
               "primitive_desc_create", what);
  return std::make_unique<OnednnOperation>(PrimitiveDesc(made), std::move(tensors), std::move(what));
}

void run(OpContext& context, const Problem& problem) {
  const OnednnApi& api = *onednn();
  OpState::Impl& state = context.state.impl();
  const OnednnThreads threads(api, context.threads);
  const OperationKey key = make_key(problem, threads.count());
  OnednnOperation* operation = state.operations.find(key);
  if (operation == nullptr) operation = &state.operations.insert(key, make_operation(api, problem));
  std::array<OperationData, 4> data;
  std::size_t count = 0;
  data[count++] = {problem.input.data, problem.input.constant};
  data[count++] = {problem.weight.data, problem.weight.constant};
  if (problem.bias.rank != 0) data[count++] = {problem.bias.data, nullptr};
  data[count++] = {problem.out.data, nullptr};
  operation->execute(state.scratch, std::span(data).first(count));
}

void check_out(const TensorObject& out, const TensorObject& input, const ConvolutionShape& shape) {
  const std::span<const std::int64_t> expected(shape.out.data(), shape.spatial + 2);
  const auto sizes = out.sizes();
  if (input.storage->device.type != DeviceType::Cpu) {
    base::fail(ErrorCode::InvalidArgument, "convolution: a tensor that is not in host memory");
  }
  if (out.storage == nullptr || out.dtype != input.dtype ||
      !std::equal(sizes.begin(), sizes.end(), expected.begin(), expected.end())) {
    base::fail(ErrorCode::InvalidArgument, "convolution: out is {}{}; {}{} is needed", dtype_name(out.dtype),
               tensor::sizes_text(sizes), dtype_name(input.dtype), tensor::sizes_text(expected));
  }
}

/// `from` as float32, in the order of memory that it has.
tensor::TensorObjectPtr make_wide(Scratch& scratch, ScratchUse use, const TensorObject& from,
                                  std::span<const std::int64_t> strides) {
  const auto elements = static_cast<std::size_t>(tensor::checked_extent(from.sizes(), strides).value_or(0));
  const std::size_t bytes = elements * sizeof(float);
  const tensor::StorageReference storage(tensor::borrow_storage(scratch.get(use, bytes), bytes, {}));
  return tensor::TensorObjectPtr(
      tensor::make_tensor(storage.get(), {DType::Float32, from.sizes(), strides, 0}));
}

tensor::TensorObjectPtr widen(Scratch& scratch, ScratchUse use, const TensorObject& from) {
  tensor::TensorObjectPtr wide = make_wide(scratch, use, from, like_layout(from).strides);
  copy(*wide, from);
  return wide;
}

/// Through float32, rounded once: where oneDNN has no convolution of 16-bit elements for this CPU.
void convolve_widened(OpContext& context, TensorObject& out, const TensorObject& input,
                      const TensorObject& weight, const TensorObject* bias,
                      const ConvolutionGeometry& geometry) {
  Scratch& scratch = context.state.impl().scratch;
  const tensor::TensorObjectPtr wide_out = make_wide(scratch, ScratchUse::WideResult, out, out.strides());
  const tensor::TensorObjectPtr wide_input = widen(scratch, ScratchUse::WideLeft, input);
  const tensor::TensorObjectPtr wide_weight = widen(scratch, ScratchUse::WideRight, weight);
  const tensor::TensorObjectPtr wide_bias =
      bias != nullptr ? widen(scratch, ScratchUse::WideBias, *bias) : nullptr;
  convolution(context, *wide_out, *wide_input, *wide_weight, wide_bias.get(), geometry);
  copy(out, *wide_out);
}

void convolve_with_onednn(OpContext& context, TensorObject& out, const TensorObject& input,
                          const TensorObject& weight, const TensorObject* bias,
                          const ConvolutionGeometry& geometry, const ConvolutionShape& shape) {
  const dnnl_data_type_t type = onednn_float_type("convolution", input.dtype);
  const std::size_t element = element_bytes(input.dtype);
  Scratch& scratch = context.state.impl().scratch;
  Problem problem{type,           geometry.transposed,           false, shape,
                  view_of(input), weight_view(weight, geometry), {},    view_of(out)};
  problem.input.constant = nullptr;
  if (!normalize(problem.input)) make_contiguous(scratch, ScratchUse::Left, problem.input, element);
  if (!normalize(problem.weight)) make_contiguous(scratch, ScratchUse::Right, problem.weight, element);
  if (bias != nullptr) {
    problem.bias = view_of(*bias);
    if (bias->size[0] > 1 && bias->stride[0] != 1) {
      make_contiguous(scratch, ScratchUse::Result, problem.bias, element);
    }
    problem.bias.strides[0] = 1;
  }
  std::array<std::int64_t, kMostSpatial + 2> last{};
  fill_channels_last_strides(out.sizes(), {last.data(), shape.spatial + 2});
  const auto strides = out.strides();
  problem.channels_last = !tensor::is_contiguous(out.sizes(), strides) &&
                          std::equal(strides.begin(), strides.end(), last.begin());
  normalize(problem.out);
  run(context, problem);
}

/// oneDNN has no transposed convolution that pads its result by more than this.
bool is_beyond_onednn(const ConvolutionShape& shape, bool transposed) noexcept {
  for (std::size_t dim = 0; transposed && dim < shape.spatial; ++dim) {
    if (shape.output_padding[dim] > shape.padding[dim] + shape.stride[dim]) return true;
  }
  return false;
}

}  // namespace

void convolution(OpContext& context, TensorObject& out, const TensorObject& input, const TensorObject& weight,
                 const TensorObject* bias, const ConvolutionGeometry& geometry) {
  const ConvolutionShape shape = convolution_shape(input, weight, bias, geometry);
  check_out(out, input, shape);
  const bool is_beyond = is_beyond_onednn(shape, geometry.transposed);
  const bool gathered = is_gathered(input.dtype) || (is_beyond && input.dtype == DType::Float32);
  if (!gathered) onednn_float_type("convolution", input.dtype);
  if (out.numel == 0) return;
  if (gathered) {
    convolution_by_gathering(context, out, input, weight, bias, geometry, shape);
    return;
  }
  if (is_beyond) {
    convolve_widened(context, out, input, weight, bias, geometry);
    return;
  }
  require_onednn("convolution");
  try {
    convolve_with_onednn(context, out, input, weight, bias, geometry, shape);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Unsupported || input.dtype == DType::Float32) throw;
    convolve_widened(context, out, input, weight, bias, geometry);
  }
}

}  // namespace penstock::cpu
