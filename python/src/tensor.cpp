#include "tensor.hpp"

#include "dlpack.hpp"
#include "errors.hpp"
#include "inputs.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/error.hpp>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

constexpr std::array kDTypes{
    DType::UInt8,          DType::Int8,           DType::Int16,    DType::Int32,      DType::Int64,
    DType::Float16,        DType::Float32,        DType::Float64,  DType::Complex32,  DType::Complex64,
    DType::Complex128,     DType::Bool,           DType::BFloat16, DType::Float8E5M2, DType::Float8E4M3FN,
    DType::Float8E5M2FNUZ, DType::Float8E4M3FNUZ, DType::UInt16,   DType::UInt32,     DType::UInt64,
    DType::Float8E8M0FNU};

using Sizes = nb::typed<nb::tuple, std::int64_t, nb::ellipsis>;

Sizes tuple_of(std::span<const std::int64_t> numbers) {
  nb::list made;
  for (const std::int64_t number : numbers) made.append(number);
  return Sizes(nb::tuple(made));
}

/// Makes work that comes on the consumer's stream wait for the tensor. -1: the consumer wants no wait.
void order_before(const PyTensor& self, nb::handle consumer) {
  const std::int64_t number = consumer.is_none() ? 1 : cast_to<std::int64_t>(consumer, "stream", "int");
  if (!self.stream || number == -1) return;
  // DLPack's numbers 1 and 2 are the default streams; they are the handles of CUDA too.
  const StreamView taking = StreamView::from_handle(reinterpret_cast<void*>(number));  // NOLINT
  const StreamView made = self.stream->view;
  if (taking == made || (made.is_default() && taking.is_default())) return;
  const std::int32_t device = self.tensor.view().device().index;
  std::optional<Stream> beside;
  if (self.ready != nullptr)
    wait_on(taking, *self.ready);
  else
    wait_on(taking, event_behind(made, device, beside));
}

nb::object dlpack_of(const PyTensor& self, nb::handle stream, nb::handle max_version, nb::handle device,
                     nb::handle copy) {
  const TensorView& view = self.tensor.view();
  if (!device.is_none()) {
    const auto wanted = cast_to<std::pair<int, int>>(device, "dl_device", "pair of ints");
    const dlpack::Device own = device_of(view.device());
    if (wanted.first != own.type || wanted.second != own.index) {
      PyErr_SetString(PyExc_BufferError,
                      "a penstock.Tensor is given only on its own device; copy it with .cpu()");
      nb::raise_python_error();
    }
  }
  if (!copy.is_none() && cast_to<bool>(copy, "copy", "bool")) {
    PyErr_SetString(PyExc_BufferError, "a penstock.Tensor is not copied by __dlpack__");
    nb::raise_python_error();
  }
  if (view.device().type == DeviceType::Cuda) order_before(self, stream);
  const bool versioned = !max_version.is_none() &&
                         cast_to<std::pair<int, int>>(max_version, "max_version", "pair of ints").first >= 1;
  return make_capsule(view, keeper_of(self), versioned);
}

/// Formats of Python's struct module; null for element types that it has none for.
const char* format_of(DType dtype) {
  switch (dtype) {
    case DType::UInt8: return "B";
    case DType::Int8: return "b";
    case DType::Int16: return "h";
    case DType::UInt16: return "H";
    case DType::Int32: return "i";
    case DType::UInt32: return "I";
    case DType::Int64: return "q";
    case DType::UInt64: return "Q";
    case DType::Float16: return "e";
    case DType::Float32: return "f";
    case DType::Float64: return "d";
    case DType::Complex64: return "Zf";
    case DType::Complex128: return "Zd";
    case DType::Bool: return "?";
    default: return nullptr;
  }
}

/// Sizes and strides in bytes, as the buffer protocol wants them.
struct BufferShape {
  std::array<Py_ssize_t, kMaxRank> sizes{};
  std::array<Py_ssize_t, kMaxRank> strides{};
};

int refuse_buffer(Py_buffer* buffer, const char* message) {
  buffer->obj = nullptr;
  PyErr_SetString(PyExc_BufferError, message);
  return -1;
}

/// True where the elements follow each other with the first dimension fastest.
bool is_fortran_contiguous(const TensorView& view) {
  std::int64_t step = 1;
  for (std::size_t i = 0; i < view.rank(); ++i) {
    if (view.sizes()[i] != 1 && view.strides()[i] != step) return false;
    step *= view.sizes()[i];
  }
  return true;
}

