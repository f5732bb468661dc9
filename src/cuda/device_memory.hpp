#pragma once

#include "cuda/context.hpp"
#include "cuda/run_end.hpp"
#include "tensor/memory_pool.hpp"

#include <memory>

namespace penstock::cuda {

/// Memory of a device, for pools. What is given back may still be used by runs that are on their way: they
/// are waited for at `users`, where there is one. For other work of the device the driver waits, but not for
/// a graph that is alone on a stream of a green context. Thread: thread-safe. Lifetime: holds the context and
/// `users`.
std::shared_ptr<tensor::MemorySource> device_memory(std::shared_ptr<const PrimaryContext> context,
                                                    std::shared_ptr<const RunEnd> users = nullptr);

}  // namespace penstock::cuda
