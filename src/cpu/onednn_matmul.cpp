#include "cpu/matrix_product.hpp"
#include "cpu/op_state_impl.hpp"
#include "system/machine.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>

namespace penstock::cpu {
namespace {

using Dims = std::array<std::int64_t, 3>;

/// Whether oneDNN turned out to have no product of a dtype on this machine, so that it is asked once.
std::atomic<bool>& known_missing(DType dtype) {
  static std::array<std::atomic<bool>, 3> missing{};
  switch (dtype) {
    case DType::BFloat16: return missing[0];
    case DType::Float16: return missing[1];
    default: return missing[2];
  }
}

dnnl_data_type_t onednn_type(DType dtype) {
  switch (dtype) {
    case DType::BFloat16: return dnnl_bf16;
    case DType::Float16: return dnnl_f16;
    default: return dnnl_f32;
  }
}

/// A weight whose layout oneDNN may choose, for the price of a second copy. With AVX-512 and few rows
/// that is up to three times as fast; with AVX2 it is slower, and with many rows it hardly matters.
bool may_reorder(const DenseProduct& product) {
  constexpr std::int64_t kMostRows = 64;
  static const bool has_avx512 = system::has_instruction_set("AVX512F");
  return has_avx512 && product.right.constant != nullptr && product.batch == 1 && product.rows > 1 &&
         product.rows <= kMostRows;
}

OperationKey make_key(const DenseProduct& product, int threads) {
  OperationKey key;
  key.add(std::int64_t{DNNL_ARG_SRC});
  key.add(static_cast<std::int64_t>(product.dtype));
  key.add(Dims{product.rows, product.columns, product.depth});
  key.add(product.batch);
  for (const DenseBatch* side : {&product.left, &product.right, &product.out}) {
    key.add(Dims{side->batch_stride, side->stride, side->transposed ? 1 : 0});
  }
  key.add(product.alpha);
  key.add(product.beta);
  key.add(Dims{product.bias != nullptr ? 1 : 0, may_reorder(product) ? 1 : 0, threads});
  return key;
}

MemoryDesc make_desc(const OnednnApi& api, const DenseProduct& product, const DenseBatch& side,
                     std::int64_t rows, std::int64_t columns, std::string_view what) {
  const std::int64_t outer = side.transposed ? columns : rows;
  // A batch whose matrices are all the same is one that oneDNN broadcasts.
  const std::int64_t batch = side.batch_stride == 0 ? 1 : product.batch;
  const Dims sizes{batch, rows, columns};
  const Dims strides{batch == 1 ? outer * side.stride : side.batch_stride, side.transposed ? 1 : side.stride,
                     side.transposed ? side.stride : 1};
  return make_strided_desc(api, onednn_type(product.dtype), sizes, strides, what);
}

PrimitiveAttr make_post_ops(const OnednnApi& api, const DenseProduct& product, std::string_view what) {
  PrimitiveAttr attributes = make_attributes(api, what);
  if (product.alpha == 1 && product.beta == 0) return attributes;
  dnnl_post_ops_t made = nullptr;
  check_onednn(api.post_ops_create(&made), "post_ops_create", what);
  const PostOps post_ops(made);
  if (product.alpha != 1) {
    check_onednn(
        api.post_ops_append_eltwise(made, dnnl_eltwise_linear, static_cast<float>(product.alpha), 0.0F),
        "post_ops_append_eltwise", what);
  }
  if (product.beta != 0) {
    check_onednn(api.post_ops_append_sum(made, static_cast<float>(product.beta), 0, dnnl_data_type_undef),
                 "post_ops_append_sum", what);
  }
  check_onednn(api.primitive_attr_set_post_ops(attributes.get(), made), "primitive_attr_set_post_ops", what);
  return attributes;
}

/// Null where oneDNN has no such product.
std::unique_ptr<OnednnOperation> make_operation(const OnednnApi& api, const DenseProduct& product) {
  std::string what =
      fmt::format("{} {} [{}, {}, {}] x [{}, {}, {}]", product.name, dtype_name(product.dtype), product.batch,
                  product.rows, product.depth, product.batch, product.depth, product.columns);
  std::vector<OperationTensor> tensors;
  tensors.push_back({DNNL_ARG_SRC, make_desc(api, product, product.left, product.rows, product.depth, what)});
  tensors.push_back(
      {DNNL_ARG_WEIGHTS, make_desc(api, product, product.right, product.depth, product.columns, what)});
  if (product.bias != nullptr) {
    const Dims sizes{1, 1, product.columns};
    const Dims strides{product.columns, product.columns, 1};
    tensors.push_back(
        {DNNL_ARG_BIAS, make_strided_desc(api, onednn_type(product.dtype), sizes, strides, what)});
  }
  tensors.push_back(
      {DNNL_ARG_DST, make_desc(api, product, product.out, product.rows, product.columns, what)});

  MemoryDesc any_weights;
  if (may_reorder(product)) {
    any_weights =
        make_any_desc(api, onednn_type(product.dtype), Dims{1, product.depth, product.columns}, what);
  }
  const PrimitiveAttr attributes = make_post_ops(api, product, what);
  dnnl_primitive_desc_t made = nullptr;
  const dnnl_status_t status =
      api.matmul_primitive_desc_create(&made, api.engine, tensors[0].given.get(),
                                       any_weights != nullptr ? any_weights.get() : tensors[1].given.get(),
                                       product.bias != nullptr ? tensors[2].given.get() : nullptr,
                                       tensors.back().given.get(), attributes.get());
  if (status == dnnl_unimplemented) return nullptr;
  check_onednn(status, "matmul_primitive_desc_create", what);
  return std::make_unique<OnednnOperation>(PrimitiveDesc(made), std::move(tensors), std::move(what));
}

}  // namespace

bool multiply_with_onednn(OpContext& context, const DenseProduct& product) {
  const OnednnApi* const api = onednn();
  if (api == nullptr || known_missing(product.dtype)) return false;
  OpState::Impl& state = context.state.impl();
  const OnednnThreads threads(*api, context.threads);
  const OperationKey key = make_key(product, threads.count());
  OnednnOperation* operation = state.operations.find(key);
  if (operation == nullptr) {
    auto made = make_operation(*api, product);
    if (made == nullptr) {
      known_missing(product.dtype) = true;
      return false;
    }
    operation = &state.operations.insert(key, std::move(made));
  }
  std::array<OperationData, 4> data;
  std::size_t count = 0;
  data[count++] = {product.left.data, nullptr};
  data[count++] = {product.right.data, product.right.constant};
  // oneDNN's interface has no const; a bias is not written.
  if (product.bias != nullptr) data[count++] = {const_cast<std::byte*>(product.bias), nullptr};
  data[count++] = {product.out.data, nullptr};
  operation->execute(state.scratch, std::span(data).first(count));
  return true;
}

}  // namespace penstock::cpu
