#include <penstock/error.hpp>

namespace penstock {

Error::Error(ErrorCode code, const std::string& message, int cuda_result)
    : std::runtime_error(message), code_(code), cuda_result_(cuda_result) {}

// Out of line, so that the type has one home and can be caught across library borders.
Error::~Error() = default;

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidArgument: return "invalid argument";
    case ErrorCode::NotFound: return "not found";
    case ErrorCode::Corrupt: return "corrupt";
    case ErrorCode::Incompatible: return "incompatible";
    case ErrorCode::Unsupported: return "unsupported";
    case ErrorCode::OutOfMemory: return "out of memory";
    case ErrorCode::Cancelled: return "cancelled";
    case ErrorCode::Cuda: return "cuda";
    case ErrorCode::Internal: return "internal";
  }
  return "unknown";
}

}  // namespace penstock
