#include "shim/context.hpp"

#include "base/fail.hpp"

#include <new>

namespace penstock::shim {
namespace {

// Asked for many times a run: the model of thread-local storage that needs no call.
[[gnu::tls_model("initial-exec")]] constinit thread_local CallContext* t_context = nullptr;

void keep(ErrorCode code, const char* message, int cuda_result = 0) noexcept {
  if (t_context == nullptr || t_context->failure.has_value()) return;
  try {
    t_context->failure = Failure{.code = code, .message = message, .cuda_result = cuda_result};
  } catch (const std::bad_alloc&) {
    // The code alone has to do.
    t_context->failure = Failure{.code = ErrorCode::OutOfMemory, .message = {}};
  }
}

}  // namespace

CallContext* current_context() noexcept { return t_context; }

ContextScope::ContextScope(CallContext& context) noexcept : previous_(t_context) { t_context = &context; }

ContextScope::~ContextScope() { t_context = previous_; }

std::int32_t record_failure() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    keep(error.code(), error.what(), error.cuda_result());
  } catch (const std::bad_alloc&) {
    keep(ErrorCode::OutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    keep(ErrorCode::Internal, error.what());
  } catch (...) {
    keep(ErrorCode::Internal, "an exception of unknown type");
  }
  return 1;
}

void refuse_while_probing() {
  if (t_context != nullptr && t_context->purpose == CallContext::Purpose::Probe) {
    // The end of every probe; never seen by a user.
    throw Error(ErrorCode::Cancelled, "input checks passed");
  }
}

cpu::OpContext operator_context() {
  refuse_while_probing();
  const CallContext* context = current_context();
  if (context == nullptr || context->operators == nullptr) {
    base::fail(ErrorCode::Internal, "the model called an operator outside of a run");
  }
  return {*context->operators, context->threads};
}

tensor::Allocator* operator_memory() {
  refuse_while_probing();
  const CallContext* context = current_context();
  return context != nullptr ? context->pool : nullptr;
}

}  // namespace penstock::shim
