#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace penstock::model {

/// What a generated input check found, read from its message. Sources: torch/_inductor/codegen/
/// cpp_wrapper_cpu.py (the input checks), aoti_runtime/utils.h (assert_size_stride).
struct CheckMessage {
  enum class Kind {
    Dtype,       ///< `value` is the dtype's number.
    DeviceType,  ///< `value` is the device type's number.
    Size,        ///< Dimension `dim` must be `value`.
    TooSmall,    ///< Dimension `dim` must be at least `value`.
    TooLarge,    ///< Dimension `dim` must be at most `value`.
    Stride,      ///< The stride of dimension `dim` must be `value`.
    Rank,        ///< Of the tensor whose rank was asked for last: `value`.
    Layout,      ///< Of the tensor whose rank was asked for last: see `mismatches`.
    Passed,      ///< No check refused anything. Never read from a text.
    Other,       ///< Not of an input check.
  };
  /// A dimension of a Layout message that is not as expected.
  struct Mismatch {
    std::size_t dim = 0;
    std::int64_t size = 0;    ///< Expected.
    std::int64_t stride = 0;  ///< Expected.
  };

  Kind kind = Kind::Other;
  std::size_t input = 0;
  std::size_t dim = 0;
  std::int64_t value = 0;
  std::vector<Mismatch> mismatches;
};

/// Never fails: what cannot be read is Kind::Other.
CheckMessage read_check_message(std::string_view text);

}  // namespace penstock::model
