#include "base/fail.hpp"
#include "cpu/strided.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operands.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/random.hpp"
#include "cuda_ops/sort.hpp"
#include "shim/abi.hpp"
#include "shim/arguments.hpp"
#include "shim/context.hpp"

#include <array>

// Random numbers: of the lane's own sequence, so that they are others than PyTorch's.
namespace penstock::cuda_ops {
namespace {

using shim::checked_span;
using shim::make_cuda_result;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

using AtenGeneratorHandle = struct AtenGeneratorOpaque*;
using Sizes = const std::int64_t*;
using Count = std::int64_t;
using Option = std::int32_t*;

void refuse_generator(const AtenGeneratorHandle* generator) {
  if (generator == nullptr || *generator == nullptr) return;
  base::fail(ErrorCode::Unsupported,
             "random numbers of a generator that the model brings; leave it out at export");
}

/// The dtype of a new tensor of random numbers; it lies on the device of the run.
DType new_dtype(const std::int32_t* dtype, const std::int32_t* device, DType absent) {
  if (device != nullptr && *device != static_cast<std::int32_t>(DeviceType::Cuda)) {
    base::fail(ErrorCode::Unsupported, "random numbers on PyTorch's device type {} in a run on a GPU",
               *device);
  }
  return dtype != nullptr ? shim::checked_dtype(*dtype) : absent;
}

/// A result like `self`. Numbers of memory formats are c10's.
TensorObjectPtr make_like(const TensorObject& self, DType dtype, const std::int32_t* memory_format) {
  constexpr std::int32_t kContiguous = 0;
  constexpr std::int32_t kPreserve = 1;
  check_device("random numbers", self);
  if (memory_format != nullptr && *memory_format == kContiguous) return make_cuda_result(dtype, self.sizes());
  if (memory_format != nullptr && *memory_format != kPreserve) {
    base::fail(ErrorCode::Unsupported, "random numbers in PyTorch's memory format {}", *memory_format);
  }
  const cpu::ResultLayout layout = cpu::like_layout(self);
  return make_cuda_result(dtype, layout.sizes, layout.strides);
}

constexpr Distribution kUniform{.kind = kernels::RandomKind::Uniform, .first = 0, .second = 1};
constexpr Distribution kNormal{.kind = kernels::RandomKind::Normal, .first = 0, .second = 1};

AtenTensorHandle draw_new(TensorObjectPtr made, const Distribution& distribution) {
  const bool is_normal = distribution.kind == kernels::RandomKind::Normal;
  draw_reals(shim::cuda_call(), *made, distribution, is_normal ? "randn" : "rand");
  return made.release();
}

template <const Distribution& kDistribution>
AOTITorchError reals(Sizes size, Count size_len, Option dtype, Option, Option device, std::int32_t, Option,
                     AtenTensorHandle* ret) {
  return guarded([&] {
    const DType wanted = new_dtype(dtype, device, DType::Float32);
    *ret = draw_new(make_cuda_result(wanted, checked_span(size, size_len)), kDistribution);
  });
}

template <const Distribution& kDistribution>
AOTITorchError reals_of_generator(Sizes size, Count size_len, AtenGeneratorHandle* generator, Option dtype,
                                  Option layout, Option device, std::int32_t index, Option pin_memory,
                                  AtenTensorHandle* ret) {
  const AOTITorchError refused = guarded([&] { refuse_generator(generator); });
  return refused != 0 ? refused
                      : reals<kDistribution>(size, size_len, dtype, layout, device, index, pin_memory, ret);
}

template <const Distribution& kDistribution>
AOTITorchError reals_like(AtenTensorHandle self, Option dtype, Option, Option device, std::int32_t, Option,
                          Option memory_format, AtenTensorHandle* ret) {
  return guarded([&] {
    *ret = draw_new(make_like(*self, new_dtype(dtype, device, self->dtype), memory_format), kDistribution);
  });
}

template <const Distribution& kDistribution>
AOTITorchError reals_like_of_generator(AtenTensorHandle self, AtenGeneratorHandle* generator, Option dtype,
                                       Option layout, Option device, std::int32_t index, Option pin_memory,
                                       Option memory_format, AtenTensorHandle* ret) {
  const AOTITorchError refused = guarded([&] { refuse_generator(generator); });
  if (refused != 0) return refused;
  return reals_like<kDistribution>(self, dtype, layout, device, index, pin_memory, memory_format, ret);
}

/// Tensors of other distributions, like `self`.
template <kernels::RandomKind kKind>
AOTITorchError functional(AtenTensorHandle self, double first, double second, AtenGeneratorHandle* generator,
                          AtenTensorHandle* ret) {
  return guarded([&] {
    refuse_generator(generator);
    if (kKind == kernels::RandomKind::Normal && second < 0) {
      base::fail(ErrorCode::InvalidArgument, "normal expects std >= 0.0, but found std {}", second);
    }
    *ret =
        draw_new(make_like(*self, self->dtype, nullptr), {.kind = kKind, .first = first, .second = second});
  });
}

AOTITorchError randint_low(std::int64_t low, std::int64_t high, Sizes size, Count size_len, Option dtype,
                           Option, Option device, std::int32_t, Option, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made =
        make_cuda_result(new_dtype(dtype, device, DType::Int64), checked_span(size, size_len));
    draw_integers(shim::cuda_call(), *made, {low, high}, "randint");
    *ret = made.release();
  });
}

