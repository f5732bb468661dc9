#pragma once

#include <span>
#include <string_view>

namespace penstock::shim {

/// A name that model libraries import and the address that answers it.
struct TableEntry {
  std::string_view name;
  void* address;
};

/// One table a family of functions.
std::span<const TableEntry> tensor_functions();
std::span<const TableEntry> metadata_functions();
std::span<const TableEntry> scalar_functions();
std::span<const TableEntry> guard_functions();
std::span<const TableEntry> check_functions();
std::span<const TableEntry> linear_algebra_functions();
std::span<const TableEntry> order_functions();
std::span<const TableEntry> neural_functions();
std::span<const TableEntry> indexing_functions();
std::span<const TableEntry> view_functions();
std::span<const TableEntry> elementwise_functions();
std::span<const TableEntry> pooling_functions();
std::span<const TableEntry> runtime_functions();
std::span<const TableEntry> weight_functions();
std::span<const TableEntry> openmp_functions();
std::span<const TableEntry> proxy_functions();
std::span<const TableEntry> cuda_runtime_functions();
std::span<const TableEntry> cuda_stream_functions();

/// Makes a table entry of a function.
template <class Function>
TableEntry entry(std::string_view name, Function* function) {
  return {name, reinterpret_cast<void*>(function)};
}

}  // namespace penstock::shim
