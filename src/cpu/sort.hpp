#pragma once

#include "cpu/dims.hpp"
#include "cpu/scan.hpp"
#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>

// `pool` is where operators make what they need while they work, as Temporary does.
namespace penstock::cpu {

struct SortOrder {
  std::int64_t dim = -1;
  bool descending = false;
};

/// Sorts along a dimension. NaN is larger than any number; equal elements keep their order, whether the
/// caller asked for that or not. Source: torch.sort.
void sort(tensor::Allocator* pool, Found out, const tensor::TensorObject& self, SortOrder order);

struct TopK {
  std::int64_t k = 1;
  std::int64_t dim = -1;
  bool largest = true;
  bool sorted = true;
};

/// Sizes with k in the place of the dimension. Errors: InvalidArgument in PyTorch's words where k is out
/// of range.
Dims topk_sizes(const tensor::TensorObject& self, const TopK& options);

/// The k largest or smallest elements along a dimension, NaN being the largest. Which of equal elements
/// are taken, and their order, is PyTorch's where both are built with the same C++ standard library,
/// and else not specified. Source: torch.topk.
void topk(tensor::Allocator* pool, Found out, const tensor::TensorObject& self, const TopK& options);

/// Errors: InvalidArgument in PyTorch's words where there is no k-th element along the dimension.
void check_kth(const tensor::TensorObject& self, std::int64_t k, std::size_t dim);

/// The k-th smallest element along `dim`, k from 1; `out` has size 1 there.
/// Of equal elements the k-th in a stable order. Source: torch.kthvalue.
void kthvalue(tensor::Allocator* pool, Found out, const tensor::TensorObject& self, std::int64_t k,
              std::int64_t dim);

/// The element in the middle of all, the lower of two; NaN where one element is NaN or there is none.
/// `out` is a scalar. Source: torch.median.
void median(tensor::Allocator* pool, const tensor::TensorObject& out, const tensor::TensorObject& self);

/// The same without regard to NaN. Source: torch.nanmedian.
void nanmedian(tensor::Allocator* pool, const tensor::TensorObject& out, const tensor::TensorObject& self);

}  // namespace penstock::cpu