AOTITorchError randint(std::int64_t high, Sizes size, Count size_len, Option dtype, Option layout,
                       Option device, std::int32_t index, Option pin_memory, AtenTensorHandle* ret) {
  return randint_low(0, high, size, size_len, dtype, layout, device, index, pin_memory, ret);
}

AOTITorchError randint_of_generator(std::int64_t high, Sizes size, Count size_len,
                                    AtenGeneratorHandle* generator, Option dtype, Option layout,
                                    Option device, std::int32_t index, Option pin_memory,
                                    AtenTensorHandle* ret) {
  const AOTITorchError refused = guarded([&] { refuse_generator(generator); });
  return refused != 0 ? refused
                      : randint(high, size, size_len, dtype, layout, device, index, pin_memory, ret);
}

/// The seeds of generated code come from here.
AOTITorchError randint_low_out(AtenTensorHandle out, std::int64_t low, std::int64_t high, Sizes size,
                               Count size_len) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    cpu::check_same_sizes("randint", *out, checked_span(size, size_len));
    draw_integers(call, *out, {low, high}, "randint");
  });
}

AOTITorchError randint_like_low(AtenTensorHandle self, std::int64_t low, std::int64_t high, Option dtype,
                                Option, Option device, std::int32_t, Option, Option memory_format,
                                AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(*self, new_dtype(dtype, device, self->dtype), memory_format);
    draw_integers(shim::cuda_call(), *made, {low, high}, "randint");
    *ret = made.release();
  });
}

AOTITorchError randint_like(AtenTensorHandle self, std::int64_t high, Option dtype, Option layout,
                            Option device, std::int32_t index, Option pin_memory, Option memory_format,
                            AtenTensorHandle* ret) {
  return randint_like_low(self, 0, high, dtype, layout, device, index, pin_memory, memory_format, ret);
}

/// The order of random keys: two equal ones among 2^63 keep theirs, which favors no order that can be told.
AOTITorchError randperm(std::int64_t n, Option dtype, Option, Option device, std::int32_t, Option,
                        AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    if (n < 0) base::fail(ErrorCode::InvalidArgument, "n must be non-negative, got {}", n);
    const DType wanted = new_dtype(dtype, device, DType::Int64);
    if (wanted != DType::Int64) {
      base::fail(ErrorCode::Unsupported, "randperm is not implemented for {} on a GPU", dtype_name(wanted));
    }
    const TensorObjectPtr keys = make_cuda_result(DType::Int64, std::array{n});
    const TensorObjectPtr sorted = make_cuda_result(DType::Int64, std::array{n});
    TensorObjectPtr made = make_cuda_result(DType::Int64, std::array{n});
    draw_integers(call, *keys, {0, INT64_MAX}, "randperm");
    sort_rows(call, {*keys, *sorted, *made, 0}, {.descending = false, .first = 0, .kept = n});
    *ret = made.release();
  });
}

constexpr Needs kOfDraws{.images = {&kSearchImage}};
constexpr Needs kOfPermutations{.images = {&kSearchImage, &kSortImage}};

}  // namespace

std::span<const Operator> random_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_rand", &reals<kUniform>, kOfDraws),
      entry("aoti_torch_cuda_rand_generator", &reals_of_generator<kUniform>, kOfDraws),
      entry("aoti_torch_cuda_rand_like", &reals_like<kUniform>, kOfDraws),
      entry("aoti_torch_cuda_rand_like_generator", &reals_like_of_generator<kUniform>, kOfDraws),
      entry("aoti_torch_cuda_randn", &reals<kNormal>, kOfDraws),
      entry("aoti_torch_cuda_randn_generator", &reals_of_generator<kNormal>, kOfDraws),
      entry("aoti_torch_cuda_randn_like", &reals_like<kNormal>, kOfDraws),
      entry("aoti_torch_cuda_randn_like_generator", &reals_like_of_generator<kNormal>, kOfDraws),
      entry("aoti_torch_cuda_uniform", &functional<kernels::RandomKind::Uniform>, kOfDraws),
      entry("aoti_torch_cuda_normal_functional", &functional<kernels::RandomKind::Normal>, kOfDraws),
      entry("aoti_torch_cuda_randint", &randint, kOfDraws),
      entry("aoti_torch_cuda_randint_generator", &randint_of_generator, kOfDraws),
      entry("aoti_torch_cuda_randint_low", &randint_low, kOfDraws),
      entry("aoti_torch_cuda_randint_low_out", &randint_low_out, kOfDraws),
      entry("aoti_torch_cuda_randint_like", &randint_like, kOfDraws),
      entry("aoti_torch_cuda_randint_like_low_dtype", &randint_like_low, kOfDraws),
      entry("aoti_torch_cuda_randperm", &randperm, kOfPermutations),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
