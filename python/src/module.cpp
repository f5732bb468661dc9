// `penstock._core`: the classes of the library for Python, one source each.

#include "call_spec.hpp"
#include "engines.hpp"
#include "errors.hpp"
#include "model.hpp"
#include "streams.hpp"
#include "tensor.hpp"

#include <penstock/version.hpp>

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>

namespace nb = nanobind;
using namespace nb::literals;

NB_MODULE(_core, module) {
  // Models that are there when Python ends are no leak: their memory goes with the process.
  nb::set_leak_warnings(false);
  using namespace penstock::python;
  bind_errors();
  bind_dtypes(module);
  bind_streams(module);
  bind_partitions(module);
  bind_tensors(module);
  bind_packages(module);
  bind_sessions(module);
  bind_engines(module);
  bind_objects(module);
  bind_models(module);
  module.def(
      "current_stream",
      [] { return entered_stream() == nullptr ? std::nullopt : std::optional(*entered_stream()); },
      "The stream of the innermost `with stream:` of this thread; None outside of any.");
  module.def("register_namedtuple", register_namedtuple, "type"_a, "name"_a,
             "Makes outputs of a class of named tuples that torch serialized by that name. Others are found "
             "by their own "
             "name where their module is imported, and else are plain tuples.");
  module.attr("version") = std::string(penstock::version());
}
