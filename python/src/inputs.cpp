#include "inputs.hpp"

#include "errors.hpp"
#include "lent.hpp"
#include "tensor.hpp"

#include <penstock/error.hpp>

#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::InvalidArgument, message); }

/// What is known of a type of Python, looked up once.
struct TypeTraits {
  Library library = Library::None;
  const dlpack::ExchangeApi* exchange = nullptr;
  bool has_dlpack = false;
  bool has_lazy_signs = false;  ///< Its tensors may be negated without their memory being so.
  bool has_cuda_array = false;
  bool is_scalar = false;  ///< A number or a text, though it shows its memory: of NumPy, and bytes.
};

bool is_scalar_type(nb::handle type) {
  if (type.is(reinterpret_cast<PyObject*>(&PyBytes_Type))) return true;
  for (const nb::handle base : type.attr("__mro__")) {
    if (bytes_of(nb::str(base.attr("__name__"))) == "generic" &&
        bytes_of(nb::str(base.attr("__module__"))) == "numpy")
      return true;
  }
  return false;
}

Library library_of(nb::handle type) {
  for (const nb::handle base : type.attr("__mro__")) {
    const auto module = bytes_of(nb::str(base.attr("__module__")));
    const std::string_view root = std::string_view(module).substr(0, module.find('.'));
    if (root == "torch") return Library::Torch;
    if (root == "cupy") return Library::CuPy;
  }
  return Library::None;
}

const dlpack::ExchangeApi* exchange_of(nb::handle type) {
  if (!nb::hasattr(type, "__dlpack_c_exchange_api__")) return nullptr;
  const nb::object capsule = type.attr("__dlpack_c_exchange_api__");
  if (PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api") == 0) return nullptr;
  const auto* api =
      static_cast<const dlpack::ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  while (api != nullptr && api->version.major != dlpack::kMajorVersion) api = api->previous;
  return api;
}

/// Forgets a type when it goes. False where that cannot be noticed.
bool forget_with(nb::handle type, std::unordered_map<PyTypeObject*, TypeTraits>& known) {
  auto* const key = reinterpret_cast<PyTypeObject*>(type.ptr());
  const nb::object forget = nb::cpp_function([&known, key](nb::handle reference) {
    known.erase(key);
    reference.dec_ref();
  });
  // Given back by the function.
  if (PyWeakref_NewRef(type.ptr(), forget.ptr()) != nullptr) return true;
  PyErr_Clear();
  return false;
}

const TypeTraits& traits_of(nb::handle object) {
  static auto* const known = new std::unordered_map<PyTypeObject*, TypeTraits>;
  PyTypeObject* const type = Py_TYPE(object.ptr());
  if (const auto found = known->find(type); found != known->end()) return found->second;
  const nb::handle handle(reinterpret_cast<PyObject*>(type));
  TypeTraits made;
  made.library = library_of(handle);
  made.exchange = exchange_of(handle);
  made.has_dlpack = nb::hasattr(handle, "__dlpack__");
  made.has_lazy_signs = nb::hasattr(handle, "is_neg");
  made.has_cuda_array = nb::hasattr(handle, "__cuda_array_interface__");
  made.is_scalar = is_scalar_type(handle);
  if (!forget_with(handle, *known)) handle.inc_ref();
  return known->emplace(type, made).first->second;
}

/// Of a format of Python's struct module, which the buffer protocol uses; nothing where Penstock has none.
std::optional<DType> dtype_of_format(std::string_view format, Py_ssize_t bytes) {
  constexpr std::string_view kNative = "@=<";
  if (!format.empty() && kNative.find(format.front()) != std::string_view::npos) format.remove_prefix(1);
  if (format == "?") return DType::Bool;
  if (format == "e") return DType::Float16;
  if (format == "f") return DType::Float32;
  if (format == "d") return DType::Float64;
  if (format == "Zf") return DType::Complex64;
  if (format == "Zd") return DType::Complex128;
  const bool is_signed = format == "b" || format == "h" || format == "i" || format == "l" || format == "q";
  const bool is_unsigned = format == "B" || format == "H" || format == "I" || format == "L" || format == "Q";
  if (!is_signed && !is_unsigned) return std::nullopt;
  switch (bytes) {
    case 1: return is_signed ? DType::Int8 : DType::UInt8;
    case 2: return is_signed ? DType::Int16 : DType::UInt16;
    case 4: return is_signed ? DType::Int32 : DType::UInt32;
    case 8: return is_signed ? DType::Int64 : DType::UInt64;
    default: return std::nullopt;
  }
}

/// The same for a type of NumPy's array interface: "<f4".
std::optional<DType> dtype_of_typestr(std::string_view type) {
  struct Row {
    std::string_view name;
    DType dtype;
  };
  constexpr std::array kRows{
      Row{"b1", DType::Bool},      Row{"i1", DType::Int8},       Row{"i2", DType::Int16},
      Row{"i4", DType::Int32},     Row{"i8", DType::Int64},      Row{"u1", DType::UInt8},
      Row{"u2", DType::UInt16},    Row{"u4", DType::UInt32},     Row{"u8", DType::UInt64},
      Row{"f2", DType::Float16},   Row{"f4", DType::Float32},    Row{"f8", DType::Float64},
      Row{"c8", DType::Complex64}, Row{"c16", DType::Complex128}};
  if (type.empty() || std::string_view("<|=").find(type.front()) == type.npos) return std::nullopt;
  const auto* const row = std::ranges::find(kRows, type.substr(1), &Row::name);
  return row == kRows.end() ? std::nullopt : std::optional(row->dtype);
}

bool requires_grad(nb::handle object) { return nb::cast<bool>(object.attr("requires_grad")); }

/// Asks a tensor of torch; the names of methods are made once.
bool is(nb::handle object, nb::handle method) {
  const nb::object answer = nb::steal(PyObject_CallMethodNoArgs(object.ptr(), method.ptr()));
  if (!answer.is_valid()) nb::raise_python_error();
  return answer.is(Py_True);
}

void refuse_lazy_negation(nb::handle object) {
  static const nb::handle negative = PyUnicode_InternFromString("is_neg");
  if (is(object, negative)) refuse("it is negated and its memory is not; give it with .resolve_neg()");
}

void refuse_lazy_conjugation(nb::handle object) {
  static const nb::handle conjugated = PyUnicode_InternFromString("is_conj");
  if (is(object, conjugated)) refuse("it is conjugated and its memory is not; give it with .resolve_conj()");
}

}  // namespace

