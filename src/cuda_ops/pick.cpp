#include "cuda_ops/pick.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/scan.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>

namespace penstock::cuda_ops {
namespace {

using shim::make_cuda_result;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

void check_mask(std::string_view name, const TensorObject& mask) {
  check_device(name, mask);
  if (mask.dtype == DType::Bool) return;
  base::fail(ErrorCode::InvalidArgument, "{}: expected BoolTensor for mask, not {}", name,
             dtype_name(mask.dtype));
}

/// Moves between a tensor that is walked with the flags and one that holds what was picked.
void move_picked(const shim::CudaCall& call, const Kernel& kernel, const Picked& picked,
                 kernels::MovePicked move) {
  if (picked.before() == nullptr || move.packed.count == 0) return;
  move.picked = picked.arguments();
  move.before = picked.before();
  kernel.launch(call, picked.grid(), move);
}

/// The first `count` elements of a row.
TensorObjectPtr first_of(const TensorObject& row, std::int64_t count) {
  const std::array sizes{count};
  return TensorObjectPtr(tensor::make_tensor(
      row.storage,
      {.dtype = row.dtype, .sizes = sizes, .strides = row.strides(), .storage_offset = row.storage_offset}));
}

}  // namespace

Picked::Picked(const shim::CudaCall& call, const tensor::TensorObject& flags, DimsView sizes,
               DimsView strides)
    : call_(call),
      picked_{.flags = flags.data,
              .dtype = element_of("nonzero", flags.dtype),
              .walk = make_walk<1>(sizes, {strides}, Order::RowMajor)},
      tiles_((picked_.walk.count + kernels::kPickTile - 1) / kernels::kPickTile) {
  static constexpr Kernel kCount(kPickImage, "penstock_pick_count");
  static constexpr Kernel kBefore(kPickImage, "penstock_pick_before");
  if (tiles_ == 0) return;
  counts_.emplace(call, tiles_ + 1, sizeof(std::int64_t));
  auto* const counts = counts_->as<std::int64_t>();
  kCount.launch(call, grid(), picked_, counts);
  kBefore.launch(call, Grid{.threads = kernels::kPickThreads}, counts, tiles_);
}

Grid Picked::grid() const { return grid_of_blocks(call_, tiles_, kernels::kPickThreads); }

std::int64_t Picked::count(const char* function) const {
  // Also where there is nothing to count: another shape's run would be another one.
  call_.read_by_host = function;
  if (tiles_ == 0) return 0;
  std::int64_t count = 0;
  read_numbers(call_, before() + tiles_, {&count, 1}, function);
  return count;
}

void write_places(const shim::CudaCall& call, const tensor::TensorObject& out, const Picked& picked,
                  DimsView sizes) {
  static constexpr Kernel kPlaces(kPickImage, "penstock_pick_places");
  if (picked.before() == nullptr || out.numel == 0) return;
  kernels::PlacesOfPicked places{.picked = picked.arguments(),
                                 .before = picked.before(),
                                 .out = reinterpret_cast<std::int64_t*>(out.data),
                                 .row_stride = out.stride[0],
                                 .column_stride = out.stride[1],
                                 .rows = out.size[0],
                                 .rank = static_cast<int>(sizes.size()),
                                 .size = {}};
  if (sizes.size() > places.size.size()) {
    base::fail(ErrorCode::Unsupported,
               "nonzero on a GPU of a tensor of sizes {}; at most {} dimensions are possible",
               tensor::sizes_text(sizes), places.size.size());
  }
  std::ranges::copy(sizes, places.size.begin());
  kPlaces.launch(call, picked.grid(), places);
}

TensorObjectPtr nonzero(const shim::CudaCall& call, const TensorObject& self, const char* function) {
  const Picked picked(call, self);
  const std::int64_t count = picked.count(function);
  // Column after column, as PyTorch lays it out.
  const std::array<std::int64_t, 2> sizes{count, self.rank};
  const std::array<std::int64_t, 2> strides{1, std::max<std::int64_t>(count, 1)};
  tensor::TensorObjectPtr made = make_cuda_result(DType::Int64, sizes, strides);
  write_places(call, *made, picked, self.sizes());
  return made;
}

TensorObjectPtr masked_select(const shim::CudaCall& call, const TensorObject& self,
                              const TensorObject& mask) {
  static constexpr Kernel kGather(kPickImage, "penstock_pick_gather");
  check_mask("masked_select", mask);
  check_device("masked_select", self);
  const cpu::Dims sizes = cpu::broadcast_sizes(mask.sizes(), self.sizes());
  const cpu::Dims self_strides = cpu::broadcast_strides(self, sizes);
  const Picked picked(call, mask, sizes, cpu::broadcast_strides(mask, sizes));
  TensorObjectPtr made = make_cuda_result(self.dtype, std::array{picked.count("masked_select")});
  move_picked(call, kGather, picked,
              {.picked = {},
               .before = nullptr,
               .to = made->data,
               .from = self.data,
               .element_bytes = static_cast<int>(element_bytes(self.dtype)),
               .walked = make_walk<1>(sizes, {self_strides}, Order::RowMajor),
               .packed = make_walk(*made, Order::RowMajor)});
  return made;
}

void masked_scatter(const shim::CudaCall& call, const TensorObject& out, const TensorObject& mask,
                    const TensorObject& source) {
  static constexpr Kernel kScatter(kPickImage, "penstock_pick_scatter");
  check_mask("masked_scatter", mask);
  check_device("masked_scatter", source);
  if (source.dtype != out.dtype) {
    base::fail(ErrorCode::InvalidArgument,
               "masked_scatter: expected self and source to have same dtypes but got {} and {}",
               dtype_name(out.dtype), dtype_name(source.dtype));
  }
  const Picked picked(call, mask, out.sizes(), cpu::broadcast_strides(mask, out.sizes()));
  move_picked(call, kScatter, picked,
              {.picked = {},
               .before = nullptr,
               .to = out.data,
               .from = source.data,
               .element_bytes = static_cast<int>(element_bytes(out.dtype)),
               .walked = make_walk(out, Order::RowMajor),
               .packed = make_walk(source, Order::RowMajor)});
}

TensorObjectPtr repeated_places(const shim::CudaCall& call, const TensorObject& repeats,
                                const std::int64_t* output_size) {
  static constexpr Kernel kNegative(kPickImage, "penstock_count_negative");
  static constexpr Kernel kRepeat(kPickImage, "penstock_repeat_interleave");
  check_device("repeat_interleave", repeats);
  if (repeats.rank != 1) {
    base::fail(ErrorCode::InvalidArgument, "repeat_interleave only accept 1D vector as repeat");
  }
  check_dtype("repeat_interleave", repeats.dtype, std::array{DType::Int32, DType::Int64});
  const std::int64_t length = repeats.numel;
  // Where the repeats of each place end, and behind them how many repeats are below 0.
  const TensorObjectPtr numbers = make_cuda_result(DType::Int64, std::array{length + 1});
  auto* const ends = reinterpret_cast<std::int64_t*>(numbers->data);
  scan(call, ScanKind::Sum, {.self = repeats, .out = *first_of(*numbers, length), .dim = 0});
  std::array<std::int64_t, 2> read{};  // The last end, and those below 0.
  if (output_size != nullptr) {
    read[0] = *output_size;
  } else {
    clear(call, ends + length, sizeof(std::int64_t));
    kNegative.launch(call, grid_for(call, length), static_cast<const std::byte*>(repeats.data),
                     element_of("repeat_interleave", repeats.dtype), make_walk(repeats),
                     reinterpret_cast<unsigned long long*>(ends + length));
    const std::int64_t first = length == 0 ? 1 : 0;
    read_numbers(call, ends + length - 1 + first, std::span(read).subspan(static_cast<std::size_t>(first)),
                 "repeat_interleave");
  }
  if (read[1] != 0) base::fail(ErrorCode::InvalidArgument, "repeats can not be negative");
  TensorObjectPtr made = make_cuda_result(repeats.dtype, std::array{read[0]});
  const kernels::RepeatInterleave repeat{.ends = ends,
                                         .out = made->data,
                                         .is_wide = repeats.dtype == DType::Int64 ? 1 : 0,
                                         .length = length,
                                         .count = made->numel};
  if (made->numel != 0) kRepeat.launch(call, grid_for(call, made->numel), repeat);
  return made;
}

}  // namespace penstock::cuda_ops
