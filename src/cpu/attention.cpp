#include "cpu/attention.hpp"

#include "base/fail.hpp"
#include "cpu/attention_kernels.hpp"
#include "cpu/gemm_kernels.hpp"
#include "cpu/op_state_impl.hpp"
#include "cpu/parallel.hpp"
#include "cpu/strided.hpp"
#include "system/machine.hpp"
#include "tensor/address.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;

constexpr std::string_view kName = "scaled_dot_product_attention";

const AttentionKernels& choose_kernels() {
  const auto has = [](std::string_view name) { return system::has_instruction_set(name); };
  if (!has("AVX2") || !has("FMA") || !has("F16C")) return kAttentionBaseline;
  if (has("AVX512F") && has("AVX512DQ") && has("AVX512BW") && has("AVX512VL")) return kAttentionAvx512;
  return kAttentionAvx2;
}

bool is_narrow(DType dtype) { return dtype == DType::BFloat16 || dtype == DType::Float16; }

/// The dtype that sums have.
DType wide_type(DType dtype) { return is_narrow(dtype) ? DType::Float32 : dtype; }

void check_place(std::string_view name, const TensorObject& tensor) {
  if (tensor.storage != nullptr && tensor.storage->device.type == DeviceType::Cpu) return;
  base::fail(ErrorCode::InvalidArgument, "{}: {} is not in host memory", kName, name);
}

void check_tensor(std::string_view name, const TensorObject& tensor, const Attention& attention) {
  check_place(name, tensor);
  if (tensor.dtype != attention.query.dtype) {
    base::fail(ErrorCode::InvalidArgument, "{}: {} is {} where query is {}", kName, name,
               dtype_name(tensor.dtype), dtype_name(attention.query.dtype));
  }
}

void check_mask(const Attention& attention) {
  const TensorObject& mask = *attention.mask;
  // PyTorch takes float32 with every query.
  if (mask.dtype == DType::Float32) {
    check_place("attn_mask", mask);
  } else {
    check_tensor("attn_mask", mask, attention);
  }
  const std::array<std::int64_t, 4> full{attention.query.size[0], attention.query.size[1],
                                         attention.query.size[2], attention.key.size[2]};
  bool fits = mask.rank <= 4;
  for (std::int32_t i = 0; fits && i < mask.rank; ++i) {
    const std::int64_t size = mask.size[static_cast<std::size_t>(mask.rank - 1 - i)];
    fits = size == 1 || size == full[static_cast<std::size_t>(3 - i)];
  }
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "{}: attn_mask of sizes {} cannot be broadcast to {}", kName,
               sizes_text(mask.sizes()), sizes_text(full));
  }
}

void check(const Attention& attention) {
  const TensorObject& query = attention.query;
  const TensorObject& key = attention.key;
  const TensorObject& value = attention.value;
  check_tensor("query", query, attention);
  check_tensor("key", key, attention);
  check_tensor("value", value, attention);
  if (wide_type(query.dtype) != DType::Float32 && query.dtype != DType::Float64) {
    base::fail(ErrorCode::Unsupported, "{} of {} tensors", kName, dtype_name(query.dtype));
  }
  bool fits = query.rank == 4 && key.rank == 4 && value.rank == 4;
  for (const std::size_t dim : {0, 3}) fits = fits && query.size[dim] == key.size[dim];
  for (const std::size_t dim : {0, 1, 2, 3}) fits = fits && key.size[dim] == value.size[dim];
  const bool shares =
      fits && (query.size[1] == key.size[1] || (key.size[1] != 0 && query.size[1] % key.size[1] == 0));
  if (!shares) {
    base::fail(ErrorCode::InvalidArgument, "{}: query of sizes {}, key of sizes {}, value of sizes {}", kName,
               sizes_text(query.sizes()), sizes_text(key.sizes()), sizes_text(value.sizes()));
  }
  if (attention.mask != nullptr) check_mask(attention);
}

