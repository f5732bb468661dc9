#pragma once

#include <penstock/export.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace penstock {

/// What kind of thing went wrong. docs/errors.md says for each what a program can do about it.
enum class ErrorCode {
  InvalidArgument,  ///< The caller gave something that cannot be used; the message says what would be.
  NotFound,         ///< A file, model, tensor or library that was named is not there.
  Corrupt,          ///< A file is truncated or contradicts itself.
  Incompatible,     ///< A sound file for another machine: architecture, instructions, glibc, device.
  Unsupported,      ///< A sound file that needs something Penstock does not have.
  OutOfMemory,      ///< Memory could not be had; the message says how much was asked for.
  Cancelled,        ///< A progress callback asked to stop.
  Cuda,             ///< A CUDA call failed; `cuda_result()` is the driver's code.
  Internal,         ///< A defect of Penstock or of the package's code.
};

/// "invalid argument", "corrupt", ... Host-only. Thread: thread-safe. Lifetime: static.
PENSTOCK_API std::string_view error_code_name(ErrorCode code) noexcept;

/// The one exception that Penstock throws. `what()` names the file, model or tensor that is
/// concerned, what was wrong with it, and what to do. Thread: an object belongs to one thread.
class PENSTOCK_API Error : public std::runtime_error {
 public:
  /// Host-only. `cuda_result` is the CUresult of a failed driver call, 0 where there is none.
  Error(ErrorCode code, const std::string& message, int cuda_result = 0);
  ~Error() override;

  /// Host-only. Thread: one caller at a time. Errors: none.
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

  /// The CUresult of the driver call that failed, 0 where there is none. Host-only. Errors: none.
  [[nodiscard]] int cuda_result() const noexcept { return cuda_result_; }

 private:
  ErrorCode code_;
  int cuda_result_;
};

}  // namespace penstock
