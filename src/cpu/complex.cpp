#include "cpu/complex.hpp"

#include "base/fail.hpp"
#include "cpu/copy.hpp"
#include "cpu/element.hpp"
#include "cpu/strided.hpp"

#include <array>
#include <cmath>
#include <complex>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

template <class To, class From>
To absolute_of(From value) {
  if constexpr (kIsComplex<From>) {
    return std::abs(value);
  } else if constexpr (kIsFloating<From>) {
    return convert<To>(std::abs(plain(value)));
  } else {
    // The smallest integer stays as it is, as in PyTorch.
    using Unsigned = std::make_unsigned_t<From>;
    return value < 0 ? static_cast<To>(Unsigned{0} - static_cast<Unsigned>(value)) : value;
  }
}

template <class To, class From>
To angle_of(From value) {
  if constexpr (kIsComplex<From>) {
    return std::arg(value);
  } else {
    using Wide = Plain<To>;
    const auto wide = static_cast<Wide>(plain(value));
    if (wide != wide) return convert<To>(wide);
    return convert<To>(wide < 0 ? static_cast<Wide>(3.14159265358979323846) : Wide{0});
  }
}

template <class To, class From, class Work>
void map(TensorObject& out, const TensorObject& self, Work&& work) {
  auto* const to = reinterpret_cast<To*>(out.data);
  const auto* const from = reinterpret_cast<const From*>(self.data);
  for_each_element<2>(self.sizes(), {out.strides(), self.strides()},
                      [&](const auto& place) { to[place[0]] = work(from[place[1]]); });
}

void check(std::string_view name, const TensorObject& out, const TensorObject& self, DType dtype) {
  check_host(name, self);
  check_same_sizes(name, out, self.sizes());
  if (out.dtype != dtype) {
    base::fail(ErrorCode::Internal, "{}: a result of {} for {}", name, dtype_name(out.dtype),
               dtype_name(self.dtype));
  }
}

bool is_complex(DType dtype) { return dtype == DType::Complex64 || dtype == DType::Complex128; }

/// `tensor` in `dtype`: itself, or a copy in `held`.
const TensorObject& converted(const TensorObject& tensor, DType dtype, tensor::TensorObjectPtr& held) {
  if (tensor.dtype == dtype) return tensor;
  const ResultLayout layout = contiguous_layout({tensor.sizes().begin(), tensor.sizes().end()});
  const tensor::StorageReference storage(
      tensor::allocate_host_storage(static_cast<std::size_t>(tensor.numel) * element_bytes(dtype)));
  held.reset(tensor::make_tensor(storage.get(), {dtype, layout.sizes, layout.strides, 0}));
  copy(*held, tensor);
  return *held;
}

template <class Work>
void combine(std::string_view name, TensorObject& out, const TensorObject& a, const TensorObject& b,
             Work&& work) {
  check_host(name, a);
  check_host(name, b);
  tensor::TensorObjectPtr held_a;
  tensor::TensorObjectPtr held_b;
  const TensorObject& left = converted(a, out.dtype, held_a);
  const TensorObject& right = converted(b, out.dtype, held_b);
  const Dims left_strides = broadcast_strides(left, out.sizes());
  const Dims right_strides = broadcast_strides(right, out.sizes());
  with_type(name, out.dtype, kFloats + kComplex, [&]<class T>(std::type_identity<T>) {
    auto* const to = reinterpret_cast<T*>(out.data);
    const auto* const x = reinterpret_cast<const T*>(left.data);
    const auto* const y = reinterpret_cast<const T*>(right.data);
    for_each_element<3>(out.sizes(), {out.strides(), left_strides, right_strides}, [&](const auto& place) {
      to[place[0]] = convert<T>(work(plain(x[place[1]]), plain(y[place[2]])));
    });
  });
}

}  // namespace

DType real_part_type(DType dtype) {
  switch (dtype) {
    case DType::Complex32: return DType::Float16;
    case DType::Complex64: return DType::Float32;
    case DType::Complex128: return DType::Float64;
    default: base::fail(ErrorCode::InvalidArgument, "view_as_real is only supported for complex tensors");
  }
}

DType complex_type(DType dtype) {
  switch (dtype) {
    case DType::Float16: return DType::Complex32;
    case DType::Float32: return DType::Complex64;
    case DType::Float64: return DType::Complex128;
    default:
      base::fail(ErrorCode::InvalidArgument,
                 "view_as_complex is only supported for half, float and double tensors, but got {}",
                 dtype_name(dtype));
  }
}