TakenBuffer::TakenBuffer(nb::handle object) {
  if (PyObject_GetBuffer(object.ptr(), &buffer_, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
    const nb::python_error raised;
    refuse("the memory of a " + type_text(object) +
           " cannot be taken as a tensor of one element type: " + bytes_of(nb::str(raised.value())));
  }
  const std::string_view format = buffer_.format != nullptr ? buffer_.format : "B";
  const std::string problem = [&]() -> std::string {
    if (buffer_.readonly != 0) return "its memory is read-only; give a copy";
    if (format.starts_with('>') || format.starts_with('!'))
      return "its elements are big-endian; give a copy in the order of this machine";
    if (!dtype_of_format(format, buffer_.itemsize))
      return "its elements are \"" + std::string(format) + "\", which no model takes";
    if (static_cast<std::size_t>(buffer_.ndim) > kMaxRank)
      return "it has " + std::to_string(buffer_.ndim) + " dimensions; at most " + std::to_string(kMaxRank) +
             " are possible";
    // Of ctypes there are none: row-major.
    for (int i = 0; buffer_.strides != nullptr && i < buffer_.ndim; ++i) {
      if (buffer_.strides[i] % buffer_.itemsize != 0)
        return "its strides are no multiples of its elements; give a copy";
    }
    return {};
  }();
  if (!problem.empty()) {
    PyBuffer_Release(&buffer_);
    refuse(problem);
  }
}

TakenBuffer::~TakenBuffer() {
  if (buffer_.obj != nullptr) PyBuffer_Release(&buffer_);
}

TakenBuffer::TakenBuffer(TakenBuffer&& other) noexcept : buffer_(std::exchange(other.buffer_, {})) {}

TensorView TakenBuffer::view() const {
  std::array<std::int64_t, kMaxRank> sizes{};
  std::array<std::int64_t, kMaxRank> strides{};
  const auto rank = static_cast<std::size_t>(buffer_.ndim);
  std::int64_t step = 1;
  for (std::size_t i = rank; i-- > 0;) {
    sizes[i] = buffer_.shape[i];
    strides[i] = buffer_.strides != nullptr ? buffer_.strides[i] / buffer_.itemsize : step;
    step *= std::max<std::int64_t>(sizes[i], 1);
  }
  const DType dtype = *dtype_of_format(buffer_.format != nullptr ? buffer_.format : "B", buffer_.itemsize);
  return {
      buffer_.buf, dtype,   std::span(sizes).first(rank), std::span<const std::int64_t>(strides).first(rank),
      0,           Device{}};
}

void Inputs::add(nb::handle object) {
  if (const PyTensor* const ours = as_tensor(object)) {
    add_view(ours->tensor.view());
    return;
  }
  const TypeTraits& traits = traits_of(object);
  // Torch's first, wherever it is among them.
  if (traits.library == Library::Torch || (traits.library != Library::None && library_ == Library::None))
    library_ = traits.library;
  if (traits.library == Library::Torch && traits.has_dlpack) {
    if (requires_grad(object)) {
      if (!detaches_)
        refuse("it requires grad, and a compiled model has no backward pass; give it detached: .detach()");
      nb::object detached = object.attr("detach")();
      add(detached);
      if (std::holds_alternative<std::monostate>(kept_.back())) kept_.back() = std::move(detached);
      return;
    }
    if (traits.has_lazy_signs) refuse_lazy_negation(object);
    if (traits.exchange != nullptr && traits.exchange->borrow != nullptr) {
      dlpack::Tensor found{};
      if (traits.exchange->borrow(object.ptr(), &found) != 0) nb::raise_python_error();
      // Its own __dlpack__ refuses these.
      if (found.dtype.code == dlpack::kComplex) refuse_lazy_conjugation(object);
      add_view(view_of(found));
      return;
    }
  }
  if (traits.library != Library::Torch && !traits.has_cuda_array && PyObject_CheckBuffer(object.ptr()) != 0) {
    TakenBuffer taken(object);
    const TensorView view = taken.view();
    add_view(view, std::move(taken));
  } else if (traits.has_dlpack) {
    add_dlpack(object);
  } else if (traits.has_cuda_array || nb::hasattr(object, "__cuda_array_interface__")) {
    add_cuda_array(object);  // Often an attribute of the object and not of its type.
  } else {
    wrong_type(
        "a " + type_text(object) +
        " is no tensor; give one of torch, NumPy, CuPy or Penstock, or an object with __dlpack__, the buffer "
        "protocol or __cuda_array_interface__");
  }
}

void Inputs::add_dlpack(nb::handle object) {
  const nb::object answer = object.attr("__dlpack_device__")();
  const auto place =
      cast_to<std::pair<int, int>>(answer, "the answer of its __dlpack_device__", "pair of ints");
  nb::dict options;
  // No wait is added: the order on the device is the caller's.
  if (place.first == dlpack::kCuda) options["stream"] = -1;
  nb::object capsule;
  const nb::object method = object.attr("__dlpack__");
  try {
    nb::dict newer;
    newer.update(options);
    newer["max_version"] = nb::make_tuple(dlpack::kMajorVersion, 0);
    capsule = method(**newer);
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_TypeError)) throw;
    capsule = method(**options);
  }
  TakenTensor taken(capsule);
  const TensorView view = view_of(taken.tensor());
  add_view(view, std::move(taken));
}

