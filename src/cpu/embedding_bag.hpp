#pragma once

#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <vector>

namespace penstock::cpu {

/// How the rows of a bag become one.
enum class BagMode : std::int64_t { Sum = 0, Mean = 1, Max = 2 };

/// Rows of `weight` that `indices` name, in bags that begin at `offsets`.
struct EmbeddingBag {
  const tensor::TensorObject& weight;   ///< [rows, features]
  const tensor::TensorObject& indices;  ///< One dimension, int32 or int64.
  const tensor::TensorObject& offsets;  ///< The same.
  BagMode mode = BagMode::Sum;
  const tensor::TensorObject* factors = nullptr;  ///< One for each index, of the weight's dtype; null: 1.
  bool include_last_offset = false;               ///< The last offset is an end, not a bag's beginning.
  std::int64_t padding_idx = -1;                  ///< An index that counts as absent; negative: none.
};

struct EmbeddingBagResults {
  tensor::TensorObjectPtr out;         ///< [bags, features]
  tensor::TensorObjectPtr offset2bag;  ///< Which bag each index is in.
  tensor::TensorObjectPtr bag_size;    ///< Indices of each bag that count.
  tensor::TensorObjectPtr max_indices;
};

/// Sizes of the results. `offset2bag` is empty where PyTorch leaves it so.
struct EmbeddingBagSizes {
  std::int64_t bags = 0;
  std::vector<std::int64_t> out;
  std::vector<std::int64_t> offset2bag;
  std::vector<std::int64_t> bag_size;
  std::vector<std::int64_t> max_indices;
};

/// Errors: InvalidArgument says what does not fit.
void check_embedding_bag(const EmbeddingBag& bag);

/// Errors: as there; Unsupported dtype.
EmbeddingBagSizes embedding_bag_sizes(const EmbeddingBag& bag);

/// Fills results made with these sizes, row-major, of the weight's dtype and that of the indices.
/// Errors: as there; InvalidArgument for an index or offset out of range.
/// Source: torch.ops.aten._embedding_bag.
void embedding_bag(const EmbeddingBagResults& results, const EmbeddingBag& bag);

}  // namespace penstock::cpu
