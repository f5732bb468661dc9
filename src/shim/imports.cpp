#include "shim/imports.hpp"

#include "shim/cuda_call.hpp"
#include "shim/table.hpp"
#include "system/dynamic_library.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace penstock::shim {
namespace {

std::vector<TableEntry> sorted_table() {
  std::vector<TableEntry> table;
  const std::array families{tensor_functions(),  metadata_functions(),     scalar_functions(),
                            guard_functions(),   check_functions(),        linear_algebra_functions(),
                            order_functions(),   neural_functions(),       indexing_functions(),
                            view_functions(),    elementwise_functions(),  pooling_functions(),
                            runtime_functions(), weight_functions(),       openmp_functions(),
                            proxy_functions(),   cuda_runtime_functions(), cuda_stream_functions()};
  for (const auto family : families) table.insert(table.end(), family.begin(), family.end());
  std::sort(table.begin(), table.end(),
            [](const TableEntry& a, const TableEntry& b) { return a.name < b.name; });
  return table;
}

void* find_in_table(std::string_view name) noexcept {
  static const std::vector<TableEntry> table = sorted_table();
  const auto found =
      std::lower_bound(table.begin(), table.end(), name,
                       [](const TableEntry& row, std::string_view key) { return row.name < key; });
  return found != table.end() && found->name == name ? found->address : nullptr;
}

/// Of libpenstock_cuda, which is opened for it.
void* find_in_cuda_operators(std::string_view name) noexcept {
  if (!name.starts_with("aoti_torch_cuda_")) return nullptr;
  CudaOperators* const operators = cuda_operators();
  if (operators == nullptr) return nullptr;
  const std::span<const TableEntry> functions = operators->functions();
  const auto found = std::ranges::find(functions, name, &TableEntry::name);
  return found != functions.end() ? found->address : nullptr;
}

Import from_library(const system::DynamicLibrary& library, std::string_view name, std::string_view provider) {
  void* address = library.find(std::string(name).c_str());
  if (address == nullptr) return {.kind = ImportKind::Missing, .provider = provider};
  return {.kind = ImportKind::Ours, .address = address};
}

bool is_openmp(std::string_view name) { return name.starts_with("GOMP_") || name.starts_with("omp_"); }

}  // namespace

Import resolve_import(std::string_view name, const ImportOptions& options) {
  if (name == "getenv" && !options.generated_checks) name = "getenv without checks";
  if (options.appended_weights) {
    if (name == "open") name = "open of appended weights";
    if (name == "lseek") name = "lseek of appended weights";
    if (name == "mmap") name = "mmap of appended weights";
    if (name == "munmap") name = "munmap of appended weights";
  }
  const bool openmp = is_openmp(name);
  // A clamp is of no use without the library that it stands before.
  if (openmp && !system::libgomp().is_open()) return {.kind = ImportKind::Missing, .provider = "libgomp"};
  if (void* address = find_in_table(name); address != nullptr) {
    return {.kind = ImportKind::Ours, .address = address};
  }
  if (void* address = find_in_cuda_operators(name); address != nullptr) {
    return {.kind = ImportKind::Ours, .address = address};
  }
  // Other ways to start a team, which no model library has been seen to use, would go past the clamp.
  if (name.starts_with("GOMP_parallel") || name.starts_with("GOMP_teams")) {
    return {.kind = ImportKind::Missing, .provider = "Penstock"};
  }
  if (openmp) return from_library(system::libgomp(), name, "libgomp");
  if (name.starts_with("Sleef_")) return from_library(system::sleef(), name, "SLEEF");
  // A function of CUDA's driver or runtime that no stock library has been seen to call.
  const bool of_cuda =
      name.starts_with("cuda") || (name.starts_with("cu") && name.size() > 2 && name[2] < 'a');
  if (of_cuda) return {.kind = ImportKind::Missing, .provider = "Penstock"};
  if (name.starts_with("aoti_")) return {.kind = ImportKind::Missing, .provider = "Penstock"};
  return {};
}

bool has_shim_function(std::string_view name) noexcept {
  return find_in_table(name) != nullptr || find_in_cuda_operators(name) != nullptr;
}

}  // namespace penstock::shim
