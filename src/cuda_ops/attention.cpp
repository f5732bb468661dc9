#include "cuda_ops/attention.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/kernels/attention_arguments.hpp"
#include "cuda_ops/lane_state.hpp"
#include "cuda_ops/product.hpp"
#include "cuda_ops/views.hpp"
#include "system/ranges.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace penstock::cuda_ops {
namespace {

using kernels::AttentionShape;
using kernels::AttentionStrides;
using kernels::SoftmaxShape;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

constexpr std::int64_t kScoreBytes = std::int64_t{64} << 20;

enum Dim : std::size_t { kBatch = 0, kHead = 1, kLength = 2, kDepth = 3 };

double scale_of(const Attention& attention) {
  return attention.scale.value_or(1 / std::sqrt(static_cast<double>(attention.query.size[kDepth])));
}

/// Innermost elements that follow one another, in a copy where they do not.
const TensorObject& readable(const shim::CudaCall& call, const TensorObject& tensor, TensorObjectPtr& held) {
  const bool reads = (tensor.size[kDepth] == 1 || tensor.stride[kDepth] == 1) &&
                     (tensor.size[kLength] == 1 || tensor.stride[kLength] >= tensor.size[kDepth]);
  if (reads) return tensor;
  held = copied(call, tensor);
  return *held;
}

/// What is worked on in one product.
struct Part {
  std::int64_t batch;  ///< The first, as the next three.
  std::int64_t head;   ///< Of queries.
  std::int64_t key_head;
  std::int64_t query;
  std::int64_t queries;
};

/// Heads of queries that share a head of keys.
std::int64_t group_size(const Attention& attention) {
  return attention.query.size[kHead] / attention.key.size[kHead];
}

std::byte* at(const TensorObject& tensor, std::int64_t batch, std::int64_t head, std::int64_t row) {
  const std::int64_t offset =
      batch * tensor.stride[kBatch] + head * tensor.stride[kHead] + row * tensor.stride[kLength];
  return tensor.data + offset * static_cast<std::int64_t>(element_bytes(tensor.dtype));
}

/// Matrices of `rows` rows from `row` on, one a head of the part; `step` heads lie between them.
MatrixBatch matrices(const TensorObject& tensor, const HeadPlan& plan, const Part& part,
                     std::int64_t first_head, std::int64_t step, std::int64_t row, std::int64_t rows) {
  return {.data = at(tensor, part.batch, first_head, row),
          .batch = plan.merged * plan.heads,
          .rows = rows,
          .columns = tensor.size[kDepth],
          .batch_stride = plan.heads == 1 ? tensor.stride[kBatch] : step * tensor.stride[kHead],
          .row_stride = tensor.stride[kLength],
          .column_stride = 1};
}

MatrixBatch transposed(MatrixBatch matrix) {
  std::swap(matrix.rows, matrix.columns);
  std::swap(matrix.row_stride, matrix.column_stride);
  return matrix;
}

/// Rows begin where wide loads can: what lies between them is not read.
std::int64_t score_stride(std::int64_t keys) { return (keys + 7) / 8 * 8; }

MatrixBatch score_matrices(void* data, const HeadPlan& plan, std::int64_t queries, std::int64_t keys) {
  return {.data = static_cast<std::byte*>(data),
          .batch = plan.merged * plan.heads,
          .rows = queries,
          .columns = keys,
          .batch_stride = queries * score_stride(keys),
          .row_stride = score_stride(keys),
          .column_stride = 1};
}

/// The arguments after all those that the parts of one attention share.
struct Buffers {
  void* scores;
  void* weights;
};

void softmax(const shim::CudaCall& call, const Attention& attention, const TensorObject* mask,
             const TensorObject* log_sum, const HeadPlan& plan, const Part& part, const Buffers& buffers) {
  static constexpr Kernel kFloat32(kAttentionImage, "penstock_softmax_float32");
  static constexpr Kernel kFloat16(kAttentionImage, "penstock_softmax_float16");
  static constexpr Kernel kBFloat16(kAttentionImage, "penstock_softmax_bfloat16");
  SoftmaxShape shape{};
  shape.queries = part.queries;
  shape.rows = plan.merged * plan.heads * part.queries;
  shape.first_query = part.query;
  shape.keys = attention.key.size[kLength];
  shape.row_stride = score_stride(shape.keys);
  shape.heads = plan.heads;
  shape.causal = attention.causal ? 1 : 0;
  const std::byte* added = nullptr;
  if (mask != nullptr) {
    shape.mask_batch = mask->stride[kBatch];
    shape.mask_head = mask->stride[kHead] * plan.head_step;
    shape.mask_query = mask->stride[kLength];
    shape.mask_key = mask->stride[kDepth];
    added = at(*mask, part.batch, part.head, part.query);
  }
  std::byte* sums = nullptr;
  if (log_sum != nullptr) {
    shape.sum_batch = log_sum->stride[kBatch];
    shape.sum_head = log_sum->stride[kHead] * plan.head_step;
    sums = log_sum->data +
           static_cast<std::ptrdiff_t>(sizeof(float)) *
               (part.batch * log_sum->stride[kBatch] + part.head * log_sum->stride[kHead] + part.query);
  }
  const DType dtype = attention.query.dtype;
  const Kernel& kernel = dtype == DType::Float32 ? kFloat32 : dtype == DType::Float16 ? kFloat16 : kBFloat16;
  // A warp a row.
  constexpr unsigned kThreads = 128;
  constexpr std::int64_t kRowsOfBlock = kThreads / 32;
  const Grid grid{.blocks_x = static_cast<unsigned>(
                      std::min<std::int64_t>((shape.rows + kRowsOfBlock - 1) / kRowsOfBlock, INT32_MAX)),
                  .threads = kThreads};
  kernel.launch(call, grid, buffers.scores, buffers.weights, static_cast<const void*>(added),
                static_cast<void*>(sums), shape);
}

void attend_part(const shim::CudaCall& call, const TensorObject& out, const TensorObject* log_sum,
                 const Attention& attention, const TensorObject* mask, const HeadPlan& plan, const Part& part,
                 const Buffers& buffers) {
  const std::int64_t keys = attention.key.size[kLength];
  const DType dtype = attention.query.dtype;
  Product scores;
  scores.dtype = dtype;
  scores.result_dtype = DType::Float32;
  scores.a = matrices(attention.query, plan, part, part.head, plan.head_step, part.query, part.queries);
  scores.b = transposed(matrices(attention.key, plan, part, part.key_head, plan.key_step, 0, keys));
  scores.d = score_matrices(buffers.scores, plan, part.queries, keys);
  scores.alpha = scale_of(attention);
  run_product(call, scores);
  softmax(call, attention, mask, log_sum, plan, part, buffers);
  Product result;
  result.dtype = result.result_dtype = dtype;
  result.a = score_matrices(buffers.weights, plan, part.queries, keys);
  result.b = matrices(attention.value, plan, part, part.key_head, plan.key_step, 0, keys);
  result.d = matrices(out, plan, part, part.head, plan.head_step, part.query, part.queries);
  run_product(call, result);
}

AttentionStrides strides_of(const TensorObject& tensor) {
  return {tensor.stride[kBatch], tensor.stride[kHead], tensor.stride[kLength], tensor.stride[kDepth]};
}

/// The kernel for a dtype and as many columns as the tensors have, of which it has room for 32, 64 or 128.
const Kernel& kernel_of(DType dtype, std::int64_t columns) {
  static constexpr std::array kKernels{Kernel(kAttentionImage, "penstock_attention_float32_32"),
                                       Kernel(kAttentionImage, "penstock_attention_float32_64"),
                                       Kernel(kAttentionImage, "penstock_attention_float32_128"),
                                       Kernel(kAttentionImage, "penstock_attention_float16_32"),
                                       Kernel(kAttentionImage, "penstock_attention_float16_64"),
                                       Kernel(kAttentionImage, "penstock_attention_float16_128"),
                                       Kernel(kAttentionImage, "penstock_attention_bfloat16_32"),
                                       Kernel(kAttentionImage, "penstock_attention_bfloat16_64"),
                                       Kernel(kAttentionImage, "penstock_attention_bfloat16_128")};
  const std::size_t of_dtype = dtype == DType::Float32 ? 0 : dtype == DType::Float16 ? 3 : 6;
  return kKernels[of_dtype + (columns <= 32 ? 0 : columns <= 64 ? 1 : 2)];
}

std::int64_t columns_of(const Attention& attention) {
  return std::max(attention.query.size[kDepth], attention.value.size[kDepth]);
}

/// True where one kernel is faster than two products and a softmax, each of which takes microseconds at
/// least.
bool is_small(const Attention& attention) {
  constexpr std::int64_t kMostScores = std::int64_t{1} << 18;
  constexpr std::int64_t kMostColumns = 128;
  const TensorObject& query = attention.query;
  const std::int64_t keys = attention.key.size[kLength];
  return columns_of(attention) <= kMostColumns && keys <= kMostScores &&
         query.size[kBatch] * query.size[kHead] * query.size[kLength] <= kMostScores / keys;
}

void attend_at_once(const shim::CudaCall& call, const TensorObject& out, const TensorObject* log_sum,
                    const Attention& attention, const TensorObject* mask) {
  const TensorObject& query = attention.query;
  AttentionShape shape{.heads = query.size[kHead],
                       .heads_a_key = group_size(attention),
                       .queries = query.size[kLength],
                       .keys = attention.key.size[kLength],
                       .depth = query.size[kDepth],
                       .value_depth = attention.value.size[kDepth],
                       .query = strides_of(query),
                       .key = strides_of(attention.key),
                       .value = strides_of(attention.value),
                       .mask = {},
                       .out = strides_of(out),
                       .sum = {},
                       .scale = static_cast<float>(scale_of(attention)),
                       .causal = attention.causal ? 1 : 0};
  if (mask != nullptr) shape.mask = strides_of(*mask);
  if (log_sum != nullptr) shape.sum = {log_sum->stride[kBatch], log_sum->stride[kHead], 1, 0};
  const std::int64_t tiles = (shape.queries + kernels::kAttentionQueries - 1) / kernels::kAttentionQueries;
  const Grid grid{.blocks_x = static_cast<unsigned>(query.size[kBatch] * shape.heads * tiles),
                  .threads = kernels::kAttentionThreads};
  const auto data = [](const TensorObject* tensor) {
    return static_cast<void*>(tensor == nullptr ? nullptr : tensor->data);
  };
  kernel_of(query.dtype, columns_of(attention))
      .launch(call, grid, data(&query), data(&attention.key), data(&attention.value), data(mask), data(&out),
              data(log_sum), shape);
}

void fill_infinity(const shim::CudaCall& call, const TensorObject& log_sum) {
  constexpr unsigned kInfinity = 0x7F800000;
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Fill, "cuMemsetD32Async", call.stream);
  }
  cuda::check(cuda::driver().memset_d32_async(reinterpret_cast<cuda::DevicePointer>(log_sum.data), kInfinity,
                                              static_cast<std::size_t>(log_sum.numel), call.stream),
              "cuMemsetD32Async", "the log-sums of an attention");
}

}  // namespace