/// True where the tensor lies as a request of the buffer protocol wants it.
bool lies_as(const TensorView& view, int flags) {
  const auto wants = [flags](int what) { return (flags & what) == what; };
  if (view.numel() == 0) return true;
  if (!wants(PyBUF_STRIDES) || wants(PyBUF_C_CONTIGUOUS)) return view.is_contiguous();
  if (wants(PyBUF_F_CONTIGUOUS)) return is_fortran_contiguous(view);
  return !wants(PyBUF_ANY_CONTIGUOUS) || view.is_contiguous() || is_fortran_contiguous(view);
}

int get_buffer(PyObject* self, Py_buffer* buffer, int flags) {
  const PyTensor* const tensor = as_tensor(self);
  if (tensor == nullptr) return refuse_buffer(buffer, "the tensor was never initialized");
  const TensorView& view = tensor->tensor.view();
  if (view.device().type != DeviceType::Cpu)
    return refuse_buffer(buffer, "the tensor is on a CUDA device; take .cpu() of it, or .torch() or .cupy()");
  const char* const format = format_of(view.dtype());
  if (format == nullptr)
    return refuse_buffer(buffer, "NumPy and Python have no such elements; take .torch() of the tensor");
  if (!lies_as(view, flags))
    return refuse_buffer(buffer, "the tensor does not lie in one piece, or in another order");
  auto* const shape = new (std::nothrow) BufferShape;
  if (shape == nullptr) return refuse_buffer(buffer, "out of memory");
  const auto bytes = static_cast<Py_ssize_t>(element_bytes(view.dtype()));
  for (std::size_t i = 0; i < view.rank(); ++i) {
    shape->sizes[i] = view.sizes()[i];
    shape->strides[i] = view.strides()[i] * bytes;
  }
  *buffer = {};
  buffer->buf = view.data();
  buffer->obj = nb::borrow(self).release().ptr();
  buffer->len = view.numel() * bytes;
  buffer->itemsize = bytes;
  buffer->ndim = static_cast<int>(view.rank());
  buffer->format = (flags & PyBUF_FORMAT) != 0 ? const_cast<char*>(format) : nullptr;  // NOLINT
  buffer->shape = (flags & PyBUF_ND) != 0 ? shape->sizes.data() : nullptr;
  buffer->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? shape->strides.data() : nullptr;
  buffer->internal = shape;
  return 0;
}

void release_buffer(PyObject* /*self*/, Py_buffer* buffer) {
  delete static_cast<BufferShape*>(buffer->internal);
}

nb::object to_numpy(nb::object self) { return nb::module_::import_("numpy").attr("asarray")(self); }

nb::object to_torch(const PyTensor& self) {
  if (self.tensor.view().device().type == DeviceType::Cuda) {
    const PyStream torchs = current_stream(Library::Torch, self.tensor.view().device().index);
    order_before(self, nb::int_(reinterpret_cast<std::intptr_t>(torchs.view.handle())));
  }
  return make_torch_tensor(self.tensor.view(), keeper_of(self));
}

Device device_named(nb::handle text) { return device_from_string(bytes_of(nb::str(text))); }

PyTensor to_device(const PyTensor& self, nb::handle wanted) {
  const Device device = device_named(wanted);
  const TensorView& view = self.tensor.view();
  if (view.device() == device) return self;
  if (view.device().type != DeviceType::Cpu)
    throw Error(ErrorCode::InvalidArgument, "a tensor of " + to_string(view.device()) + " goes to " +
                                                to_string(device) +
                                                " by way of the host: take .cpu() of it first");
  const nb::gil_scoped_release released;
  return {copy_to_device(view, device)};
}

}  // namespace

template <class Visit>
int PyTensor::visit(Visit&& each) const {
  // What others keep too is not this one's to tell of.
  return keeps.use_count() == 1 ? keeps->visit(each) : 0;
}

PyTensor tensor_of(nb::handle object, std::int32_t cuda_device) {
  if (const PyTensor* const ours = as_tensor(object)) return *ours;
  Inputs inputs;
  inputs.clear(cuda_device);
  inputs.add(object);
  const Device device = inputs.views().front().device();
  // What keeps the memory is told to Python's collector, and so is beside the tensor and not within.
  PyTensor made{Tensor::adopt(inputs.views().front(), std::make_shared<char>())};
  made.keeps = inputs.keep(0, object);
  if (device.type == DeviceType::Cuda && inputs.library() != Library::None) {
    std::optional<Stream> beside;
    made.stream = current_stream(inputs.library(), device.index);
    made.ready = ready_on(made.stream->view, device.index, beside);
  }
  return made;
}

