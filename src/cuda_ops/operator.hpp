#pragma once

#include "shim/context.hpp"
#include "shim/cuda_call.hpp"

#include <cstdint>
#include <utility>

namespace penstock::cuda_ops {

/// Overwrites the stack that calls from here on are going to use. What a function leaves uninitialized in the
/// parameters of a kernel, gaps between members above all, is what the stack held: without this, addresses of
/// earlier calls, which would look as if the kernel depended on them (docs/design/0012-graphs.md).
void scrub_stack() noexcept;

/// Scrubs in a capture, else does nothing. To be called before a library, which fills in parameters of its
/// own.
inline void scrub_in_capture(const shim::CudaCall& call) noexcept {
  if (call.is_capture) scrub_stack();
}

/// Runs `work` of an operator, in a capture on a stack without remains of others.
template <class Work>
[[gnu::noinline]] void run_operator(Work& work) {
  work();
}

/// `shim::guarded` for operators of this library.
template <class Work>
std::int32_t guarded(Work&& work) noexcept {
  return shim::guarded([&] {
    scrub_in_capture(shim::cuda_call());
    run_operator(work);
  });
}

}  // namespace penstock::cuda_ops
