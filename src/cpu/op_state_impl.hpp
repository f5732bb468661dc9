#pragma once

#include "cpu/onednn_operation.hpp"
#include "cpu/op_state.hpp"
#include "cpu/scratch.hpp"

namespace penstock::cpu {

struct OpState::Impl {
  Scratch scratch;
  OperationCache operations;
};

}  // namespace penstock::cpu