/// Of one element in host memory. Negative zero is not true.
bool is_true(const TensorView& view) {
  constexpr std::array kSigned{DType::Float16, DType::BFloat16,  DType::Float32,
                               DType::Float64, DType::Complex64, DType::Complex128};
  const bool has_signs = std::ranges::find(kSigned, view.dtype()) != kSigned.end();
  const bool is_complex = view.dtype() == DType::Complex64 || view.dtype() == DType::Complex128;
  const std::size_t bytes = element_bytes(view.dtype());
  const std::size_t number = is_complex ? bytes / 2 : bytes;
  const auto* const data = static_cast<const unsigned char*>(view.data());
  for (std::size_t i = 0; i < bytes; ++i) {
    const bool holds_sign = has_signs && (i + 1) % number == 0;
    if ((data[i] & (holds_sign ? 0x7FU : 0xFFU)) != 0) return true;
  }
  return false;
}

PyTensor to_cpu(const PyTensor& self) {
  // A call of another thread may give it as `out`, and so change these.
  const PyTensor now = self;
  const TensorView& view = now.tensor.view();
  if (view.device().type == DeviceType::Cpu) return now;
  const nb::gil_scoped_release released;
  if (now.ready != nullptr)
    now.ready->synchronize();
  else if (now.stream)
    now.stream->view.synchronize();
  return {copy_to_host(view)};
}

PyTensor* as_tensor(nb::handle object) {
  static const nb::handle type = nb::type<PyTensor>();
  if (Py_TYPE(object.ptr()) != reinterpret_cast<PyTypeObject*>(type.ptr())) return nullptr;
  if (!nb::inst_ready(object)) return nullptr;
  return nb::inst_ptr<PyTensor>(object);
}

std::shared_ptr<const void> keeper_of(const PyTensor& tensor) {
  struct Keeper {
    Tensor tensor;
    std::shared_ptr<const Lent> lent;
  };
  if (tensor.keeps == nullptr) return std::make_shared<const Tensor>(tensor.tensor);
  return std::make_shared<const Keeper>(Keeper{tensor.tensor, tensor.keeps});
}

