#include "cpu/embedding_bag.hpp"

#include "base/fail.hpp"
#include "cpu/element.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

constexpr std::string_view kName = "embedding_bag";

std::int64_t integer_at(const TensorObject& tensor, std::int64_t i) {
  const std::byte* from =
      tensor.data + i * tensor.stride[0] * static_cast<std::int64_t>(element_bytes(tensor.dtype));
  return tensor.dtype == DType::Int32 ? load<std::int32_t>(from) : load<std::int64_t>(from);
}

void put_integer(TensorObject& tensor, std::int64_t i, std::int64_t value) {
  if (tensor.dtype == DType::Int32) {
    reinterpret_cast<std::int32_t*>(tensor.data)[i] = static_cast<std::int32_t>(value);
  } else {
    reinterpret_cast<std::int64_t*>(tensor.data)[i] = value;
  }
}

/// Where PyTorch takes a way of its own, with its own words for a wrong index.
bool is_direct(const EmbeddingBag& bag) {
  return bag.mode != BagMode::Max && bag.padding_idx < 0 && bag.weight.dtype != DType::Float64 &&
         bag.weight.stride[1] == 1;
}

/// Where PyTorch also leaves out what only gradients need.
bool leaves_bags_out(const EmbeddingBag& bag) { return bag.mode == BagMode::Sum && is_direct(bag); }

std::int64_t bags_of(const EmbeddingBag& bag) {
  return bag.offsets.numel - (bag.include_last_offset ? 1 : 0);
}

/// The ends of the bags; checks that offsets lie one after the other inside the indices.
std::vector<std::int64_t> bag_ends(const EmbeddingBag& bag) {
  const std::int64_t count = bag.indices.numel;
  const std::int64_t bags = bags_of(bag);
  std::vector<std::int64_t> ends;
  if (bag.offsets.numel == 0) return ends;
  if (const std::int64_t first = integer_at(bag.offsets, 0); first != 0) {
    base::fail(
        ErrorCode::InvalidArgument,
        "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position "
        "0. However, got {}",
        first);
  }
  if (const std::int64_t last = integer_at(bag.offsets, bag.offsets.numel - 1); last > count) {
    base::fail(ErrorCode::InvalidArgument,
               "offsets[-1] can not be greater than input's length {} but got offsets[-1] of {}", count,
               last);
  }
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < bags; ++i) {
    const std::int64_t end = i + 1 < bag.offsets.numel ? integer_at(bag.offsets, i + 1) : count;
    if (end < begin || end > count) {
      base::fail(ErrorCode::InvalidArgument, "{}: offsets[{}] of {} is not between {} and {}", kName, i + 1,
                 end, begin, count);
    }
    ends.push_back(end);
    begin = end;
  }
  return ends;
}

std::int64_t checked_index(const EmbeddingBag& bag, std::int64_t i) {
  const std::int64_t index = integer_at(bag.indices, i);
  const std::int64_t rows = bag.weight.size[0];
  if (index >= 0 && index < rows) return index;
  if (is_direct(bag)) {
    base::fail(ErrorCode::InvalidArgument,
               "Index {} of input takes value {} which is not in the valid range [0, {})", i, index, rows);
  }
  base::fail(ErrorCode::InvalidArgument,
             "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {}", index);
}

/// Adds up or compares the rows of one bag; gives how many there are.
template <class T>
std::int64_t reduce_bag(const EmbeddingBag& bag, std::int64_t begin, std::int64_t end,
                        std::vector<Plain<T>>& row, TensorObject* largest_from, std::int64_t place) {
  const auto* const weight = reinterpret_cast<const T*>(bag.weight.data);
  const auto features = static_cast<std::size_t>(bag.weight.size[1]);
  std::fill(row.begin(), row.end(), Plain<T>{0});
  std::int64_t taken = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t index = checked_index(bag, i);
    if (index == bag.padding_idx) continue;
    const T* const from = weight + index * bag.weight.stride[0];
    Plain<T> factor{1};
    if (bag.factors != nullptr) {
      factor = plain(reinterpret_cast<const T*>(bag.factors->data)[i * bag.factors->stride[0]]);
    }
    for (std::size_t j = 0; j < features; ++j) {
      const Plain<T> value = plain(from[static_cast<std::int64_t>(j) * bag.weight.stride[1]]);
      if (bag.mode != BagMode::Max) {
        row[j] += value * factor;
      } else if (taken == 0 || value > row[j]) {
        row[j] = value;
        put_integer(*largest_from, place * bag.weight.size[1] + static_cast<std::int64_t>(j), index);
      }
    }
    ++taken;
  }
  if (bag.mode == BagMode::Mean && taken != 0) {
    for (auto& value : row) value /= static_cast<Plain<T>>(taken);
  }
  return taken;
}

void clear(TensorObject& tensor) {
  const std::size_t bytes = static_cast<std::size_t>(tensor.numel) * element_bytes(tensor.dtype);
  if (bytes != 0) std::memset(tensor.data, 0, bytes);
}

}  // namespace

EmbeddingBagSizes embedding_bag_sizes(const EmbeddingBag& bag) {
  check_embedding_bag(bag);
  for (const TensorObject* operand : {&bag.weight, &bag.indices, &bag.offsets, bag.factors}) {
    if (operand != nullptr) check_host(kName, *operand);
  }
  EmbeddingBagSizes sizes;
  sizes.bags = bags_of(bag);
  sizes.out = {sizes.bags, bag.weight.size[1]};
  sizes.offset2bag = {leaves_bags_out(bag) ? 0 : bag.indices.numel};
  sizes.bag_size = {sizes.bags};
  sizes.max_indices = bag.mode == BagMode::Max ? sizes.out : sizes.bag_size;
  return sizes;
}

void embedding_bag(const EmbeddingBagResults& results, const EmbeddingBag& bag) {
  const std::vector<std::int64_t> ends = bag_ends(bag);
  for (TensorObject* one : {results.offset2bag.get(), results.bag_size.get(), results.max_indices.get()}) {
    clear(*one);
  }
  with_type(kName, bag.weight.dtype, kFloats, [&]<class T>(std::type_identity<T>) {
    auto* out = reinterpret_cast<T*>(results.out->data);
    std::vector<Plain<T>> row(static_cast<std::size_t>(bag.weight.size[1]));
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      const std::int64_t taken = reduce_bag<T>(bag, begin, ends[i], row, results.max_indices.get(), place);
      for (const auto value : row) *out++ = convert<T>(value);
      for (std::int64_t j = begin; j < ends[i] && results.offset2bag->numel != 0; ++j) {
        put_integer(*results.offset2bag, j, place);
      }
      if (bag.mode != BagMode::Sum) put_integer(*results.bag_size, place, taken);
      if (bag.mode == BagMode::Mean) put_integer(*results.max_indices, place, taken);
      begin = ends[i];
    }
  });
}

}  // namespace penstock::cpu
