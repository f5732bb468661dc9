#pragma once

#include <penstock/custom_objects.hpp>
#include <penstock/device.hpp>
#include <penstock/dtype.hpp>
#include <penstock/error.hpp>
#include <penstock/export.hpp>
#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>
#include <penstock/value.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace penstock {

/// What an argument or a result of a call is: for code that takes calls of any schema.
enum class ArgumentKind {
  None,      ///< None; as a result, one that the model does not take.
  Tensor,    ///< `tensor(argument)`
  Tensors,   ///< A list: `tensor(argument, item)`, where `has(argument, item)`.
  Integer,   ///< `integer(argument)`
  Integers,  ///< A list: `integer(argument, item)`
  Constant,  ///< Fixed by the package: `constant(argument)`, or by its type.
  Object,    ///< `object(argument)`
};

/// One call of an operator or a method by a model: its arguments by their position in the schema, and where
/// its results go. The memory of results belongs to the run; what a run needs no longer is used again.
/// Thread: the thread of the run, one caller at a time. Lifetime: the call; views of tensors too.
/// Errors of all functions: InvalidArgument for a position that there is not or that is something else;
/// they name the operator. What an operator throws ends the run, as an Error that names it.
class PENSTOCK_API OperatorCall {
 public:
  /// "ns::op", or "ns.Name.method". Host-only. Errors: none.
  [[nodiscard]] const std::string& name() const noexcept;

  /// Where the model runs, and so where results have to be. Host-only. Errors: none.
  [[nodiscard]] Device device() const noexcept;

  /// CUDA: the stream of the run. What the operator puts on the device has to go there: its arguments are
  /// ready, and its results have to be, in the order of this stream, which keeps it in the run's partition.
  /// The device's context is current. Host-only. Lifetime: the call.
  /// Errors: InvalidArgument for a model on the CPU, which has none.
  [[nodiscard]] StreamView stream() const;

  /// What there is, and what each of it is. Host-only. Errors: of the counts none.
  [[nodiscard]] std::size_t argument_count() const noexcept;
  [[nodiscard]] ArgumentKind argument_kind(std::size_t argument) const;
  [[nodiscard]] std::size_t results_count() const noexcept;
  [[nodiscard]] ArgumentKind result_kind(std::size_t result) const;

  /// An argument that the package has fixed, a list as a whole. Host-only. Lifetime: the model.
  [[nodiscard]] const Value& constant(std::size_t argument) const;

  /// Items of a list argument; 1 for what is no list, 0 for None. Host-only.
  [[nodiscard]] std::size_t count(std::size_t argument) const;

  /// False for None; an empty list is there. Host-only.
  [[nodiscard]] bool has(std::size_t argument) const;
  /// False for an item of a `Tensor?[]` that is None, and past the end of a list. Host-only.
  [[nodiscard]] bool has(std::size_t argument, std::size_t item) const;

  /// A tensor, or an item of a list of tensors, on the device where it lies. Host-only.
  /// Errors: also Unsupported for more than kMaxRank dimensions.
  [[nodiscard]] TensorView tensor(std::size_t argument, std::size_t item = 0) const;

  /// An `int`, `SymInt`, a `Scalar` that is one, a memory format or a layout (PyTorch's numbers of c10), or
  /// an item of a list. Host-only.
  [[nodiscard]] std::int64_t integer(std::size_t argument, std::size_t item = 0) const;

  /// A `float`, `int` or `Scalar`, or an item of a list. Host-only.
  [[nodiscard]] double number(std::size_t argument, std::size_t item = 0) const;

  /// A `bool`, or an item of a list. Host-only.
  [[nodiscard]] bool boolean(std::size_t argument, std::size_t item = 0) const;

  /// A `str`, or an item of a list. Host-only. Lifetime: the model.
  [[nodiscard]] std::string_view text(std::size_t argument, std::size_t item = 0) const;

  /// A `ScalarType`, a `Device`. The device is the model's, whatever it was exported with. Host-only.
  [[nodiscard]] DType dtype(std::size_t argument) const;
  [[nodiscard]] Device device(std::size_t argument) const;

  /// An object; of a method, argument 0. Host-only. Lifetime: the model. Errors: also where it is no T.
  [[nodiscard]] CustomObject& object(std::size_t argument) const;
  template <class T>
  [[nodiscard]] T& object(std::size_t argument) const {
    CustomObject& found = object(argument);
    if (typeid(found) == typeid(T)) return static_cast<T&>(found);
    T* const cast = dynamic_cast<T*>(&found);
    if (cast == nullptr) refuse_class(argument, typeid(T));
    return *cast;
  }

  /// The state that an object of class VersionedObject<State> had when the run began: the same at every call
  /// of the run. Host-only. Lifetime: the run.
  template <class State>
  [[nodiscard]] const State& state(std::size_t argument) const {
    return *static_cast<const State*>(checked_state(argument, typeid(State)));
  }

  /// What the class keeps with an object for this session: null at first, gone with the session. Host-only.
  [[nodiscard]] std::shared_ptr<void>& session_data(std::size_t argument) const;

  /// Tensors that a result is made of: 1, or the length of a list, as the model was compiled; 0 for what it
  /// does not take. Host-only.
  [[nodiscard]] std::size_t result_count(std::size_t result) const;