void Inputs::add_view(const TensorView& view, Kept kept) {
  kept_.push_back(std::move(kept));
  views_.push_back(view);
}

std::shared_ptr<const Lent> Inputs::keep(std::size_t index, nb::handle object) {
  Kept& kept = kept_[index];
  if (const auto* const shared = std::get_if<std::shared_ptr<const Lent>>(&kept)) return *shared;
  const auto* const begin = static_cast<const std::byte*>(views_[index].data());
  const auto* const end = begin == nullptr ? nullptr : begin + views_[index].storage_bytes();
  if (auto known = keeper_of_memory(begin, end)) {
    kept = known;
    return known;
  }
  auto lent = std::make_unique<Lent>(Lent{{}, nb::borrow(object), begin == end ? nullptr : begin});
  if (auto* const buffer = std::get_if<TakenBuffer>(&kept))
    lent->given.emplace<TakenBuffer>(std::move(*buffer));
  if (auto* const tensor = std::get_if<TakenTensor>(&kept))
    lent->given.emplace<TakenTensor>(std::move(*tensor));
  if (auto* const detached = std::get_if<nb::object>(&kept)) lent->object = std::move(*detached);
  // A tensor of torch may be given other memory (`x.data = y`): another one over what it has now is not.
  const TypeTraits& traits = traits_of(lent->object);
  if (traits.library == Library::Torch && nb::hasattr(lent->object, "detach"))
    lent->object = lent->object.attr("detach")();
  const std::shared_ptr<const Lent> made = shared_lent(std::move(lent), end);
  kept = made;
  return made;
}

