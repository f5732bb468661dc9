#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>
#include <string_view>

namespace penstock::python {

/// Makes errors of the library the classes of `penstock._errors`.
void bind_errors();

/// Throws a TypeError: what an object is, and what it should be.
[[noreturn]] void wrong_kind(nanobind::handle object, std::string_view what, std::string_view wanted);

/// Throws a TypeError of Python.
[[noreturn]] void wrong_type(std::string_view message);

/// The object as a T. Errors: TypeError "`what` is a str, and no int" where it cannot be one; `wanted` is
/// "int".
template <class T>
[[nodiscard]] T cast_to(nanobind::handle object, std::string_view what, std::string_view wanted) {
  T made{};
  if (!nanobind::try_cast(object, made)) wrong_kind(object, what, wanted);
  return made;
}

/// Throws what is being handled anew, with the place of the object before it.
[[noreturn]] void rethrow_at(const std::string& place);

/// Bytes of the library, mostly UTF-8, as a text that keeps the others as surrogates; and the way back.
[[nodiscard]] nanobind::object text_of(std::string_view bytes);
[[nodiscard]] std::string bytes_of(nanobind::handle text);

/// "a str", "numpy.ndarray": the type of an object, for messages.
[[nodiscard]] std::string type_text(nanobind::handle object);

}  // namespace penstock::python
