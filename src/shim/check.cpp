#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

using namespace penstock;
using penstock::shim::guarded;

namespace {

template <class T>
bool all_finite(const AtenTensorOpaque& tensor) {
  const auto* values = reinterpret_cast<const T*>(tensor.data);
  for (std::int64_t i = 0; i < tensor.numel; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

}  // namespace

extern "C" {

/// The ABI returns nothing here, so generated code that goes on past a failed check would run on data
/// it has just found to be wrong. It expects an exception, as libtorch throws one, and catches it in
/// the library's own entry point: this is the one place where an exception passes through C functions.
void penstock_check(bool condition, const char* function, const char* file, std::uint32_t line,
                    const char* message) {
  if (condition) return;
  const std::string text = fmt::format(
      "the model's own check failed: {} ({}:{} in {})", message != nullptr ? message : "no message",
      file != nullptr ? file : "?", line, function != nullptr ? function : "?");
  if (auto* context = shim::current_context(); context != nullptr && !context->failure) {
    context->failure = shim::Failure{.code = ErrorCode::Internal, .message = text};
  }
  throw std::runtime_error(text);
}

void penstock_warn(const char*, const char*, std::uint32_t, const char* message) {
  if (message != nullptr) base::log(LogLevel::Warning, message);
}

AOTITorchError penstock_check_inf_and_nan(const char* name, AtenTensorHandle tensor) {
  return guarded([&] {
    shim::refuse_while_probing();
    const bool finite = tensor->dtype == DType::Float32   ? all_finite<float>(*tensor)
                        : tensor->dtype == DType::Float64 ? all_finite<double>(*tensor)
                                                          : true;
    if (!finite) {
      base::fail(ErrorCode::Internal, "the model's own check found infinite or not-a-number values in {}",
                 name != nullptr ? name : "a tensor");
    }
  });
}

}  // extern "C"

namespace penstock::shim {

std::span<const TableEntry> check_functions() {
  static const std::array kTable{
      entry("aoti_torch_check", &penstock_check),
      entry("aoti_torch_warn", &penstock_warn),
      entry("aoti_torch_check_inf_and_nan", &penstock_check_inf_and_nan),
  };
  return kTable;
}

}  // namespace penstock::shim
