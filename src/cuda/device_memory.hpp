#pragma once

#include "cuda/context.hpp"
#include "tensor/memory_pool.hpp"

#include <memory>

namespace penstock::cuda {

/// Memory of a device, for pools. What is given back may still be read by work that is on its way: the driver
/// waits for it. Thread: thread-safe. Lifetime: holds the context.
std::shared_ptr<tensor::MemorySource> device_memory(std::shared_ptr<const PrimaryContext> context);

}  // namespace penstock::cuda
