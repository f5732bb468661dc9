#pragma once

#include <penstock/operators.hpp>
#include <penstock/tensorrt.hpp>

#include <filesystem>
#include <memory>
#include <vector>

namespace penstock::tensorrt {

/// `tensorrt::execute_engine`: runs an engine on the run's stream. Argument 0 is the list of its inputs, 1
/// the engine; result 0 is the list of its outputs. Stream-ordered, but where a value is needed on the host.
void execute_engine(OperatorCall& call);

}  // namespace penstock::tensorrt
