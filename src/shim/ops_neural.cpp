#include "cpu/attention.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"

#include <array>

using namespace penstock;
using penstock::shim::guarded;
using penstock::shim::make_result;
using penstock::shim::operator_context;

namespace {

AOTITorchError attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value, double dropout,
                         std::int32_t is_causal, AtenTensorHandle* mask, double* scale,
                         AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    if (dropout != 0) {
      base::fail(ErrorCode::Unsupported, "scaled_dot_product_attention with a dropout of {}", dropout);
    }
    cpu::Attention attention{.query = *query,
                             .key = *key,
                             .value = *value,
                             .mask = mask != nullptr ? *mask : nullptr,
                             .causal = is_causal != 0,
                             .scale = {}};
    if (scale != nullptr) attention.scale = *scale;
    const cpu::AttentionOutput output = cpu::attention_output(attention);
    auto out = make_result(output.out.dtype, output.out.sizes, output.out.strides);
    auto log_sum = make_result(output.log_sum.dtype, output.log_sum.sizes, output.log_sum.strides);
    cpu::attend(context, *out, *log_sum, attention);
    *ret0 = out.release();
    *ret1 = log_sum.release();
  });
}

}  // namespace

namespace penstock::shim {

std::span<const TableEntry> neural_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu", &attention),
  };
  return kTable;
}

}  // namespace penstock::shim