void bind_dtypes(nb::module_& module) {
  nb::class_<Device>(module, "Device",
                     "\"cpu\", or \"cuda:0\" with an ordinal of the process's visible GPUs.")
      .def(
          "__init__",
          [](Device* self, const nb::object& text) {
            new (self) Device(device_from_string(bytes_of(nb::str(text))));
          },
          "text"_a, "Reads \"cpu\", \"cuda\", \"cuda:N\", or a device of torch.")
      .def_prop_ro(
          "type", [](Device self) { return self.type == DeviceType::Cuda ? "cuda" : "cpu"; }, "The kind.")
      .def_prop_ro(
          "index", [](Device self) { return self.index; }, "The ordinal.")
      .def(
          "__eq__", [](Device self, Device other) { return self == other; }, nb::is_operator(),
          nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", [](Device self) { return static_cast<int>(self.type) * 1024 + self.index; })
      .def("__str__", [](Device self) { return to_string(self); })
      .def("__repr__", [](Device self) { return "penstock.Device('" + to_string(self) + "')"; });
  nb::enum_<DType> dtypes(module, "DType", "Element type of a tensor, by PyTorch's names.");
  for (const DType dtype : kDTypes) {
    dtypes.value(std::string(dtype_name(dtype)).c_str(), dtype);
  }
  dtypes.def("__str__", [](DType self) { return std::string(dtype_name(self)); });
}

void bind_tensors(nb::module_& module) {
  static PyType_Slot slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(&traverse<PyTensor>)},
                                {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
                                {Py_bf_releasebuffer, reinterpret_cast<void*>(release_buffer)},
                                {0, nullptr}};
  nb::class_<PyTensor>(
      module, "Tensor", nb::is_final(), nb::type_slots(slots),
      "A tensor that a model gave, or over memory of another library. numpy.asarray, torch and CuPy "
      "take it without a copy.")
      .def(
          "__init__",
          [](PyTensor* self, nb::handle object, nb::handle device) {
            const Device there = device.is_none() ? Device{DeviceType::Cuda, 0} : device_named(device);
            if (there.type != DeviceType::Cuda)
              throw Error(ErrorCode::InvalidArgument, "device is for memory of CUDA that does not tell it");
            new (self) PyTensor(tensor_of(object, there.index));
          },
          "object"_a, nb::kw_only(), "device"_a = nb::none(),
          "Over the memory of a tensor of another library, which is kept. `device`: where memory is that "
          "does "
          "not tell it (`__cuda_array_interface__`), by default \"cuda:0\".")
      .def_prop_ro(
          "shape", [](const PyTensor& self) { return tuple_of(self.tensor.sizes()); }, "Sizes.")
      .def_prop_ro(
          "strides", [](const PyTensor& self) { return tuple_of(self.tensor.strides()); },
          "Strides, in elements.")
      .def_prop_ro(
          "dtype", [](const PyTensor& self) { return self.tensor.dtype(); }, "Element type.")
      .def_prop_ro(
          "device", [](const PyTensor& self) { return self.tensor.view().device(); }, "Where it lies.")
      .def_prop_ro(
          "ndim", [](const PyTensor& self) { return self.tensor.sizes().size(); }, "Dimensions.")
      .def_prop_ro(
          "data_ptr",
          [](const PyTensor& self) { return reinterpret_cast<std::uintptr_t>(self.tensor.view().data()); },
          "Its address.")
      .def_prop_ro(
          "stream", [](const PyTensor& self) { return self.stream; },
          "The stream that it is ready on; None on the CPU.")
      .def("__dlpack__", dlpack_of, nb::kw_only(), "stream"_a = nb::none(), "max_version"_a = nb::none(),
           "dl_device"_a = nb::none(), "copy"_a = nb::none(),
           "DLPack's. What comes on `stream` waits for the tensor where another stream made it.")
      .def(
          "__dlpack_device__",
          [](const PyTensor& self) {
            const dlpack::Device device = device_of(self.tensor.view().device());
            return std::pair<int, int>(device.type, device.index);
          },
          "DLPack's.")
      .def(
          "__array__",
          [](nb::object self, nb::handle dtype, nb::handle copy) {
            nb::object view =
                nb::module_::import_("numpy").attr("asarray")(nb::steal(PyMemoryView_FromObject(self.ptr())));
            if (!dtype.is_none()) view = view.attr("astype")(dtype, "copy"_a = false);
            const bool wants_copy = !copy.is_none() && cast_to<bool>(copy, "copy", "bool");
            return wants_copy ? view.attr("copy")() : view;
          },
          "dtype"_a = nb::none(), "copy"_a = nb::none(), "NumPy's: the same memory, for a tensor on the CPU.")
      .def("numpy", to_numpy, nb::sig("def numpy(self) -> typing.Any"),
           "An array of NumPy over the same memory, for a tensor on the CPU.")
      .def("torch", to_torch, nb::sig("def torch(self) -> typing.Any"),
           "A tensor of torch over the same memory, in the order of torch's current stream.")
      .def(
          "cupy", [](nb::object self) { return nb::module_::import_("cupy").attr("from_dlpack")(self); },
          nb::sig("def cupy(self) -> typing.Any"),
          "An array of CuPy over the same memory, in the order of CuPy's current stream.")
      .def("cpu", to_cpu,
           "The tensor in host memory: a copy, once its stream is done, where it is on a device.")
      .def("to", to_device, "device"_a, "The tensor on a device: a copy where it is on the host.")
      .def("__len__",
           [](const PyTensor& self) {
             if (self.tensor.sizes().empty()) throw nb::type_error("a tensor of no dimensions has no length");
             return self.tensor.sizes()[0];
           })
      .def("__bool__",
           [](const PyTensor& self) {
             if (self.tensor.view().numel() != 1) {
               throw nb::value_error(
                   "the truth of a tensor of more or less than one element is ambiguous; ask "
                   "numpy.asarray(tensor) "
                   "for any() or all()");
             }
             return is_true(to_cpu(self).tensor.view());
           })
      .def("__repr__", [](const PyTensor& self) {
        const TensorView& view = self.tensor.view();
        return "<penstock.Tensor " + to_string(view) + " on " + to_string(view.device()) + ">";
      });
}

}  // namespace penstock::python
