#pragma once

#include "objects/registry.hpp"
#include "package/extern_nodes.hpp"

#include <penstock/device.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace penstock::objects {

/// Most tensors and integers that an operator may give: what a call notes of each.
inline constexpr std::size_t kMostResults = 1024;

/// Where an argument of a call is found.
struct PreparedArgument {
  enum class Source {
    None,
    Tensors,   ///< Among the tensors of the call.
    Integers,  ///< Among its integers.
    Constant,
    Object,
  };
  Source source = Source::None;
  bool list = false;
  std::size_t first = 0;  ///< Of tensors or integers.
  std::size_t count = 0;  ///< Of items, those that are None counted.
  /// Where items may be None: the tensor of each, kNoTensor for None. Else empty.
  std::vector<std::size_t> items;
  Value constant;
  std::size_t object = 0;  ///< By number in the executor.
};
inline constexpr std::size_t kNoTensor = SIZE_MAX;

/// Where a result of a call goes.
struct PreparedResult {
  enum class Kind { None, Tensors, Integer };
  Kind kind = Kind::None;
  std::size_t first = 0;  ///< Of tensors or integers.
  std::size_t count = 0;
  bool list = false;
};

/// A call with everything settled that does not change from run to run.
struct PreparedCall {
  std::string what;  ///< For messages: "operator ns::op", "method ns.Name.method of object \"obj0\"".
  std::shared_ptr<const OperatorEntry> entry;
  std::vector<PreparedArgument> arguments;
  std::vector<PreparedResult> results;
  std::size_t input_tensors = 0;
  std::size_t tensors = 0;  ///< Those of results too.
  std::size_t integers = 0;
  std::size_t result_integers = 0;  ///< Results that are integers.
};

/// What calls are matched with.
struct CallSource {
  const Registry::Impl& registry;
  /// The objects of the package: number and class by name.
  struct Object {
    std::size_t number = 0;
    std::string class_name;
  };
  const std::map<std::string, Object>& objects;
  Device device;
};

/// Texts in the order in which they came, each once.
class DistinctTexts {
 public:
  void add(std::string text);
  [[nodiscard]] bool empty() const noexcept { return texts_.empty(); }
  /// With `separator` between them, and past the first hundred how many more there are.
  [[nodiscard]] std::string joined(std::string_view separator) const;

 private:
  std::vector<std::string> texts_;
  std::unordered_set<std::string> known_;
};

/// What keeps calls from being made.
struct CallProblems {
  DistinctTexts operators;  ///< That are not registered.
  DistinctTexts classes;
  DistinctTexts broken;      ///< One sentence for each thing in which the package contradicts itself.
  DistinctTexts mismatches;  ///< One sentence for each call that what is registered does not fit.

  [[nodiscard]] bool none() const noexcept {
    return operators.empty() && classes.empty() && broken.empty() && mismatches.empty();
  }
};

/// Matches a call with what is registered. What is wrong with it is added to `problems`, and then the result
/// is of no use. Errors: OutOfMemory.
PreparedCall prepare_call(const package::ExternNode& node, const CallSource& source, CallProblems& problems);

}  // namespace penstock::objects
