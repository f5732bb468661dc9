// Running sums, products and extremes along a dimension. Long rows are cut into tiles: their totals first, then
// what goes before each, then the tiles themselves.

#include "block.cuh"
#include "element.cuh"

#include <math.h>

using namespace penstock::kernels;

namespace {

// What is combined: how an element becomes a value, and a value a result. Combine takes the earlier one first.

struct IntegerValues {
  using Value = unsigned long long;
  static __device__ Value load(const Scan& scan, std::int64_t place, std::int64_t) {
    return static_cast<Value>(load_integer(scan.self_dtype, scan.self, place));
  }
  static __device__ void store(const Scan& scan, const std::int64_t (&place)[3], Value value) {
    store_integer(scan.out_dtype, scan.out, place[1], static_cast<std::int64_t>(value));
  }
};

/// float32 and 16-bit floats are combined as doubles, and rounded where they are stored.
struct RealValues {
  using Value = double;
  static __device__ Value load(const Scan& scan, std::int64_t place, std::int64_t) {
    return load_real(scan.self_dtype, scan.self, place);
  }
  static __device__ void store(const Scan& scan, const std::int64_t (&place)[3], Value value) {
    store_number(scan.out_dtype, scan.out, place[1], number_of(value));
  }
};

struct ComplexValue {
  double real;
  double imaginary;
};

struct ComplexValues {
  using Value = ComplexValue;
  static __device__ Value load(const Scan& scan, std::int64_t place, std::int64_t) {
    return {load_real(scan.self_dtype, scan.self, place), load_imaginary(scan.self_dtype, scan.self, place)};
  }
  static __device__ void store(const Scan& scan, const std::int64_t (&place)[3], const Value& value) {
    store_number(scan.out_dtype, scan.out, place[1], {Number::Complex, 0, value.real, value.imaginary});
  }
};

/// Sums or products.
template <class Base>
struct Accumulate : Base {
  using typename Base::Value;
  static __device__ Value identity(const Scan& scan) { return Value(scan.is_product); }
  static __device__ Value combine(const Scan& scan, Value a, Value b) { return scan.is_product != 0 ? a * b : a + b; }
};

struct AccumulateComplex : ComplexValues {
  static __device__ Value identity(const Scan& scan) { return {static_cast<double>(scan.is_product), 0}; }
  static __device__ Value combine(const Scan& scan, const Value& a, const Value& b) {
    if (scan.is_product == 0) return {a.real + b.real, a.imaginary + b.imaginary};
    return {a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real};
  }
};

/// log(exp(a) + exp(b)) without overflow.
struct LogSum : RealValues {
  static __device__ Value identity(const Scan&) { return -HUGE_VAL; }
  static __device__ Value combine(const Scan&, Value a, Value b) {
    if (a != a) return a;
    if (b != b) return b;
    const double low = a < b ? a : b;
    const double high = a < b ? b : a;
    // Equal infinities, whose difference would be NaN.
    if (low == high && isinf(low)) return low;
    return log1p(exp(low - high)) + high;
  }
};

template <class T>
struct Extreme {
  T value;
  std::int64_t index;  ///< Below 0: no element.
};

/// The last of the largest or smallest elements; NaN is beyond all.
template <class T>
struct Extremes {
  using Value = Extreme<T>;
  static __device__ Value identity(const Scan&) { return {T{}, -1}; }
  static __device__ Value load(const Scan& scan, std::int64_t place, std::int64_t index) {
    if constexpr (static_cast<T>(0.5) != 0) {
      return {load_real(scan.self_dtype, scan.self, place), index};
    } else {
      return {load_integer(scan.self_dtype, scan.self, place), index};
    }
  }
  static __device__ Value combine(const Scan& scan, const Value& a, const Value& b) {
    if (b.index < 0) return a;
    if (a.index < 0 || b.value != b.value) return b;
    const bool is_beyond = scan.smallest != 0 ? b.value <= a.value : b.value >= a.value;
    return a.value == a.value && is_beyond ? b : a;
  }
  /// The element as it is in memory: a NaN keeps its bits.
  static __device__ void store(const Scan& scan, const std::int64_t (&place)[3], const Value& value) {
    const std::int64_t from = place[0] + value.index * scan.rows.step[0];
    move_element(bytes_of(scan.self_dtype), scan.out, place[1], scan.self, from);
    scan.indices[place[2]] = value.index;
  }
};

/// Stores take where the row begins in self: an extreme may be anywhere in it.
__device__ void result_place(const Scan& scan, const std::int64_t (&start)[3], std::int64_t i, std::int64_t (&place)[3]) {
  place[0] = start[0];
  place[1] = start[1] + i * scan.rows.step[1];
  place[2] = start[2] + i * scan.rows.step[2];
}

/// Combines a tile's elements with what goes before them; gives that and the tile together. `storage` is the
/// block's.
template <class Op, class Storage>
__device__ typename Op::Value scan_tile(const Scan& scan, Storage& storage, std::int64_t row, std::int64_t tile,
                                        typename Op::Value carry) {
  using Value = typename Op::Value;
  const auto combine = [&scan](const Value& a, const Value& b) { return Op::combine(scan, a, b); };
  const std::int64_t first = tile * kScanTile + static_cast<std::int64_t>(threadIdx.x) * kScanItems;
  std::int64_t start[3];
  find_places(scan.rows.starts, row, start);
  Value items[kScanItems];
  Value sum = Op::identity(scan);
  for (int i = 0; i < kScanItems; ++i) {
    items[i] = first + i < scan.rows.length ? Op::load(scan, start[0] + (first + i) * scan.rows.step[0], first + i)
                                            : Op::identity(scan);
    sum = combine(sum, items[i]);
  }
  Value total = Op::identity(scan);
  Value before = BlockScan<Value, kScanThreads>::before(storage, sum, Op::identity(scan), combine, total);
  if (scan.phase == ScanPhase::Totals) return total;
  before = combine(carry, before);
  for (int i = 0; i < kScanItems; ++i) {
    if (first + i >= scan.rows.length) break;
    before = combine(before, items[i]);
    std::int64_t place[3];
    result_place(scan, start, first + i, place);
    Op::store(scan, place, before);
  }
  return combine(carry, total);
}

/// Makes of the totals of a row's tiles what goes before each.
template <class Op, class Storage>
__device__ void carry_totals(const Scan& scan, Storage& storage, std::int64_t row) {
  using Value = typename Op::Value;
  const auto combine = [&scan](const Value& a, const Value& b) { return Op::combine(scan, a, b); };
  Value* const totals = static_cast<Value*>(scan.totals) + row * scan.tiles;
  Value carry = Op::identity(scan);
  for (std::int64_t begin = 0; begin < scan.tiles; begin += kScanThreads) {
    const std::int64_t at = begin + threadIdx.x;
    Value total = Op::identity(scan);
    const Value value = at < scan.tiles ? totals[at] : Op::identity(scan);
    const Value before = BlockScan<Value, kScanThreads>::before(storage, value, Op::identity(scan), combine, total);
    if (at < scan.tiles) totals[at] = combine(carry, before);
    carry = combine(carry, total);
    __syncthreads();
  }
}

template <class Op>
__device__ void scan_rows(const Scan& scan) {
  using Value = typename Op::Value;
  __shared__ typename BlockScan<Value, kScanThreads>::Storage storage;
  const bool by_row = scan.phase == ScanPhase::Whole || scan.phase == ScanPhase::Carry;
  const std::int64_t blocks = scan.rows.starts.count * (by_row ? 1 : scan.tiles);
  Value* const totals = static_cast<Value*>(scan.totals);
  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    if (scan.phase == ScanPhase::Carry) {
      carry_totals<Op>(scan, storage, block);
      continue;
    }
    const std::int64_t row = by_row ? block : block / scan.tiles;
    const std::int64_t first = by_row ? 0 : block % scan.tiles;
    const std::int64_t last = by_row ? scan.tiles : first + 1;
    Value carry = scan.phase == ScanPhase::Apply ? totals[block] : Op::identity(scan);
    for (std::int64_t tile = first; tile < last; ++tile) {
      carry = scan_tile<Op>(scan, storage, row, tile, carry);
      __syncthreads();
    }
    if (scan.phase == ScanPhase::Totals && threadIdx.x == 0) totals[block] = carry;
  }
}

