#include "shim/abi.hpp"
#include "shim/table.hpp"

#include <array>

// Gradients are never recorded here; generated code turns them off and back on around a run.
extern "C" {

bool penstock_grad_mode_is_enabled() { return false; }

void penstock_grad_mode_set_enabled(bool) {}
}

namespace penstock::shim {

std::span<const TableEntry> guard_functions() {
  static const std::array kTable{
      entry("aoti_torch_grad_mode_is_enabled", &penstock_grad_mode_is_enabled),
      entry("aoti_torch_grad_mode_set_enabled", &penstock_grad_mode_set_enabled),
  };
  return kTable;
}

}  // namespace penstock::shim
