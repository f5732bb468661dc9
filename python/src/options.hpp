#pragma once

#include "model.hpp"

#include <penstock/model.hpp>
#include <penstock/session.hpp>

#include <nanobind/nanobind.h>

#include <string>

namespace penstock::python {

/// Options of a session by keyword. Errors: TypeError for another keyword, InvalidArgument for another value.
[[nodiscard]] SessionOptions session_options_of(const nanobind::kwargs& given);
[[nodiscard]] GeneratedChecks generated_checks_of(const std::string& text);
[[nodiscard]] SizeRanges size_ranges_of(const std::string& text);

/// Takes `stream` and `out` out of the keywords of a call, where they are none of the model's own.
[[nodiscard]] CallOptions take_call_options(const PyModel& model, nanobind::kwargs& keywords,
                                            OutputForm form);

}  // namespace penstock::python