void check_attention(const Attention& attention) {
  const auto& [op, query, key, value, mask, causal, scale] = attention;
  const bool fits = query.rank == 4 && key.rank == 4 && value.rank == 4 &&
                    key.size[kBatch] == query.size[kBatch] && value.size[kBatch] == query.size[kBatch] &&
                    key.size[kDepth] == query.size[kDepth] && key.size[kLength] == value.size[kLength] &&
                    key.size[kHead] == value.size[kHead] &&
                    (key.size[kHead] == query.size[kHead] ||
                     (key.size[kHead] > 0 && query.size[kHead] % key.size[kHead] == 0));
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "{}: queries {}, keys {} and values {} do not go together", op,
               tensor::sizes_text(query.sizes()), tensor::sizes_text(key.sizes()),
               tensor::sizes_text(value.sizes()));
  }
  const DType dtype = query.dtype;
  if (dtype != DType::Float32 && dtype != DType::Float16 && dtype != DType::BFloat16) {
    base::fail(ErrorCode::Unsupported, "{} of {} on a GPU", op, dtype_name(dtype));
  }
  if (key.dtype != dtype || value.dtype != dtype || (mask != nullptr && mask->dtype != dtype)) {
    base::fail(ErrorCode::InvalidArgument, "{}: {}, {} and {} tensors{} do not go together", op,
               dtype_name(dtype), dtype_name(key.dtype), dtype_name(value.dtype),
               mask != nullptr ? fmt::format(" with a mask of {}", dtype_name(mask->dtype)) : "");
  }
}

