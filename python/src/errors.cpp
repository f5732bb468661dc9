#include "errors.hpp"

#include "operators.hpp"

#include <penstock/error.hpp>

#include <array>
#include <exception>
#include <string>
#include <string_view>

namespace penstock::python {
namespace {

namespace nb = nanobind;

const char* class_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument: return "InvalidArgumentError";
    case ErrorCode::NotFound: return "NotFoundError";
    case ErrorCode::Corrupt: return "CorruptError";
    case ErrorCode::Incompatible: return "IncompatibleError";
    case ErrorCode::Unsupported: return "UnsupportedError";
    case ErrorCode::OutOfMemory: return "OutOfMemoryError";
    case ErrorCode::Cancelled: return "CancelledError";
    case ErrorCode::Cuda: return "CudaError";
    case ErrorCode::Internal: return "InternalError";
  }
  return "Error";
}

struct Words {
  std::string_view library;
  std::string_view python;
};

/// What messages of the library call by its names in C++.
constexpr std::array kWords{
    Words{"LoadOptions::registry", "registry="},
    Words{"LoadOptions::libraries", "libraries="},
    Words{"LoadOptions::weights", "weights="},
    Words{"LoadOptions::size_ranges", "size_ranges=\"ignored\""},
    Words{"LoadOptions::device", "device="},
    Words{"LoadOptions::tensorrt, ", ""},
    Words{"Tensor::copy_of(view)", "numpy.ascontiguousarray(array)"},
    Words{"Session::enqueue", "a call"},
    Words{"Session::prepare", "Session.prepare"},
    Words{"Model::constants", "Model.constants"},
    Words{"GreenContext::create_stream", "GreenContext.create_stream"},
    Words{"Stream::create", "penstock.Stream"},
};

std::string in_words_of_python(std::string text) {
  for (const Words& words : kWords) {
    for (std::size_t found = text.find(words.library); found != text.npos;
         found = text.find(words.library, found)) {
      text.replace(found, words.library.size(), words.python);
      found += words.python.size();
    }
  }
  return text;
}

void translate(const std::exception_ptr& thrown, void* /*unused*/) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    // What a function of Python raised that the library called, and only where this error came of it.
    nb::object cause = take_cause(error.what());
    if (cause.is_valid() && PyObject_IsInstance(cause.ptr(), PyExc_Exception) == 0) {
      // Ctrl-C and the end of the program are no errors of a run.
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(cause.ptr())), cause.ptr());
      return;
    }
    const nb::object type = nb::module_::import_("penstock._errors").attr(class_of(error.code()));
    const nb::object made = type(text_of(in_words_of_python(error.what())));
    if (error.code() == ErrorCode::Cuda) made.attr("cuda_result") = error.cuda_result();
    if (cause.is_valid()) PyException_SetCause(made.ptr(), cause.release().ptr());
    PyErr_SetObject(type.ptr(), made.ptr());
  }
}

}  // namespace

void bind_errors() { nb::register_exception_translator(translate); }

void wrong_type(std::string_view message) { throw nb::type_error(std::string(message).c_str()); }

void wrong_kind(nb::handle object, std::string_view what, std::string_view wanted) {
  wrong_type(std::string(what) + " is a " + type_text(object) + ", and no " + std::string(wanted));
}

nb::object text_of(std::string_view bytes) {
  PyObject* const made =
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape");
  if (made == nullptr) nb::raise_python_error();
  return nb::steal(made);
}

std::string bytes_of(nb::handle text) {
  nb::object bytes = nb::steal(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogateescape"));
  if (!bytes.is_valid()) {
    // Surrogates that stand for no byte.
    PyErr_Clear();
    bytes = nb::steal(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace"));
    if (!bytes.is_valid()) nb::raise_python_error();
  }
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

std::string type_text(nb::handle object) {
  const nb::object type = nb::borrow(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())));
  const auto name = bytes_of(nb::str(type.attr("__qualname__")));
  const auto module = bytes_of(nb::str(type.attr("__module__")));
  return module == "builtins" ? name : module + "." + name;
}

void rethrow_at(const std::string& place) {
  try {
    throw;
  } catch (const Error& error) {
    throw Error(error.code(), place + ": " + error.what(), error.cuda_result());
  } catch (const nb::builtin_exception& error) {
    if (error.type() != nb::exception_type::type_error) throw;
    wrong_type(place + ": " + error.what());
  } catch (nb::python_error& error) {
    // What the object itself raises stays as it is; from Python 3.11 on the place is with it.
    const nb::object raised = error.value().is_valid() ? nb::borrow(error.value()) : nb::none();
    if (nb::hasattr(raised, "add_note")) raised.attr("add_note")("penstock: this was raised by " + place);
    throw;
  }
}

}  // namespace penstock::python
