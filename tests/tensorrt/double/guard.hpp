#pragma once

#include "control.hpp"
#include "device.hpp"

#include <exception>
#include <string>

namespace penstock::trt_double {

/// What a call refuses, in the words of TensorRT's log.
struct Refusal {
  int code;
  std::string text;
};

inline constexpr int kCudaError = 1;
inline constexpr int kInternalError = 2;
inline constexpr int kApiUsageError = 3;

[[noreturn]] inline void refuse_call(const std::string& what) {
  throw Refusal{kApiUsageError, "API Usage Error (" + what + ")"};
}

/// Throws what a test wants to happen.
inline void fail_where_wanted(const char* call) {
  if (shall_fail(call)) throw Refusal{kInternalError, "Internal Error (a test wants this call to fail)"};
}

/// What the body returns; where it throws, `failed`, and the log has it.
template <class Result, class Body>
Result guarded(HostObject* logger, const char* function, Result failed, Body&& body) noexcept {
  try {
    return body();
  } catch (const Refusal& refusal) {
    log_error(logger, function, refusal.code, refusal.text);
  } catch (const CudaProblem& problem) {
    log_error(logger, function, kCudaError, problem.text);
  } catch (const std::exception& error) {
    log_error(logger, function, kInternalError, std::string("Internal Error (") + error.what() + ")");
  }
  return failed;
}

}  // namespace penstock::trt_double