void Inputs::add_cuda_array(nb::handle object) {
  const nb::object given = object.attr("__cuda_array_interface__");
  const auto described = cast_to<nb::dict>(given, "its __cuda_array_interface__", "dict");
  const auto entry = [&](const char* name) -> nb::object {
    return described.contains(name) ? nb::object(described[name]) : nb::none();
  };
  const auto numbers = [&](const char* name) {
    return cast_to<std::vector<std::int64_t>>(
        entry(name), std::string(name) + " of its __cuda_array_interface__", "tuple of ints");
  };
  const auto type = cast_to<std::string>(entry("typestr"), "typestr of its __cuda_array_interface__", "str");
  const auto data = cast_to<std::pair<std::uintptr_t, bool>>(
      entry("data"), "data of its __cuda_array_interface__", "pair of an address and a bool");
  if (data.second) refuse("its memory is read-only; give a copy");
  if (!entry("mask").is_none()) refuse("it has a mask, which no model takes; give the elements filled in");
  if (type.starts_with('>')) refuse("its elements are \"" + type + "\"; give them in this machine's order");
  const std::optional<DType> dtype = dtype_of_typestr(type);
  if (!dtype) refuse("its elements are \"" + type + "\", which no model takes");
  const std::vector<std::int64_t> sizes = numbers("shape");
  void* const address = reinterpret_cast<void*>(data.first);  // NOLINT(performance-no-int-to-ptr)
  const Device device{DeviceType::Cuda, cuda_device_};
  if (entry("strides").is_none()) {
    add_view({address, *dtype, sizes, device});
    return;
  }
  std::vector<std::int64_t> steps = numbers("strides");
  const auto bytes = static_cast<std::int64_t>(element_bytes(*dtype));
  for (std::int64_t& step : steps) {
    if (step % bytes != 0) refuse("its strides are no multiples of its elements; give a copy");
    step /= bytes;
  }
  add_view({address, *dtype, sizes, steps, 0, device});
}

void Inputs::clear(std::int32_t cuda_device) noexcept {
  cuda_device_ = cuda_device;
  views_.clear();
  kept_.clear();
  library_ = Library::None;
  detaches_ = false;
}

bool is_tensor(nb::handle object) {
  if (as_tensor(object) != nullptr) return true;
  const TypeTraits& traits = traits_of(object);
  if (traits.is_scalar) return false;
  return traits.has_dlpack || traits.has_cuda_array || PyObject_CheckBuffer(object.ptr()) != 0 ||
         nb::hasattr(object, "__cuda_array_interface__");
}

nb::object make_torch_tensor(const TensorView& view, std::shared_ptr<const void> owner) {
  struct Torch {
    nb::module_ module;
    const dlpack::ExchangeApi* exchange;
  };
  // Not the initializer of a static: the import gives up the GIL, and the second thread would wait with it.
  static const Torch* known = nullptr;
  if (known == nullptr) {
    nb::module_ torch = nb::module_::import_("torch");
    const dlpack::ExchangeApi* const found = exchange_of(torch.attr("Tensor"));
    if (known == nullptr) known = new Torch{std::move(torch), found};
  }
  const dlpack::ExchangeApi* const exchange = known->exchange;
  if (exchange == nullptr || exchange->give == nullptr)
    return known->module.attr("utils").attr("dlpack").attr("from_dlpack")(
        make_capsule(view, std::move(owner), false));
  void* made = nullptr;
  if (exchange->give(make_versioned(view, std::move(owner)), &made) != 0) nb::raise_python_error();
  return nb::steal(static_cast<PyObject*>(made));
}

}  // namespace penstock::python