HeadPlan plan_heads(const Attention& attention, const TensorObject& out) {
  const std::int64_t batches = attention.query.size[kBatch];
  const std::int64_t heads = attention.key.size[kHead];
  const std::int64_t groups = group_size(attention);
  if (groups > heads) {
    return {.batches = batches,
            .loops = heads,
            .heads = groups,
            .key_step = 0,
            .loop_head_step = groups,
            .loop_key_step = 1};
  }
  if (groups > 1) {
    return {.batches = batches, .loops = groups, .heads = heads, .head_step = groups, .loop_head_step = 1};
  }
  const std::array<const TensorObject*, 4> all{&attention.query, &attention.key, &attention.value, &out};
  const bool uniform = std::ranges::all_of(all, [&](const TensorObject* tensor) {
    return batches == 1 || heads == 1 || tensor->stride[kBatch] == heads * tensor->stride[kHead];
  });
  if (uniform) return {.heads = heads, .merged = batches};
  return {.batches = batches, .heads = heads};
}

std::int64_t queries_at_a_time(std::int64_t scores_per_query, std::int64_t queries) noexcept {
  constexpr std::int64_t kStep = 16;
  const std::int64_t most = kScoreBytes / static_cast<std::int64_t>(sizeof(float)) /
                            std::max<std::int64_t>(scores_per_query, 1) / kStep * kStep;
  return std::min(queries, std::max(most, kStep));
}