/// One matrix [rows, columns] of a tensor's last two dimensions.
struct Matrix {
  const std::byte* data;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

Matrix head_of(const TensorObject& tensor, std::int64_t batch, std::int64_t head) {
  const std::int64_t offset = batch * tensor.stride[0] + head * tensor.stride[1];
  return {tensor::address_at(tensor.data, offset * static_cast<std::int64_t>(element_bytes(tensor.dtype))),
          tensor.size[2], tensor.size[3], tensor.stride[2], tensor.stride[3]};
}

/// Writes `matrix`, of float32, without gaps to `to`, in float64.
void copy_doubled(const Matrix& matrix, double* to) {
  const auto* const from = reinterpret_cast<const float*>(matrix.data);
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    for (std::int64_t i = 0; i < matrix.columns; ++i) {
      *to++ = static_cast<double>(from[row * matrix.row_stride + i * matrix.column_stride]);
    }
  }
}

/// Writes `matrix` without gaps to `to`, 16-bit elements as float32.
void copy_wide(const Matrix& matrix, DType dtype, std::byte* to) {
  const std::array<std::int64_t, 2> sizes{matrix.rows, matrix.columns};
  const std::array<std::int64_t, 2> from{matrix.row_stride, matrix.column_stride};
  const std::array<std::int64_t, 2> strides{matrix.columns, 1};
  if (!is_narrow(dtype)) {
    tensor::copy_strided(to, strides, matrix.data, from, sizes, element_bytes(dtype));
    return;
  }
  const auto widen = dtype == DType::BFloat16 ? gemm_kernels().widen_bfloat16 : gemm_kernels().widen_float16;
  auto* wide = reinterpret_cast<float*>(to);
  for (std::int64_t row = 0; row < matrix.rows; ++row, wide += matrix.columns) {
    const std::byte* line = matrix.data + row * matrix.row_stride * 2;
    if (matrix.column_stride == 1 || matrix.columns <= 1) {
      widen(line, wide, matrix.columns);
    } else {
      for (std::int64_t i = 0; i < matrix.columns; ++i)
        widen(line + i * matrix.column_stride * 2, wide + i, 1);
    }
  }
}

/// How the work of one call is cut, and where each worker has its memory.
struct Plan {
  DType dtype;
  DType wide;
  DType mask_dtype;
  std::int64_t batch, heads, length, keys, depth;
  std::int64_t sharing;  ///< Heads of the query that have one head of key and value.
  std::int64_t lanes;
  std::int64_t blocks;  ///< Of queries, for each head.
  bool copies_query, copies_keys, copies_mask, copies_out;
  std::size_t key_bytes = 0, query_bytes = 0, mask_bytes = 0, scratch_bytes = 0;
  std::array<std::int64_t, 4> mask_strides{};
  void (*kernel)(const AttentionBlock&) noexcept;

  [[nodiscard]] std::size_t worker_bytes() const {
    return scratch_bytes + 2 * key_bytes + 3 * query_bytes + mask_bytes;
  }
};

std::size_t padded(std::int64_t elements, DType dtype) {
  return (static_cast<std::size_t>(elements) * element_bytes(dtype) + 63) & ~std::size_t{63};
}

Plan make_plan(const Attention& attention, const TensorObject& out) {
  const TensorObject& query = attention.query;
  static const AttentionKernels& kernels = choose_kernels();
  Plan plan{};
  plan.dtype = query.dtype;
  plan.wide = wide_type(query.dtype);
  plan.batch = query.size[0];
  plan.heads = query.size[1];
  plan.length = query.size[2];
  plan.depth = query.size[3];
  plan.keys = attention.key.size[2];
  plan.sharing = plan.heads / attention.key.size[1];
  const bool is_double = plan.wide == DType::Float64;
  plan.kernel = is_double ? kernels.float64 : kernels.float32;
  plan.lanes = is_double ? kernels.float64_lanes : kernels.float32_lanes;
  const std::int64_t most = plan.lanes * kAttentionVectors;
  plan.blocks = (plan.length + most - 1) / most;
  const bool narrow = is_narrow(plan.dtype);
  const auto has_gaps = [&plan](const TensorObject& tensor) {
    return plan.depth > 1 && tensor.stride[3] != 1;
  };
  plan.copies_query = narrow || has_gaps(query);
  plan.copies_keys = narrow || has_gaps(attention.key) || has_gaps(attention.value);
  plan.copies_out = narrow || has_gaps(out);
  // Views that repeat elements can be larger than any memory.
  if (static_cast<double>(plan.keys) * static_cast<double>(std::max<std::int64_t>(plan.depth, most)) > 1e12) {
    base::fail(ErrorCode::OutOfMemory, "{}: out of memory: keys of sizes {}", kName,
               sizes_text(attention.key.sizes()));
  }
  plan.scratch_bytes = attention_scratch_elements(plan.lanes, plan.depth) * element_bytes(plan.wide);
  if (plan.copies_keys) plan.key_bytes = padded(plan.keys * plan.depth, plan.wide);
  if (plan.copies_query || plan.copies_out) plan.query_bytes = padded(most * plan.depth, plan.wide);
  if (attention.mask != nullptr) {
    const TensorObject& mask = *attention.mask;
    for (std::int32_t i = 0; i < mask.rank; ++i) {
      const auto from = static_cast<std::size_t>(mask.rank - 1 - i);
      plan.mask_strides[static_cast<std::size_t>(3 - i)] = mask.size[from] == 1 ? 0 : mask.stride[from];
    }
    plan.mask_dtype = mask.dtype;
    plan.copies_mask = mask.dtype != plan.wide;
    if (plan.copies_mask) plan.mask_bytes = padded(most * plan.keys, plan.wide);
  }
  return plan;
}

