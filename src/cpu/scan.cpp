#include "cpu/scan.hpp"

#include "cpu/copy.hpp"
#include "cpu/element.hpp"
#include "cpu/strided.hpp"

#include <cmath>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// What a sum of Ts is kept in. Unsigned, where overflow wraps around.
template <class T>
struct Sum {
  using type = std::make_unsigned_t<T>;
};
template <>
struct Sum<float> {
  using type = double;
};
template <>
struct Sum<double> {
  using type = double;
};
template <>
struct Sum<Half> {
  using type = float;
};
template <>
struct Sum<BFloat16> {
  using type = float;
};
template <class T>
struct Sum<std::complex<T>> {
  using type = std::complex<double>;
};

/// Calls work(to, from, count, step_to, step_from) for each lane along `dim`; steps are in bytes.
template <class T, class Work>
void for_each_lane(const TensorObject& to, const TensorObject& from, std::size_t dim, Work&& work) {
  if (to.numel == 0) return;
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  const Lane to_lane = lane_of(to, dim);
  const Lane from_lane = lane_of(from, dim);
  for_each_element<2>(without_dim(to, dim), {to.strides(), from.strides()}, [&](const auto& place) {
    work(to.data + place[0] * kBytes, from.data + place[1] * kBytes, to_lane.size, to_lane.stride * kBytes,
         from_lane.stride * kBytes);
  });
}

template <class T, class Combine>
void scan(const TensorObject& out, const TensorObject& self, std::size_t dim, typename Sum<T>::type first,
          Combine&& combine) {
  using Accumulator = typename Sum<T>::type;
  for_each_lane<T>(out, self, dim,
                   [&](std::byte* to, const std::byte* from, std::int64_t count, std::int64_t to_step,
                       std::int64_t from_step) {
                     Accumulator sum = first;
                     for (std::int64_t i = 0; i < count; ++i) {
                       sum = combine(sum, static_cast<Accumulator>(load<T>(from + i * from_step)));
                       store(to + i * to_step, static_cast<T>(sum));
                     }
                   });
}

struct Operands {
  std::string_view name;
  const TensorObject& out;
  const TensorObject& self;
  std::int64_t dim;
};

/// Calls work(type, self in out's dtype, dim).
template <class Accepted, class Work>
void prepare_scan(const Operands& operands, Accepted types, Work&& work) {
  check_host(operands.name, operands.out);
  check_host(operands.name, operands.self);
  check_same_sizes(operands.name, operands.out, operands.self.sizes());
  const std::size_t dim = wrap_dim(operands.dim, operands.self.rank);
  with_type(operands.name, operands.out.dtype, types, [&](auto type) {
    const bool converts = operands.self.dtype != operands.out.dtype;
    if (converts) copy(operands.out, operands.self);
    work(type, converts ? operands.out : operands.self, dim);
  });
}

/// log(exp(a) + exp(b)) without overflow.
template <class T>
T add_exponents(T a, T b) {
  const T low = std::isnan(b) ? b : std::min(a, b);
  const T high = std::isnan(b) ? b : std::max(a, b);
  // Equal infinities, whose difference would be NaN.
  if (low == high && !std::isfinite(low)) return a;
  return std::log1p(std::exp(low - high)) + high;
}

template <class Better>
void find_extremes(std::string_view name, const Found& out, const TensorObject& self, std::int64_t dim,
                   Better&& better) {
  check_host(name, self);
  check_same_sizes(name, out.values, self.sizes());
  check_same_sizes(name, out.indices, self.sizes());
  const std::size_t along = wrap_dim(dim, self.rank);
  const std::int64_t index_step = lane_of(out.indices, along).stride;
  with_type(name, self.dtype, kNumbers + kBoolean, [&]<class T>(std::type_identity<T>) {
    Dims starts;
    for_each_element<1>(without_dim(out.indices, along), {out.indices.strides()},
                        [&](const auto& place) { starts.push_back(place[0]); });
    std::size_t lane = 0;
    for_each_lane<T>(out.values, self, along,
                     [&](std::byte* to, const std::byte* from, std::int64_t count, std::int64_t to_step,
                         std::int64_t from_step) {
                       auto* indices = reinterpret_cast<std::int64_t*>(out.indices.data) + starts[lane++];
                       T best = load<T>(from);
                       std::int64_t place = 0;
                       for (std::int64_t i = 0; i < count; ++i) {
                         const T value = load<T>(from + i * from_step);
                         if (is_nan(value) || (!is_nan(best) && better(plain(value), plain(best)))) {
                           best = value;
                           place = i;
                         }
                         store(to + i * to_step, best);
                         indices[i * index_step] = place;
                       }
                     });
  });
}

}  // namespace

void cumsum(const TensorObject& out, const TensorObject& self, std::int64_t dim) {
  prepare_scan({"cumsum", out, self, dim}, kNumbers + kComplex,
               [&]<class T>(std::type_identity<T>, const TensorObject& from, std::size_t along) {
                 scan<T>(out, from, along, {},
                         [](auto sum, auto value) { return static_cast<decltype(sum)>(sum + value); });
               });
}

void cumprod(const TensorObject& out, const TensorObject& self, std::int64_t dim) {
  prepare_scan({"cumprod", out, self, dim}, kNumbers + kComplex,
               [&]<class T>(std::type_identity<T>, const TensorObject& from, std::size_t along) {
                 // Narrow unsigned types would be promoted to int, where overflow is undefined.
                 scan<T>(out, from, along, 1, [](auto product, auto value) {
                   if constexpr (std::is_same_v<decltype(product), std::uint16_t>) {
                     return static_cast<std::uint16_t>(std::uint32_t{product} * value);
                   } else {
                     return static_cast<decltype(product)>(product * value);
                   }
                 });
               });
}

void logcumsumexp(const TensorObject& out, const TensorObject& self, std::int64_t dim) {
  prepare_scan({"logcumsumexp", out, self, dim}, kFloats,
               [&]<class T>(std::type_identity<T>, const TensorObject& from, std::size_t along) {
                 using Accumulator = typename Sum<T>::type;
                 scan<T>(out, from, along, -std::numeric_limits<Accumulator>::infinity(),
                         [](Accumulator sum, Accumulator value) { return add_exponents(value, sum); });
               });
}

void cummax(Found out, const TensorObject& self, std::int64_t dim) {
  find_extremes("cummax", out, self, dim, [](auto value, auto best) { return value >= best; });
}

void cummin(Found out, const TensorObject& self, std::int64_t dim) {
  find_extremes("cummin", out, self, dim, [](auto value, auto best) { return value <= best; });
}

}  // namespace penstock::cpu