DType absolute_type(DType dtype) { return is_complex(dtype) ? real_part_type(dtype) : dtype; }

DType angle_type(DType dtype) {
  if (is_complex(dtype)) return real_part_type(dtype);
  const bool floating = dtype == DType::Float64 || dtype == DType::Float16 || dtype == DType::BFloat16;
  return floating ? dtype : DType::Float32;
}

void absolute(TensorObject& out, const TensorObject& self) {
  check("abs", out, self, absolute_type(self.dtype));
  with_type("abs", self.dtype, kNumbers + kComplex, [&]<class T>(std::type_identity<T>) {
    if constexpr (kIsComplex<T>) {
      map<typename T::value_type, T>(out, self, absolute_of<typename T::value_type, T>);
    } else {
      map<T, T>(out, self, absolute_of<T, T>);
    }
  });
}

void angle(TensorObject& out, const TensorObject& self) {
  check("angle", out, self, angle_type(self.dtype));
  with_type("angle", self.dtype, kNumbers + kBoolean + kComplex, [&]<class T>(std::type_identity<T>) {
    if constexpr (kIsComplex<T>) {
      map<typename T::value_type, T>(out, self, angle_of<typename T::value_type, T>);
    } else if constexpr (kIsFloating<T>) {
      map<T, T>(out, self, angle_of<T, T>);
    } else {
      map<float, T>(out, self, angle_of<float, T>);
    }
  });
}

void polar(TensorObject& out, const TensorObject& magnitude, const TensorObject& angle) {
  check_host("polar", magnitude);
  check_host("polar", angle);
  if (magnitude.dtype != angle.dtype || out.dtype != complex_type(magnitude.dtype)) {
    base::fail(ErrorCode::InvalidArgument, "polar: {} magnitudes and {} angles", dtype_name(magnitude.dtype),
               dtype_name(angle.dtype));
  }
  const Dims magnitude_strides = broadcast_strides(magnitude, out.sizes());
  const Dims angle_strides = broadcast_strides(angle, out.sizes());
  with_type("polar", magnitude.dtype, Types<float, double>{}, [&]<class T>(std::type_identity<T>) {
    auto* const to = reinterpret_cast<std::complex<T>*>(out.data);
    const auto* const lengths = reinterpret_cast<const T*>(magnitude.data);
    const auto* const angles = reinterpret_cast<const T*>(angle.data);
    for_each_element<3>(out.sizes(), {out.strides(), magnitude_strides, angle_strides},
                        [&](const auto& place) {
                          // Not std::polar, which wants magnitudes that are not negative.
                          const T length = lengths[place[1]];
                          const T turn = angles[place[2]];
                          to[place[0]] = {length * std::cos(turn), length * std::sin(turn)};
                        });
  });
}

DType arithmetic_type(const TensorObject& a, const TensorObject& b) {
  if (a.dtype == b.dtype) return a.dtype;
  if (!is_complex(a.dtype) && !is_complex(b.dtype)) {
    base::fail(ErrorCode::Unsupported, "arithmetic of {} and {} tensors", dtype_name(a.dtype),
               dtype_name(b.dtype));
  }
  // A real scalar does not make a complex tensor wider.
  if (is_complex(a.dtype) && !is_complex(b.dtype) && b.rank == 0) return a.dtype;
  if (is_complex(b.dtype) && !is_complex(a.dtype) && a.rank == 0) return b.dtype;
  const auto is_wide = [](DType dtype) { return dtype == DType::Complex128 || dtype == DType::Float64; };
  return is_wide(a.dtype) || is_wide(b.dtype) ? DType::Complex128 : DType::Complex64;
}

void multiply(TensorObject& out, const TensorObject& a, const TensorObject& b) {
  combine("mul", out, a, b, [](auto x, auto y) { return x * y; });
}

void add(TensorObject& out, const TensorObject& a, const TensorObject& b, double alpha) {
  combine("add", out, a, b, [alpha](auto x, auto y) {
    using T = decltype(x);
    if constexpr (kIsComplex<T>) {
      return x + static_cast<typename T::value_type>(alpha) * y;
    } else {
      return x + static_cast<T>(alpha) * y;
    }
  });
}

}  // namespace penstock::cpu
