#include "cuda_ops/random.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/lane_state.hpp"
#include "cuda_ops/operands.hpp"

#include <algorithm>
#include <limits>
#include <random>

namespace penstock::cuda_ops {
namespace {

/// The most that integers of a dtype go up to; floats hold no more integers one by one.
std::int64_t most_of(DType dtype) {
  switch (dtype) {
    case DType::Bool: return 1;
    case DType::UInt8: return std::numeric_limits<std::uint8_t>::max();
    case DType::Int8: return std::numeric_limits<std::int8_t>::max();
    case DType::Int16: return std::numeric_limits<std::int16_t>::max();
    case DType::Int32: return std::numeric_limits<std::int32_t>::max();
    case DType::BFloat16: return std::int64_t{1} << 8;
    case DType::Float16: return std::int64_t{1} << 11;
    case DType::Float32: return std::int64_t{1} << 24;
    case DType::Float64: return std::int64_t{1} << 53;
    default: return std::numeric_limits<std::int64_t>::max();
  }
}

/// Takes the next place of the lane's sequence; what a graph would record is this one place.
kernels::Random next_draw(const shim::CudaCall& call, const tensor::TensorObject& out, const char* function) {
  check_device("random numbers", out);
  if (call.is_load) {
    base::fail(ErrorCode::Unsupported, "{} while the model is loaded: its weights would depend on it",
               function);
  }
  call.read_by_host = function;
  RandomSequence& sequence = lane_of(call).random();
  return {.out = out.data,
          .dtype = element_of("random numbers", out.dtype),
          .kind = kernels::RandomKind::Integer,
          .seed = sequence.seed(),
          .offset = sequence.take_offset(),
          .range = 0,
          .low = 0,
          .from = 0,
          .to = 0,
          .walk = make_walk(out, Order::RowMajor)};
}

void launch(const shim::CudaCall& call, const kernels::Random& random) {
  static constexpr Kernel kRandom(kSearchImage, "penstock_random");
  if (random.walk.count != 0) kRandom.launch(call, grid_for(call, random.walk.count), random);
}

std::uint64_t seed_of_system() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

RandomSequence::RandomSequence() : seed_(seed_of_system()) {}

void draw_integers(const shim::CudaCall& call, const tensor::TensorObject& out, IntegerRange range,
                   const char* function) {
  if (range.low >= range.high) {
    base::fail(ErrorCode::InvalidArgument,
               "random_ expects 'from' to be less than 'to', but got from={} >= to={}", range.low,
               range.high);
  }
  if (range.high - 1 > most_of(out.dtype)) {
    base::fail(ErrorCode::InvalidArgument, "to - 1 is out of bounds for {}", dtype_name(out.dtype));
  }
  kernels::Random random = next_draw(call, out, function);
  random.low = range.low;
  random.range = static_cast<std::uint64_t>(range.high) - static_cast<std::uint64_t>(range.low);
  launch(call, random);
}

void draw_reals(const shim::CudaCall& call, const tensor::TensorObject& out, const Distribution& distribution,
                const char* function) {
  check_dtype(function, out.dtype, float_dtypes());
  kernels::Random random = next_draw(call, out, function);
  random.kind = distribution.kind;
  random.from = distribution.first;
  random.to = distribution.second;
  launch(call, random);
}

}  // namespace penstock::cuda_ops
