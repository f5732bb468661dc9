#include "options.hpp"

#include "errors.hpp"

#include <penstock/error.hpp>

#include <nanobind/stl/string.h>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;

std::string text_of(nb::handle object, std::string_view what) {
  return cast_to<std::string>(object, what, "str");
}

template <class Value, std::size_t size>
Value pick(std::string_view what, const std::string& text,
           const std::array<std::pair<const char*, Value>, size>& known) {
  std::string names;
  for (const auto& [name, value] : known) {
    if (text == name) return value;
    names += (names.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  }
  throw Error(ErrorCode::InvalidArgument, std::string(what) + " is \"" + text + "\", and can be " + names);
}

constexpr std::array kGraphs{std::pair{"auto", GraphMode::Auto}, std::pair{"off", GraphMode::Off},
                             std::pair{"require", GraphMode::Require}};
constexpr std::array kHostInputs{std::pair{"refuse", HostInputs::Refuse},
                                 std::pair{"copy", HostInputs::Copy}};
constexpr std::array kChecks{std::pair{"auto", GeneratedChecks::Auto}, std::pair{"on", GeneratedChecks::On},
                             std::pair{"off", GeneratedChecks::Off}};

constexpr std::array kRanges{std::pair{"stated", SizeRanges::Stated},
                             std::pair{"ignored", SizeRanges::Ignored}};

}  // namespace

SizeRanges size_ranges_of(const std::string& text) { return pick("size_ranges", text, kRanges); }

SessionOptions session_options_of(const nb::kwargs& given) {
  SessionOptions options;
  for (const auto& [key, value] : given) {
    const auto name = nb::cast<std::string>(key);
    if (name == "graphs")
      options.graphs.mode = pick("graphs", text_of(value, name), kGraphs);
    else if (name == "host_inputs")
      options.host_inputs = pick("host_inputs", text_of(value, name), kHostInputs);
    else if (name == "threads")
      options.threads = cast_to<int>(value, name, "int of 32 bits");
    else if (name == "max_lanes")
      options.max_lanes = cast_to<int>(value, name, "int of 32 bits");
    else if (name == "tf32_matmul")
      options.numerics.tf32_matmul = cast_to<bool>(value, name, "bool");
    else if (name == "tf32_convolution")
      options.numerics.tf32_convolution = cast_to<bool>(value, name, "bool");
    else if (name == "reduced_precision_sums")
      options.numerics.reduced_precision_sums = cast_to<bool>(value, name, "bool");
    else
      wrong_type("a session has no option \"" + name +
                 "\"; it has graphs, host_inputs, threads, max_lanes, tf32_matmul, tf32_convolution and "
                 "reduced_precision_sums");
  }
  return options;
}

GeneratedChecks generated_checks_of(const std::string& text) {
  return pick("generated_checks", text, kChecks);
}

CallOptions take_call_options(const PyModel& model, nb::kwargs& keywords, OutputForm form) {
  CallOptions options{{}, {}, form};
  if (keywords.size() == 0) return options;
  const auto take = [&](const char* name) -> nb::object {
    if (!keywords.contains(name) || (model.inputs && model.inputs->has_keyword(name))) return {};
    nb::object taken = keywords[name];
    PyDict_DelItemString(keywords.ptr(), name);
    return taken;
  };
  options.stream = take("stream");
  options.out = take("out");
  return options;
}

}  // namespace penstock::python