/// One worker's walk over blocks of queries.
class Worker {
 public:
  Worker(const Plan& plan, const Attention& attention, TensorObject& out, TensorObject& log_sum,
         std::byte* memory)
      : plan_(plan), attention_(attention), out_(out), log_sum_(log_sum) {
    scratch_ = memory;
    key_ = scratch_ + plan.scratch_bytes;
    value_ = key_ + plan.key_bytes;
    query_ = value_ + plan.key_bytes;
    result_ = query_ + plan.query_bytes;
    narrowed_ = result_ + plan.query_bytes;
    mask_ = narrowed_ + plan.query_bytes;
  }

  void run(const TaskRange& range) {
    for (std::int64_t task = range.begin; task < range.end; ++task) {
      const std::int64_t head = task / plan_.blocks;
      if (head != head_) enter(head);
      const std::int64_t vectors = (plan_.length + plan_.lanes - 1) / plan_.lanes;
      // Blocks of about equal size: a last one with few queries would not be worth its vectors.
      const std::int64_t part = task % plan_.blocks;
      const std::int64_t first = part * vectors / plan_.blocks * plan_.lanes;
      const std::int64_t end = std::min(plan_.length, (part + 1) * vectors / plan_.blocks * plan_.lanes);
      attend_block(first, end - first);
    }
  }

 private:
  void enter(std::int64_t head) {
    head_ = head;
    batch_ = head / plan_.heads;
    head_of_batch_ = head % plan_.heads;
    if (const std::int64_t shared = head / plan_.sharing; shared != std::exchange(shared_, shared))
      enter_shared();
  }

  /// Goes on to the head of key and value that the query's heads from here on share.
  void enter_shared() {
    const std::int64_t head = head_of_batch_ / plan_.sharing;
    const Matrix key = head_of(attention_.key, batch_, head);
    const Matrix value = head_of(attention_.value, batch_, head);
    block_.key = {key.data, key.row_stride};
    block_.value = {value.data, value.row_stride};
    if (!plan_.copies_keys) return;
    copy_wide(key, plan_.dtype, key_);
    copy_wide(value, plan_.dtype, value_);
    block_.key = {key_, plan_.depth};
    block_.value = {value_, plan_.depth};
  }

  void attend_block(std::int64_t first, std::int64_t count) {
    const auto element = static_cast<std::int64_t>(element_bytes(plan_.dtype));
    block_.queries = count;
    block_.keys = plan_.keys;
    block_.depth = plan_.depth;
    block_.scale = attention_.scale.value_or(1 / std::sqrt(static_cast<double>(plan_.depth)));
    block_.causal_offset = attention_.causal ? first : -1;
    block_.scratch = scratch_;
    Matrix query = head_of(attention_.query, batch_, head_of_batch_);
    query.data += first * query.row_stride * element;
    query.rows = count;
    block_.query = {query.data, query.row_stride};
    if (plan_.copies_query) {
      copy_wide(query, plan_.dtype, query_);
      block_.query = {query_, plan_.depth};
    }
    if (attention_.mask != nullptr) set_mask(first, count);
    std::byte* const out =
        out_.data +
        (batch_ * out_.stride[0] + head_of_batch_ * out_.stride[1] + first * out_.stride[2]) * element;
    block_.out = plan_.copies_out ? result_ : out;
    block_.out_stride = plan_.copies_out ? plan_.depth : out_.stride[2];
    block_.log_sum = log_sum_.data + (batch_ * log_sum_.stride[0] + head_of_batch_ * log_sum_.stride[1] +
                                      first * log_sum_.stride[2]) *
                                         static_cast<std::int64_t>(element_bytes(plan_.wide));
    block_.log_sum_stride = log_sum_.stride[2];
    plan_.kernel(block_);
    if (plan_.copies_out) write_narrow(out, count);
  }

