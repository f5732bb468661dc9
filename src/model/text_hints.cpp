#include "model/input_probe.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace penstock::model {
namespace {

void replace_symbol(std::vector<InputRule>& rules, int old_symbol, int symbol) {
  for (InputRule& rule : rules) {
    for (DimRule& dim : rule.dims) {
      if (dim.symbol == old_symbol) dim.symbol = symbol;
    }
  }
}

}  // namespace

void add_text_hints(ProbedInputs& probed, std::span<const TensorSpec> hints, bool library_checks_layouts) {
  std::map<std::string, int> symbols;
  int next = 0;
  const auto hint_of = [&](std::size_t input, std::size_t dim) -> std::string {
    const bool readable =
        hints.size() == probed.rules.size() && hints[input].dims.size() == probed.rules[input].dims.size();
    return readable ? hints[input].dims[dim].symbol : std::string();
  };
  const auto for_each_size = [&](bool checked, const auto& visit) {
    for (std::size_t i = 0; i < probed.rules.size(); ++i) {
      if (probed.layout_checked[i] != checked) continue;
      for (std::size_t d = 0; d < probed.rules[i].dims.size(); ++d) {
        DimRule& dim = probed.rules[i].dims[d];
        if (!dim.is_fixed()) visit(dim, hint_of(i, d));
      }
    }
  };
  // What the names mean is known from the inputs that were checked.
  for (const InputRule& rule : probed.rules) {
    for (const DimRule& dim : rule.dims) next = std::max(next, dim.symbol + 1);
  }
  for_each_size(true, [&](const DimRule& dim, const std::string& name) {
    if (dim.symbol >= 0 && dim.is_plain() && !name.empty()) symbols.emplace(name, dim.symbol);
  });
  for_each_size(false, [&](DimRule& dim, const std::string& name) {
    if (name.empty()) return;
    const auto [known, added] = symbols.emplace(name, dim.symbol >= 0 ? dim.symbol : next);
    if (added && dim.symbol < 0) ++next;
    if (dim.symbol < 0) {
      dim.symbol = known->second;
    } else if (dim.symbol != known->second) {
      // Others were seen to follow from it: they follow from what it is called.
      replace_symbol(probed.rules, dim.symbol, known->second);
    }
  });
  for_each_size(false, [&](DimRule& dim, const std::string& name) {
    if (!name.empty()) return;
    if (library_checks_layouts) {
      probed.complete = false;
    } else {
      dim.follows_some = !symbols.empty();
    }
  });
}

}  // namespace penstock::model
