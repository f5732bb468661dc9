#include "cpu/op_state_impl.hpp"

namespace penstock::cpu {

OpState::OpState() : impl_(std::make_unique<Impl>()) {}
OpState::~OpState() = default;

}  // namespace penstock::cpu