/// One thread a row: where there are many, and neighbors in memory belong to neighboring rows or rows are short.
template <class Op>
__device__ void scan_serially(const Scan& scan) {
  for_each_index(scan.rows.starts.count, [&](std::int64_t row) {
    std::int64_t start[3];
    find_places(scan.rows.starts, row, start);
    typename Op::Value carry = Op::identity(scan);
    for (std::int64_t i = 0; i < scan.rows.length; ++i) {
      carry = Op::combine(scan, carry, Op::load(scan, start[0] + i * scan.rows.step[0], i));
      std::int64_t place[3];
      result_place(scan, start, i, place);
      Op::store(scan, place, carry);
    }
  });
}

}  // namespace

#define PENSTOCK_SCAN(name, ...)                                                          \
  PENSTOCK_KERNEL(penstock_scan_##name, Scan scan) { scan_rows<__VA_ARGS__>(scan); }      \
  PENSTOCK_KERNEL(penstock_scan_serially_##name, Scan scan) { scan_serially<__VA_ARGS__>(scan); }

PENSTOCK_SCAN(integer, Accumulate<IntegerValues>)
PENSTOCK_SCAN(real, Accumulate<RealValues>)
PENSTOCK_SCAN(complex, AccumulateComplex)
PENSTOCK_SCAN(log_sum, LogSum)
PENSTOCK_SCAN(integer_extreme, Extremes<std::int64_t>)
PENSTOCK_SCAN(real_extreme, Extremes<double>)