  /// The kernel's result, in the dtype and layout of the output.
  void write_narrow(std::byte* out, std::int64_t count) {
    const std::array<std::int64_t, 2> sizes{count, plan_.depth};
    const std::array<std::int64_t, 2> from{plan_.depth, 1};
    const std::array<std::int64_t, 2> to{out_.stride[2], out_.stride[3]};
    if (is_narrow(plan_.dtype)) {
      const auto narrow =
          plan_.dtype == DType::BFloat16 ? gemm_kernels().narrow_bfloat16 : gemm_kernels().narrow_float16;
      narrow(reinterpret_cast<const float*>(result_), narrowed_, count * plan_.depth);
      tensor::copy_strided(out, to, narrowed_, from, sizes, element_bytes(plan_.dtype));
    } else {
      tensor::copy_strided(out, to, result_, from, sizes, element_bytes(plan_.dtype));
    }
  }

  void set_mask(std::int64_t first, std::int64_t count) {
    const auto& strides = plan_.mask_strides;
    const std::int64_t offset = batch_ * strides[0] + head_of_batch_ * strides[1] + first * strides[2];
    const std::byte* data =
        attention_.mask->data + offset * static_cast<std::int64_t>(element_bytes(plan_.mask_dtype));
    block_.mask = data;
    block_.mask_query_stride = strides[2];
    block_.mask_key_stride = strides[3];
    if (!plan_.copies_mask) return;
    const std::int64_t rows = strides[2] == 0 ? 1 : count;
    const Matrix mask{data, rows, plan_.keys, strides[2], strides[3]};
    if (plan_.wide == DType::Float64) {
      copy_doubled(mask, reinterpret_cast<double*>(mask_));
    } else {
      copy_wide(mask, plan_.mask_dtype, mask_);
    }
    block_.mask = mask_;
    block_.mask_query_stride = rows == 1 ? 0 : plan_.keys;
    block_.mask_key_stride = 1;
  }

  const Plan& plan_;
  const Attention& attention_;
  TensorObject& out_;
  TensorObject& log_sum_;
  std::byte *scratch_, *key_, *value_, *query_, *result_, *narrowed_, *mask_;
  AttentionBlock block_{};
  std::int64_t head_ = -1;
  std::int64_t shared_ = -1;
  std::int64_t batch_ = 0;
  std::int64_t head_of_batch_ = 0;
};

}  // namespace

AttentionOutput attention_output(const Attention& attention) {
  check(attention);
  const auto& size = attention.query.size;
  const auto part = [](std::int64_t value) { return std::max<std::int64_t>(value, 1); };
  AttentionOutput output;
  output.out = {
      attention.query.dtype, {size[0], size[1], size[2], size[3]}, like_layout(attention.query).strides};
  output.log_sum = {wide_type(attention.query.dtype),
                    {size[0], size[1], size[2]},
                    {part(size[2]) * part(size[1]), 1, part(size[1])}};
  return output;
}

void attend(OpContext& context, TensorObject& out, TensorObject& log_sum, const Attention& attention) {
  check(attention);
  if (log_sum.numel == 0) return;
  const Plan plan = make_plan(attention, out);
  const std::int64_t tasks = plan.batch * plan.heads * plan.blocks;
  const int workers = static_cast<int>(std::clamp<std::int64_t>(context.threads, 1, tasks));
  std::byte* const memory = context.state.impl().scratch.get(
      ScratchUse::Library, plan.worker_bytes() * static_cast<std::size_t>(workers));
  for_each_range(tasks, workers, [&](const TaskRange& range) noexcept {
    Worker(plan, attention, out, log_sum,
           memory + plan.worker_bytes() * static_cast<std::size_t>(range.worker))
        .run(range);
  });
}

}  // namespace penstock::cpu
