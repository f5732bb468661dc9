#include "shim/proxy.hpp"

#include "base/fail.hpp"
#include "shim/context.hpp"
#include "shim/table.hpp"

#include <array>

using namespace penstock;

extern "C" {

AOTITorchError penstock_proxy_executor_call_function(AOTIProxyExecutorHandle proxy, int node, int num_ints,
                                                     std::int64_t* ints, int num_tensors,
                                                     AtenTensorHandle* tensors) {
  return shim::guarded([&] {
    // An operator may change what it is given: it is work.
    shim::refuse_while_probing();
    if (proxy == nullptr || num_ints < 0 || num_tensors < 0) {
      base::fail(ErrorCode::Internal, "the model calls operator {} with {} integers and {} tensors{}", node,
                 num_ints, num_tensors, proxy == nullptr ? ", of a package that names no operators" : "");
    }
    proxy->call({.node = node,
                 .integers = {ints, static_cast<std::size_t>(num_ints)},
                 .tensors = {tensors, static_cast<std::size_t>(num_tensors)}});
  });
}

}  // extern "C"

namespace penstock::shim {

std::span<const TableEntry> proxy_functions() {
  static const std::array kTable{
      entry("aoti_torch_proxy_executor_call_function", &penstock_proxy_executor_call_function),
  };
  return kTable;
}

}  // namespace penstock::shim
