#include "cpu/scan.hpp"

#include "cpu/copy.hpp"
#include "cpu/element.hpp"
#include "cpu/strided.hpp"

#include <array>
#include <cmath>
#include <span>

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

/// Lanes side by side: where they begin, how far apart they are, and how far their elements; in elements.
struct Lanes {
  std::byte* to;
  const std::byte* from;
  std::int64_t to_apart, from_apart;
  std::int64_t to_step, from_step;
};

template <class T, class Combine>
void scan_lane(const Lanes& lane, std::int64_t size, typename Sum<T>::type sum, Combine&& combine) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t i = 0; i < size; ++i) {
    const T value = load<T>(lane.from + i * lane.from_step * kBytes);
    sum = combine(sum, static_cast<typename Sum<T>::type>(value));
    store(lane.to + i * lane.to_step * kBytes, static_cast<T>(sum));
  }
}

/// Scans as many lanes as there are `sums`, which hold the first value: element after element of all of them.
template <class T, class Combine>
void scan_lanes(const Lanes& lanes, std::int64_t size, std::span<typename Sum<T>::type> sums,
                Combine&& combine) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  const auto count = static_cast<std::int64_t>(sums.size());
  const bool are_dense = lanes.to_apart == 1 && lanes.from_apart == 1;
  for (std::int64_t i = 0; i < size; ++i) {
    std::byte* const to = lanes.to + i * lanes.to_step * kBytes;
    const std::byte* const from = lanes.from + i * lanes.from_step * kBytes;
    const auto step = [&](std::int64_t lane, std::int64_t to_apart, std::int64_t from_apart) {
      auto& sum = sums[static_cast<std::size_t>(lane)];
      const T value = load<T>(from + lane * from_apart * kBytes);
      sum = combine(sum, static_cast<typename Sum<T>::type>(value));
      store(to + lane * to_apart * kBytes, static_cast<T>(sum));
    };
    if (are_dense) {
      // Distances that the compiler knows, so that it can work on several lanes at once.
      for (std::int64_t lane = 0; lane < count; ++lane) step(lane, 1, 1);
    } else {
      for (std::int64_t lane = 0; lane < count; ++lane) step(lane, lanes.to_apart, lanes.from_apart);
    }
  }
}

template <class T, class Combine>
void scan(const TensorObject& out, const TensorObject& self, std::size_t dim, typename Sum<T>::type first,
          Combine&& combine) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  if (out.numel == 0) return;
  const Lane to = lane_of(out, dim);
  const Lane from = lane_of(self, dim);
  // As many sums as stay close to the processor.
  std::array<typename Sum<T>::type, 512> sums;
  for_each_row<2>(without_dim(out, dim), {out.strides(), self.strides()}, [&](const Row<2>& row) {
    // Memory is walked in order: along a lane, or from lane to lane where these are closer together.
    const bool is_outer = row.count > 1 && row.step[1] < from.stride;
    const std::int64_t most = is_outer ? static_cast<std::int64_t>(sums.size()) : 1;
    for (std::int64_t done = 0; done < row.count; done += most) {
      const Lanes lanes{out.data + (row.start[0] + done * row.step[0]) * kBytes,
                        self.data + (row.start[1] + done * row.step[1]) * kBytes,
                        row.step[0],
                        row.step[1],
                        to.stride,
                        from.stride};
      if (is_outer) {
        const auto count = static_cast<std::size_t>(std::min(most, row.count - done));
        std::fill_n(sums.begin(), count, first);
        scan_lanes<T>(lanes, to.size, std::span(sums).first(count), combine);
      } else {
        scan_lane<T>(lanes, to.size, first, combine);
      }
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
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
    if (self.numel == 0) return;
    const Lane from = lane_of(self, along);
    const Lane to = lane_of(out.values, along);
    for_each_element<3>(without_dim(self, along),
                        {self.strides(), out.values.strides(), out.indices.strides()},
                        [&](const auto& start) {
                          auto* const indices = reinterpret_cast<std::int64_t*>(out.indices.data) + start[2];
                          T best = load<T>(self.data + start[0] * kBytes);
                          std::int64_t place = 0;
                          for (std::int64_t i = 0; i < from.size; ++i) {
                            const T value = load<T>(self.data + (start[0] + i * from.stride) * kBytes);
                            if (is_nan(value) || (!is_nan(best) && better(plain(value), plain(best)))) {
                              best = value;
                              place = i;
                            }
                            store(out.values.data + (start[1] + i * to.stride) * kBytes, best);
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