  /// Makes a result: a row-major tensor, not initialized, in the memory of the run, on CUDA that of the
  /// device. The model takes it for granted that sizes and dtype are what was compiled. Host-only, and on
  /// CUDA in the order of the stream. Errors: also OutOfMemory, Cuda.
  TensorView make_result(std::size_t result, DType dtype, std::span<const std::int64_t> sizes,
                         std::size_t item = 0);

  /// Gives a tensor of the model's device as a result: its memory is kept as long as the model uses it. On
  /// CUDA it is let go when the host is done with it, which may be before the stream is: whoever owns it
  /// gives it back in the order of the stream. Host-only.
  void give_result(std::size_t result, const Tensor& tensor, std::size_t item = 0);

  /// Gives a tensor argument, or an item of a list of them, as a result: both are the same memory. Host-only.
  void give_argument(std::size_t result, std::size_t argument, std::size_t item = 0,
                     std::size_t argument_item = 0);

  /// Gives an integer. The model has it built in: Errors: also Unsupported where that is another. Host-only.
  void give_integer(std::size_t result, std::int64_t value);

  /// Implementation detail, for the library's own use.
  struct Impl;
  explicit OperatorCall(Impl& impl) noexcept : impl_(impl) {}
  OperatorCall(const OperatorCall&) = delete;
  OperatorCall& operator=(const OperatorCall&) = delete;
  [[nodiscard]] Impl& impl() const noexcept { return impl_; }

 private:
  [[noreturn]] void refuse_class(std::size_t argument, const std::type_info& wanted) const;
  [[nodiscard]] const void* checked_state(std::size_t argument, const std::type_info& wanted) const;

  Impl& impl_;
};

/// Whether a CUDA graph may hold what an operator does. Only one that gives the same work to the same stream
/// at every call, whatever the values, may say so. A capture calls it, twice and with nothing executed, and
/// replays do not; an object that has changed since makes for another capture. CPU models have no graphs.
enum class Capture { Never, Allowed };

/// An operator that packages call: what `TORCH_LIBRARY` has for PyTorch.
struct OperatorDefinition {
  /// As PyTorch has it: "ns::op(Tensor x, float scale=1.0) -> Tensor". Names and defaults of parameters
  /// count: a package leaves out what has its default.
  std::string schema;
  /// May be called from many threads at once.
  std::function<void(OperatorCall&)> run;
  Capture capture = Capture::Never;
};

/// A method of a class. The object is argument 0, which the schema leaves out.
struct MethodDefinition {
  std::string schema;  ///< "add_tensor(Tensor z) -> Tensor"
  std::function<void(OperatorCall&)> run;
  Capture capture = Capture::Never;
};

/// What an object is made for.
struct ObjectOrigin {
  std::string_view name;     ///< "_torchbind_obj0"
  std::string_view package;  ///< For messages.
  Device device;             ///< Where its model runs.
};

/// A class of objects that packages carry: what `torch::class_` has for PyTorch.
struct ClassDefinition {
  std::string name;  ///< "ns.Name", or "__torch__.torch.classes.ns.Name".
  /// Makes an object of the state that the class wrote in PyTorch, tensors in host memory wherever they were.
  /// Of a model on CUDA too: `origin.device` says where, and no context of that device need be current.
  /// May throw; null is an error too.
  std::function<std::shared_ptr<CustomObject>(const Value& state, const ObjectOrigin& origin)> create;
  /// The way back, for `ObjectHandle::state`. Empty: it gives none.
  std::function<Value(const CustomObject& object)> state = {};
  std::vector<MethodDefinition> methods = {};
};

/// Classes and operators by name, given to a load. A copy shares what was added until either adds more.
/// Thread: one caller at a time. Lifetime: loaded models keep what they use.
class PENSTOCK_API Registry {
 public:
  /// Adds an operator or a class. Host-only. Errors: InvalidArgument for a schema that cannot be read, for
  /// a name that is there already, and where a function is missing.
  void add(OperatorDefinition definition);
  void add(ClassDefinition definition);

  /// "ns::op", "ns.Name", sorted. Host-only. Errors: OutOfMemory.
  [[nodiscard]] std::vector<std::string> operators() const;
  [[nodiscard]] std::vector<std::string> classes() const;

  /// Implementation detail, for the library's own use.
  struct Impl;
  [[nodiscard]] const std::shared_ptr<const Impl>& impl() const noexcept { return impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// The version of this header's types; a library that was compiled with another one is not used.
inline constexpr std::uint32_t kOperatorInterface = 1;

}  // namespace penstock

/// Begins the function by which a shared library of operators and classes (LoadOptions::libraries,
/// `--library`) registers them: `PENSTOCK_LIBRARY(registry) { registry.add(...); }`, once a library.
#define PENSTOCK_LIBRARY(registry)                                                                \
  extern "C" __attribute__((visibility("default"))) std::uint32_t penstock_operator_interface() { \
    return penstock::kOperatorInterface;                                                          \
  }                                                                                               \
  extern "C" __attribute__((visibility("default"))) void penstock_register(penstock::Registry& registry)