void attend(const shim::CudaCall& call, const TensorObject& out, const TensorObject* log_sum,
            const Attention& attention) {
  const system::Range range(attention.op);
  if (log_sum != nullptr && log_sum->numel > 0) {
    fill_infinity(call, *log_sum);
  } else {
    log_sum = nullptr;
  }
  if (out.numel == 0) return;
  if (attention.key.size[kLength] == 0) {
    call.operators->zero(call, out);
    return;
  }
  std::array<TensorObjectPtr, 4> held;
  if (attention.mask != nullptr) {
    const std::array sizes{attention.query.size[kBatch], attention.query.size[kHead],
                           attention.query.size[kLength], attention.key.size[kLength]};
    held[3] = expand(attention.op, *attention.mask, sizes);
  }
  if (is_small(attention)) {
    attend_at_once(call, out, log_sum, attention, held[3].get());
    return;
  }
  const Attention read{.op = attention.op,
                       .query = readable(call, attention.query, held[0]),
                       .key = readable(call, attention.key, held[1]),
                       .value = readable(call, attention.value, held[2]),
                       .mask = attention.mask,
                       .causal = attention.causal,
                       .scale = attention.scale};
  const std::int64_t queries = read.query.size[kLength];
  const std::int64_t keys = read.key.size[kLength];
  const HeadPlan plan = plan_heads(read, out);
  const std::int64_t scores_per_query = plan.merged * plan.heads * score_stride(keys);
  const std::int64_t step = queries_at_a_time(scores_per_query, queries);
  const auto scores = static_cast<std::size_t>(scores_per_query * step);
  const bool narrow = read.query.dtype != DType::Float32;
  const Workspace score_memory(call, scores * sizeof(float));
  const Workspace weight_memory(call, narrow ? scores * element_bytes(read.query.dtype) : 0);
  const Buffers buffers{score_memory.data(), narrow ? weight_memory.data() : score_memory.data()};
  for (std::int64_t batch = 0; batch < plan.batches; ++batch) {
    for (std::int64_t loop = 0; loop < plan.loops; ++loop) {
      for (std::int64_t query = 0; query < queries; query += step) {
        const Part part{batch, loop * plan.loop_head_step, loop * plan.loop_key_step, query,
                        std::min(step, queries - query)};
        attend_part(call, out, log_sum, read, held[3].get(), plan, part, buffers);
      }
    }
  }
}

}  // namespace penstock::cuda_ops
