#include "operators.hpp"

#include "errors.hpp"
#include "inputs.hpp"
#include "values.hpp"

#include <penstock/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::python {
namespace {

namespace nb = nanobind;

/// What was raised in a callback of the library on this thread. Goes when it is taken, or replaced.
struct Raised {
  std::shared_ptr<const void> exception;
  std::string words;
};
Raised& last_raised() {
  thread_local Raised raised;
  return raised;
}

/// The arguments of a call. Tensors are of the run, and end with the call.
class Arguments {
 public:
  explicit Arguments(const OperatorCall& call) : call_(call), token_(std::make_shared<int>(0)) {}

  [[nodiscard]] nb::tuple make() {
    nb::list made;
    for (std::size_t i = 0; i < call_.argument_count(); ++i) made.append(argument(i));
    return nb::tuple(made);
  }

  /// True where somebody holds memory of an argument.
  [[nodiscard]] bool are_kept() const noexcept { return token_.use_count() > 1; }

 private:
  nb::object tensor(std::size_t argument, std::size_t item) const {
    if (!call_.has(argument, item)) return nb::none();
    PyTensor made{Tensor::adopt(call_.tensor(argument, item), token_)};
    if (call_.device().type == DeviceType::Cuda) made.stream = PyStream{call_.stream()};
    return nb::cast(std::move(made));
  }

  nb::object argument(std::size_t i) const {
    switch (call_.argument_kind(i)) {
      case ArgumentKind::None: return nb::none();
      case ArgumentKind::Tensor: return tensor(i, 0);
      case ArgumentKind::Integer: return nb::int_(call_.integer(i));
      case ArgumentKind::Constant: return to_python(call_.constant(i));
      case ArgumentKind::Object: {
        const auto* const held = dynamic_cast<const PyCustomObject*>(&call_.object(i));
        if (held == nullptr) {
          throw Error(ErrorCode::Unsupported, "argument " + std::to_string(i) +
                                                  " is an object whose class is not registered in Python");
        }
        return held->object();
      }
      case ArgumentKind::Tensors:
      case ArgumentKind::Integers: break;
    }
    nb::list items;
    const bool tensors = call_.argument_kind(i) == ArgumentKind::Tensors;
    for (std::size_t item = 0; item < call_.count(i); ++item)
      items.append(tensors ? tensor(i, item) : nb::object(nb::int_(call_.integer(i, item))));
    return items;
  }

  const OperatorCall& call_;
  std::shared_ptr<void> token_;
};

/// The argument that a result is, which is then the same memory; nothing where it is another tensor.
std::optional<std::size_t> argument_of(nb::handle result, const nb::tuple& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (result.is(arguments[i])) return i;
  }
  return std::nullopt;
}

void give_tensor(OperatorCall& call, std::size_t result, std::size_t item, nb::handle given,
                 const nb::tuple& arguments) {
  if (const auto argument = argument_of(given, arguments)) {
    call.give_argument(result, *argument, item);
    return;
  }
  Inputs inputs;
  inputs.clear(call.device().index);
  try {
    inputs.add(given);
  } catch (...) {
    const bool is_list = call.result_kind(result) == ArgumentKind::Tensors;
    rethrow_at("result " + std::to_string(result) + (is_list ? "[" + std::to_string(item) + "]" : ""));
  }
  std::shared_ptr<void> owner = std::const_pointer_cast<Lent>(inputs.keep(0, given));
  call.give_result(result, Tensor::adopt(inputs.views().front(), std::move(owner)), item);
}

void give_result(OperatorCall& call, std::size_t result, nb::handle given, const nb::tuple& arguments) {
  switch (call.result_kind(result)) {
    case ArgumentKind::Tensor: give_tensor(call, result, 0, given, arguments); return;
    case ArgumentKind::Integer:
      call.give_integer(result, cast_to<std::int64_t>(given, "result " + std::to_string(result), "int"));
      return;
    case ArgumentKind::Tensors: {
      if (PyList_Check(given.ptr()) == 0 && PyTuple_Check(given.ptr()) == 0)
        wrong_type("result " + std::to_string(result) + " is a " + type_text(given) +
                   " instead of a list of tensors");
      std::size_t item = 0;
      for (const nb::handle one : given) give_tensor(call, result, item++, one, arguments);
      return;
    }
    default: return;
  }
}

void give_results(OperatorCall& call, nb::handle given, const nb::tuple& arguments) {
  const std::size_t count = call.results_count();
  if (count == 0) return;
  if (count == 1) {
    give_result(call, 0, given, arguments);
    return;
  }
  const bool is_sequence = PyTuple_Check(given.ptr()) != 0 || PyList_Check(given.ptr()) != 0;
  if (!is_sequence || nb::len(given) != count) {
    wrong_type("the function returned a " + type_text(given) +
               (is_sequence ? " of " + std::to_string(nb::len(given)) : "") + " instead of a tuple of " +
               std::to_string(count) + " results");
  }
  for (std::size_t i = 0; i < count; ++i) give_result(call, i, given[i], arguments);
}

/// `penstock.current_stream()` is the run's for as long as this lives.
class OnStream {
 public:
  explicit OnStream(const OperatorCall& call) {
    if (call.device().type != DeviceType::Cuda) return;
    enter({call.stream()});
  }
  /// Also of those that the function has entered and not left.
  ~OnStream() { leave_down_to(before_); }
  OnStream(const OnStream&) = delete;
  OnStream& operator=(const OnStream&) = delete;

 private:
  std::size_t before_ = entered_count();
};

/// What only a cycle holds is garbage, whether it was collected or not, also where the program has Python not
/// collect.
void collect_cycles() {
  try {
    nb::module_::import_("gc").attr("collect")();
  } catch (nb::python_error& raised) {
    raised.discard_as_unraisable("penstock: a collection of cycles");
  }
}

}  // namespace

nb::object PyCustomObject::object() const { return nb::borrow(shared_object(object_)); }

nb::object take_cause(std::string_view message) {
  const Raised taken = std::exchange(last_raised(), {});
  if (taken.exception == nullptr || message.find(taken.words) == message.npos) return {};
  return nb::borrow(shared_object(taken.exception));
}

void throw_raised(nb::python_error& raised) {
  const std::string words = type_text(raised.value()) + ": " + bytes_of(nb::str(raised.value()));
  last_raised() = {share(nb::borrow(raised.value())), words};
  throw Error(ErrorCode::Internal, words);
}

void call_python(nb::handle function, OperatorCall& call) {
  const nb::gil_scoped_acquire acquired;
  const OnStream on_stream(call);
  Arguments arguments(call);
  try {
    nb::tuple given = arguments.make();
    nb::object result = function(*given);
    give_results(call, result, given);
  } catch (nb::python_error& raised) {
    throw_raised(raised);
  } catch (const nb::builtin_exception& error) {
    throw Error(ErrorCode::Internal, error.what());
  }
  if (arguments.are_kept()) collect_cycles();
  if (arguments.are_kept()) {
    throw Error(
        ErrorCode::Internal,
        "the function kept the memory of an argument, or returned a view of it, and that ends with the call; "
        "copy it, or return the argument itself");
  }
}

}  // namespace penstock::python
