#include "shim/cuda_call.hpp"
#include "shim/cuda_host.hpp"

#include "base/fail.hpp"
#include "shim/context.hpp"
#include "system/dynamic_library.hpp"
#include "system/ranges.hpp"

#include <cstdlib>

namespace penstock::shim {
namespace {

constexpr const char* kVariable = "PENSTOCK_CUDA_LIBRARY";

tensor::TensorObject* make_result_for_operators(DType dtype, std::span<const std::int64_t> sizes,
                                                std::span<const std::int64_t> strides) {
  return make_cuda_result(dtype, sizes, strides).release();
}

const CudaHost& host() {
  static const CudaHost kHost{.version = PENSTOCK_VERSION,
                              .cuda_call = &cuda_call,
                              .make_cuda_result = &make_result_for_operators,
                              .make_tensor = &tensor::make_tensor,
                              .free_tensor = &tensor::free_tensor,
                              .record_failure = &record_failure,
                              .driver = &cuda::driver,
                              .check = &cuda::check,
                              .push_range = &system::push_range,
                              .pop_range = &system::pop_range};
  return kHost;
}

struct Opened {
  CudaOperators* operators = nullptr;
  std::string path;
  std::string missing;
};

Opened open_operators() {
  const char* const named = std::getenv(kVariable);
  const bool is_named = named != nullptr && *named != '\0';
  // By soname it is found beside libpenstock, through its RUNPATH.
  const std::string name = is_named ? named : "libpenstock_cuda.so.0";
  static const system::DynamicLibrary library({name});
  if (!library.is_open()) {
    return {nullptr,
            {},
            fmt::format("{} cannot be opened ({}); build Penstock with CUDA's compiler, nvcc 12.6 or later, "
                        "or name the library in {}",
                        name, library.reasons(), kVariable)};
  }
  auto* const entry = reinterpret_cast<CudaOperatorsEntry*>(library.find("penstock_cuda_operators"));
  CudaOperators* const operators = entry != nullptr ? entry(host()) : nullptr;
  if (operators == nullptr) {
    return {nullptr,
            {},
            fmt::format("{} is not of Penstock {}; take both libraries from one build", library.path(),
                        PENSTOCK_VERSION)};
  }
  return {operators, library.path(), {}};
}

const Opened& opened() {
  static const Opened result = open_operators();
  return result;
}

}  // namespace

CudaOperators* cuda_operators() noexcept { return opened().operators; }

const std::string& cuda_operators_missing() { return opened().missing; }

const CudaCall& cuda_call() {
  refuse_while_probing();
  const CallContext* const context = current_context();
  if (context == nullptr || context->cuda == nullptr) {
    base::fail(ErrorCode::Internal, "an operator on CUDA was called outside of a run on a CUDA device");
  }
  return *context->cuda;
}

}  // namespace penstock::shim

namespace penstock {

std::vector<OptionalLibrary> cuda_libraries() {
  return base::report_out_of_memory("the libraries for CUDA", [] {
    const shim::Opened& own = shim::opened();
    const bool is_there = own.operators != nullptr;
    std::vector<OptionalLibrary> libraries{{.name = "penstock_cuda",
                                            .needed_for = "all models on CUDA",
                                            .path = own.path,
                                            .version = is_there ? PENSTOCK_VERSION : "",
                                            .advice = own.missing,
                                            .attempts = {}}};
    if (!is_there) return libraries;
    for (OptionalLibrary& library : own.operators->libraries()) libraries.push_back(std::move(library));
    return libraries;
  });
}

}  // namespace penstock
