#include "cpu/elementwise.hpp"

#include "cpu/combine.hpp"
#include "cpu/promotion.hpp"
#include "tensor/layout.hpp"

#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

void check_operand(std::string_view name, const TensorObject& out, const TensorObject& operand) {
  check_host(name, operand);
  if (operand.dtype == out.dtype) return;
  base::fail(ErrorCode::Internal, "{} of {} into {}", name, dtype_name(operand.dtype), dtype_name(out.dtype));
}

/// out[i] = work(a[i], b[i]) with elements of type T in, R out.
template <class R, class T, class Work>
void map_two(const TensorObject& out, const TensorObject& a, const TensorObject& b, Work&& work) {
  const Dims a_strides = broadcast_strides(a, out.sizes());
  const Dims b_strides = broadcast_strides(b, out.sizes());
  constexpr auto kIn = static_cast<std::int64_t>(sizeof(T));
  constexpr auto kOut = static_cast<std::int64_t>(sizeof(R));
  for_each_row<3>(out.sizes(), {out.strides(), a_strides, b_strides}, [&](const Row<3>& row) {
    for (std::int64_t i = 0; i < row.count; ++i) {
      store(out.data + (row.start[0] + i * row.step[0]) * kOut,
            work(load<T>(a.data + (row.start[1] + i * row.step[1]) * kIn),
                 load<T>(b.data + (row.start[2] + i * row.step[2]) * kIn)));
    }
  });
}

template <class R, class T, class Work>
void map_one(const TensorObject& out, const TensorObject& self, Work&& work) {
  map_two<R, T>(out, self, self, [&work](T value, T) { return work(value); });
}

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};

template <class T>
T magnitude_of(T value) {
  if constexpr (std::is_floating_point_v<T> || kIsNarrowFloat<T>) {
    return static_cast<T>(std::abs(plain(value)));
  } else if constexpr (std::is_signed_v<T>) {
    // The smallest has no positive counterpart and stays.
    return static_cast<T>(value < 0 ? Wrapping<T>{0} - static_cast<Wrapping<T>>(value)
                                    : static_cast<Wrapping<T>>(value));
  } else {
    return value;
  }
}

}  // namespace

DType result_type(const TensorObject& a, const TensorObject& b) {
  const bool a_counts = a.rank > 0 || b.rank == 0;
  const bool b_counts = b.rank > 0 || a.rank == 0;
  if (a_counts && b_counts) return promote(a.dtype, b.dtype);
  const DType tensor = a_counts ? a.dtype : b.dtype;
  const DType scalar = a_counts ? b.dtype : a.dtype;
  if (tensor == scalar) return tensor;
  const NumberKind kind = kind_of(tensor);
  if (kind == NumberKind::Floating && kind_of(scalar) == NumberKind::Complex) {
    if (tensor == DType::Float32) return DType::Complex64;
    if (tensor == DType::Float64) return DType::Complex128;
    base::fail(ErrorCode::Unsupported, "complex numbers of {} parts", dtype_name(tensor));
  }
  return kind != NumberKind::Bool && kind >= kind_of(scalar) ? tensor : promote(tensor, scalar);
}

DType result_type_with_number(const TensorObject& a) {
  if (element_bytes(a.dtype) != 0 && kind_of(a.dtype) >= NumberKind::Floating) return a.dtype;
  return DType::Float32;
}

ResultLayout elementwise_layout(const TensorObject& a, const TensorObject& b) {
  ResultLayout layout;
  layout.sizes = broadcast_sizes(a.sizes(), b.sizes());
  const bool are_alike =
      std::ranges::equal(a.sizes(), b.sizes()) && std::ranges::equal(a.strides(), b.strides());
  if (are_alike) return like_layout(a);
  layout.strides = elementwise_strides(
      layout.sizes, {broadcast_strides(a, layout.sizes), broadcast_strides(b, layout.sizes)});
  return layout;
}

void add(const TensorObject& out, const TensorObject& a, const TensorObject& b, double alpha) {
  check_operand("add", out, a);
  check_operand("add", out, b);
  with_type("add", out.dtype, kNumbers + kBoolean + kComplex, [&]<class T>(std::type_identity<T>) {
    if constexpr (kIsNarrowFloat<T>) {
      map_two<T, T>(out, a, b, [factor = static_cast<float>(alpha)](T x, T y) {
        return static_cast<T>(plain(x) + factor * plain(y));
      });
    } else {
      map_two<T, T>(out, a, b,
                    [factor = convert<T>(alpha)](T x, T y) { return sum_of(x, product_of(factor, y)); });
    }
  });
}

void multiply(const TensorObject& out, const TensorObject& a, const TensorObject& b) {
  check_operand("mul", out, a);
  check_operand("mul", out, b);
  with_type("mul", out.dtype, kNumbers + kBoolean + kComplex, [&]<class T>(std::type_identity<T>) {
    map_two<T, T>(out, a, b, [](T x, T y) { return product_of(x, y); });
  });
}

DType real_dtype(DType dtype) {
  if (dtype == DType::Complex64) return DType::Float32;
  return dtype == DType::Complex128 ? DType::Float64 : dtype;
}

void absolute(const TensorObject& out, const TensorObject& self) {
  check_host("abs", self);
  with_type("abs", self.dtype, kNumbers + kComplex, [&]<class T>(std::type_identity<T>) {
    if constexpr (kIsComplex<T>) {
      map_one<typename RealOf<T>::type, T>(out, self, [](T value) { return std::abs(value); });
    } else {
      map_one<T, T>(out, self, [](T value) { return magnitude_of(value); });
    }
  });
}

void angle(const TensorObject& out, const TensorObject& self) {
  check_host("angle", self);
  with_type("angle", self.dtype, kFloats + kComplex, [&]<class T>(std::type_identity<T>) {
    using Real = typename RealOf<T>::type;
    map_one<Real, T>(out, self, [](T value) -> Real {
      if constexpr (kIsComplex<T>) {
        return std::arg(value);
      } else {
        if (is_nan(value)) return value;
        return static_cast<Real>(value < T{0} ? std::numbers::pi : 0.0);
      }
    });
  });
}

void polar(const TensorObject& out, const TensorObject& magnitude, const TensorObject& angles) {
  check_host("polar", magnitude);
  check_host("polar", angles);
  if (magnitude.dtype != angles.dtype) {
    base::fail(ErrorCode::InvalidArgument, "polar of {} and {}", dtype_name(magnitude.dtype),
               dtype_name(angles.dtype));
  }
  with_type("polar", magnitude.dtype, Types<float, double>{}, [&]<class T>(std::type_identity<T>) {
    map_two<std::complex<T>, T>(out, magnitude, angles, [](T size, T turn) {
      return std::complex<T>(size * std::cos(turn), size * std::sin(turn));
    });
  });
}

}  // namespace penstock::cpu
