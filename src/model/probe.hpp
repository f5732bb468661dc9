#pragma once

#include "model/check_message.hpp"
#include "model/container.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::model {

/// No size, stride or dtype that any check accepts.
inline constexpr std::int64_t kNothing = -1;

/// What is known of one dimension of an input, and what the next call says of it.
struct DimGuess {
  bool mentioned = false;
  std::optional<std::int64_t> fixed;
  std::optional<std::int64_t> min;
  std::optional<std::int64_t> max;
  std::optional<std::int64_t> fixed_stride;
  /// Set once a layout check has told the size by those of other dimensions.
  bool derived = false;
  int symbol = -1;
  std::int64_t scale = 1;
  std::int64_t offset = 0;
  std::int64_t size = kNothing;    ///< What the next call says.
  std::int64_t stride = kNothing;  ///< What the next call says.
};

/// The same of one input.
struct InputGuess {
  std::int32_t dtype = static_cast<std::int32_t>(kNothing);
  std::int32_t device_type = 0;
  std::optional<std::size_t> rank;
  /// A call has checked its whole layout.
  bool layout_checked = false;
  std::vector<DimGuess> dims = std::vector<DimGuess>(tensor::kRoomForDims);

  /// The rank that a check has told, else as many dimensions as checks have spoken of.
  [[nodiscard]] std::size_t known_rank() const;
};

/// Calls a library with tensors that are nothing but what `inputs` say. The library is told no address
/// but those that its checks ask for and do not use, and the shim refuses whatever is more than a check.
class Probe {
 public:
  explicit Probe(const Container& container);

  /// One call, and what the library said. Its checks must be on.
  CheckMessage call();

  /// True where the library looks at its inputs before it takes them, which only its checks do.
  bool checks_are_on();

  std::vector<InputGuess>& inputs() { return inputs_; }

 private:
  struct Call;

  const Container& container_;
  std::vector<InputGuess> inputs_;
};

}  // namespace penstock::model
