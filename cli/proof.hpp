#pragma once

#include "loading.hpp"

#include <string>

namespace penstock::cli {

/// `penstock doctor --prove-tensorrt`: runs a plan call by call and captured, in a partition and on a
/// stream of its own, compares the outputs, audits where its work went, and writes what held
/// as Markdown, to `report` or, where that is empty, to standard output. Gives kExitFailed where something
/// did not hold. Throws UsageError, and Error where the report cannot be written.
int prove_tensorrt(const ModelChoice& plan, const std::string& report);

}  // namespace penstock::cli
