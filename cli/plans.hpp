#pragma once

#include "loading.hpp"

#include <string>

namespace penstock::cli {

/// Whether a file is a TensorRT plan: it begins as one, or is called .plan, .engine or .trt. Throws nothing:
/// a file that cannot be read is none.
bool is_plan(const std::string& file);

/// Throws UsageError where the options are for packages.
void check_plan_options(const ModelChoice& choice);

/// Builds the engine. Throws Refused for every error but OutOfMemory.
Model load_plan(const ModelChoice& choice);

/// `penstock inspect` of a plan: its header, and what the engine says of itself where it can be built here.
int inspect_plan(const ModelChoice& choice, bool json);

}  // namespace penstock::cli
