#pragma once

#include <array>
#include <cstdint>

// What kernels of src/cuda_ops/kernels are launched with: read by the code that launches them and, compiled
// by another compiler, by the kernels. Plain numbers in arrays of fixed size; as C++17 has them.
namespace penstock::kernels {

/// Dimensions that a kernel has room for, after those were joined that lie one in the other.
inline constexpr int kMostDims = 16;

/// A dtype by its number in penstock::DType.
enum class Element : int {
  UInt8 = 0,
  Int8 = 1,
  Int16 = 2,
  Int32 = 3,
  Int64 = 4,
  Float16 = 5,
  Float32 = 6,
  Float64 = 7,
  Complex64 = 9,
  Complex128 = 10,
  Bool = 11,
  BFloat16 = 15,
  UInt16 = 27,
  UInt32 = 28,
  UInt64 = 29,
};

using Dims = std::array<std::int64_t, kMostDims>;

/// Elements of some tensors of the same sizes, from the outermost dimension on; strides in elements.
template <int kTensors>
struct Walk {
  int rank;
  std::int64_t count;  ///< Of elements.
  Dims size;
  std::array<Dims, kTensors> stride;
};

/// The rows of some tensors along one dimension: where each begins, and how its elements follow.
template <int kTensors>
struct Rows {
  Walk<kTensors> starts;
  std::array<std::int64_t, kTensors> step;
  std::int64_t length;
};

/// A number that is stored as any dtype. `real` is that of `integer` where both are given.
struct FillValue {
  double real;
  std::int64_t integer;
  int is_integer;
};

/// Two dimensions that are copied in tiles, since each tensor has another one innermost, and those around.
struct Transpose {
  Walk<2> around;
  std::int64_t rows;  ///< Dimension in which the source has stride 1.
  std::int64_t columns;
  std::int64_t to_row;  ///< Stride of the target in `rows`; in `columns` it has 1.
  std::int64_t from_column;
};
inline constexpr int kTransposeTile = 32;
inline constexpr int kTransposeThreads = 256;

// Arithmetic.

enum class Arithmetic : int { Sum, Product, Magnitude, Angle, Polar };

/// Sum: a + factor * b. Polar: of the magnitudes a and the angles b. The others are of a alone. Tensors: out,
/// a, b.
struct Calculation {
  void* out;
  const void* a;
  const void* b;
  Element out_dtype;
  Element dtype;
  Arithmetic kind;
  FillValue factor;
  Walk<3> walk;
};

// Sorting.

/// Elements that one block sorts.
inline constexpr int kSmallSortThreads = 64;
inline constexpr int kSmallSortItems = 4;
inline constexpr int kSmallSortTile = kSmallSortThreads * kSmallSortItems;
inline constexpr int kSortThreads = 256;
inline constexpr int kSortItems = 8;
inline constexpr int kSortTile = kSortThreads * kSortItems;
inline constexpr int kRadixBits = 8;
inline constexpr int kRadixDigits = 1 << kRadixBits;

/// Rows that are sorted. Tensors: self, values, indices.
struct SortRows {
  const void* self;
  void* values;
  std::int64_t* indices;
  Element dtype;
  int key_bits;
  int descending;
  Rows<3> rows;
};

/// One tile of each row is sorted in a block, and the elements from `first` on, `kept` of them, are written:
/// as the results, or, where there are `kept_keys`, to be sorted again with those of the other tiles.
struct SortTiles {
  SortRows of;
  const void* keys;             ///< Those kept of an earlier round, with their places; null: self's.
  const std::uint32_t* places;  ///< Row after row.
  void* kept_keys;
  std::uint32_t* kept_places;
  std::int64_t length;       ///< Of a row of keys.
  std::int64_t tiles;        ///< Of a row.
  std::int64_t kept_of_row;  ///< Elements that all tiles of a row keep.
  std::int64_t first;
  std::int64_t kept;
};

/// One pass over keys of long rows: [rows, length] each. Counts: [rows, kRadixDigits, tiles].
struct RadixPass {
  const void* keys;
  const std::uint32_t* places;  ///< Null: in order.
  void* next_keys;
  std::uint32_t* next_places;
  std::uint32_t* counts;
  std::int64_t rows;
  std::int64_t length;
  std::int64_t tiles;
  int first_bit;
  int bits;
};

/// The middle of sorted elements.
struct Median {
  const void* self;
  void* out;
  const void* keys;
  const std::uint32_t* places;
  Element dtype;
  int skips_nan;
  std::int64_t count;  ///< Of self's elements, which lie one after the other.
};

// Scans.

inline constexpr int kScanThreads = 256;
inline constexpr int kScanItems = 4;
inline constexpr int kScanTile = kScanThreads * kScanItems;

/// What a launch of a scan does with its tiles.
enum class ScanPhase : int {
  Whole,   ///< A block does a row, tile after tile.
  Totals,  ///< A block combines one tile into `totals`.
  Carry,   ///< A block makes of a row's totals what goes before each tile.
  Apply,   ///< A block does one tile, beginning with what goes before it.
};

/// Tensors: self, out, indices.
struct Scan {
  const void* self;
  void* out;
  std::int64_t* indices;
  void* totals;
  Element self_dtype;
  Element out_dtype;
  ScanPhase phase;
  int smallest;    ///< Of extremes.
  int is_product;  ///< Not a sum.
  std::int64_t tiles;
  Rows<3> rows;
};

// Elements that are picked.

inline constexpr int kPickThreads = 256;
inline constexpr int kPickItems = 8;
inline constexpr int kPickTile = kPickThreads * kPickItems;

/// Which elements are picked: those of `flags` that are not 0, in row-major order.
struct Picked {
  const void* flags;
  Element dtype;
  Walk<1> walk;
};

/// One row of `out`, [rows, rank], for each picked element.
struct PlacesOfPicked {
  Picked picked;
  const std::int64_t* before;  ///< Elements picked in the tiles before each.
  std::int64_t* out;
  std::int64_t row_stride;
  std::int64_t column_stride;
  std::int64_t rows;
  int rank;
  Dims size;  ///< Of the flags, as the caller knows them.
};

/// Picked elements move between a tensor that is walked with the flags and one that is walked alone.
struct MovePicked {
  Picked picked;
  const std::int64_t* before;
  void* to;
  const void* from;
  int element_bytes;
  Walk<1> walked;  ///< The tensor beside the flags.
  Walk<1> packed;  ///< The other one: as many elements as were picked, or the source of masked_scatter.
};

// Indices.

inline constexpr int kMostIndices = 8;

/// Places along one dimension of self.
struct IndexColumn {
  const void* places;
  int is_wide;          ///< int64, not int32.
  std::int64_t size;    ///< Of self's dimension.
  std::int64_t stride;  ///< The same.
  Dims strides;         ///< Of the places, over the walk.
};

/// Elements of a tensor and those of self that the columns name. Walk: other tensor, self.
struct Indexed {
  void* self;
  void* other;
  Element dtype;
  int columns;
  std::array<IndexColumn, kMostIndices> column;
  Walk<2> walk;
};

enum class Reduce : int { Assign, Sum, Product, Maximum, Minimum, Identity, Count };

/// Walk: self without the dimension, index, source.
struct Scatter {
  void* self;
  const void* index;
  const void* source;  ///< Null: the value.
  std::int32_t* counts;
  Element self_dtype;
  Element source_dtype;
  int index_is_wide;
  Reduce reduce;
  Reduce identity_of;
  FillValue value;
  std::int64_t size;
  std::int64_t stride;
  Walk<3> walk;
};

/// Divides sums by how many elements are in them. Walk: self.
struct DivideByCount {
  void* self;
  const std::int32_t* counts;
  Element dtype;
  int counts_self;
  Walk<1> walk;
};

// Windows.

/// Tensors as [batch, channels, depth, height, width].
struct Pool {
  const void* self;
  void* out;
  std::int64_t* indices;
  Element dtype;
  int is_adaptive;
  int counts_padding;
  std::int64_t divisor;      ///< 0: the number of elements.
  std::int64_t count;        ///< Of results.
  std::array<int, 5> order;  ///< Of the results' dimensions, the innermost last.
  std::array<std::int64_t, 5> size;
  std::array<std::int64_t, 5> stride;
  std::array<std::int64_t, 5> out_size;
  std::array<std::int64_t, 5> out_stride;
  std::array<std::int64_t, 3> kernel;
  std::array<std::int64_t, 3> step;
  std::array<std::int64_t, 3> padding;
  std::array<std::int64_t, 3> dilation;
};

enum class PadKind : int { Constant, Reflect, Replicate, Circular };

/// Walk: out alone; the other dimensions' numbers are self's.
struct Pad {
  const void* self;
  void* out;
  Element dtype;
  int element_bytes;
  PadKind kind;
  FillValue value;
  Walk<1> walk;
  Dims size;
  Dims stride;
  Dims before;
  Dims after;
};

/// Places of values in sorted sequences. Walk: values, out, and the sequences' and sorters' beginnings.
struct Search {
  const void* sequence;
  const void* values;
  const std::int64_t* sorter;
  void* out;
  Element sequence_dtype;
  Element value_dtype;
  int is_right;
  int out_is_wide;
  std::int64_t length;
  std::int64_t step;
  std::int64_t sorter_step;
  Walk<4> walk;
};

/// out[i] = how many of `ends` are not above i.
struct RepeatInterleave {
  const std::int64_t* ends;
  void* out;
  int is_wide;
  std::int64_t length;
  std::int64_t count;
};

struct EmbeddingBag {
  const void* weight;
  const void* indices;
  const void* offsets;
  const void* factors;
  void* out;
  void* offset2bag;
  void* bag_size;
  void* max_indices;
  int indices_are_wide;
  int offsets_are_wide;
  int results_are_wide;
  int mode;  ///< As penstock::cpu::BagMode.
  std::int64_t rows;
  std::int64_t features;
  std::int64_t row_stride;
  std::int64_t feature_stride;
  std::int64_t index_stride;
  std::int64_t offset_stride;
  std::int64_t factor_stride;
  std::int64_t index_count;
  std::int64_t offset_count;
  std::int64_t bags;
  std::int64_t padding_idx;
};

enum class RandomKind : int { Integer, Uniform, Normal };

/// Random numbers by their place in a sequence: the same seed and offset give the same ones.
struct Random {
  void* out;
  Element dtype;
  RandomKind kind;
  std::uint64_t seed;
  std::uint64_t offset;
  std::uint64_t range;  ///< Of integers: how many there are; 0: 2^64.
  std::int64_t low;
  double from;  ///< Of uniform numbers; of normal ones the mean.
  double to;    ///< The same; the standard deviation.
  Walk<1> walk;
};

}  // namespace penstock::kernels
