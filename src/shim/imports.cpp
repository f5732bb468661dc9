#include "shim/imports.hpp"

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
  const std::array families{tensor_functions(),  metadata_functions(),    scalar_functions(),
                            guard_functions(),   check_functions(),       linear_algebra_functions(),
                            order_functions(),   neural_functions(),      indexing_functions(),
                            view_functions(),    elementwise_functions(), pooling_functions(),
                            runtime_functions(), weight_functions(),      openmp_functions()};
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
  // Other ways to start a team, which no model library has been seen to use, would go past the clamp.
  if (name.starts_with("GOMP_parallel") || name.starts_with("GOMP_teams")) {
    return {.kind = ImportKind::Missing, .provider = "Penstock"};
  }
  if (openmp) return from_library(system::libgomp(), name, "libgomp");
  if (name.starts_with("Sleef_")) return from_library(system::sleef(), name, "SLEEF");
  if (name.starts_with("aoti_")) return {.kind = ImportKind::Missing, .provider = "Penstock"};
  return {};
}

bool has_shim_function(std::string_view name) noexcept { return find_in_table(name) != nullptr; }

}  // namespace penstock::shim
