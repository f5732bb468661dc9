#pragma once

#include "cuda/context.hpp"

#include <penstock/stream.hpp>

#include <memory>

namespace penstock {

struct Stream::Impl {
  std::shared_ptr<const cuda::PrimaryContext> primary;
  std::shared_ptr<const void> green;  ///< The green context that it belongs to; null: none.
  cuda::StreamHandle handle = nullptr;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();
};

}  // namespace penstock
