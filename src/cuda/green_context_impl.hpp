#pragma once

#include "cuda/context.hpp"

#include <penstock/partition.hpp>

#include <memory>

namespace penstock {

struct GreenContext::Impl {
  std::shared_ptr<const cuda::PrimaryContext> primary;
  cuda::GreenContextHandle handle = nullptr;
  cuda::ContextHandle context = nullptr;
  unsigned sm_count = 0;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();
};

}  // namespace penstock
