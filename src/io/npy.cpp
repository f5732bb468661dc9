#include "io/npy.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "io/tensor_file.hpp"
#include "tensor/layout.hpp"

#include <fmt/format.h>

#include <array>

namespace penstock::io {
namespace {

// A header of the dtypes that are read here is about 130 bytes at most; a longer one is padding or a lie.
constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 20;
constexpr std::size_t kPreambleAlignment = 64;

struct DescrRow {
  DType dtype;
  std::string_view kind_and_size;
};
constexpr std::array kDescrs{
    DescrRow{DType::Bool, "b1"},      DescrRow{DType::UInt8, "u1"},       DescrRow{DType::UInt16, "u2"},
    DescrRow{DType::UInt32, "u4"},    DescrRow{DType::UInt64, "u8"},      DescrRow{DType::Int8, "i1"},
    DescrRow{DType::Int16, "i2"},     DescrRow{DType::Int32, "i4"},       DescrRow{DType::Int64, "i8"},
    DescrRow{DType::Float16, "f2"},   DescrRow{DType::Float32, "f4"},     DescrRow{DType::Float64, "f8"},
    DescrRow{DType::Complex64, "c8"}, DescrRow{DType::Complex128, "c16"},
};

[[noreturn]] void fail_dtype(std::string_view descr, const std::string& where) {
  const std::string_view kind = descr.substr(1);  // Behind the byte order.
  if (kind.starts_with('O')) {
    base::fail(ErrorCode::Unsupported,
               "{}: is an array of Python objects, which would have to be unpickled; save numbers", where);
  }
  if (kind == "V2" || kind == "V1") {
    base::fail(
        ErrorCode::Unsupported,
        "{}: dtype \"{}\" is not one of NumPy's own; bfloat16 and 8-bit floats go in a .safetensors file",
        where, descr);
  }
  base::fail(
      ErrorCode::Unsupported,
      "{}: dtype \"{}\" is not supported; save booleans, integers, float16, float32, float64, complex64 or "
      "complex128",
      where, descr);
}

DType dtype_of_descr(std::string_view descr, const std::string& where) {
  const char order = descr.empty() ? '\0' : descr.front();
  if (std::string_view("<>|=").find(order) == std::string_view::npos || descr.size() < 2) {
    base::fail(ErrorCode::Corrupt, "{}: the header's descr \"{}\" is no dtype", where, descr);
  }
  const std::string_view kind_and_size = descr.substr(1);
  for (const DescrRow& row : kDescrs) {
    if (row.kind_and_size != kind_and_size) continue;
    if (order == '>' && element_bytes(row.dtype) > 1) {
      base::fail(ErrorCode::Unsupported,
                 "{}: dtype \"{}\" is big-endian; save it as little-endian: array.astype(\"<{}\")", where,
                 descr, kind_and_size);
    }
    return row.dtype;
  }
  fail_dtype(descr, where);
}

/// Reads the part of Python's literals that NumPy writes in a header: one dict of strings to a string,
/// a boolean and a tuple of integers.
class DictParser {
 public:
  DictParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      value(key);
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blank();
    if (position_ != text_.size()) fail("has text after the closing brace");
    if (!has_descr_ || !has_order_ || !has_shape_) fail("lacks descr, fortran_order or shape");
    return std::move(header_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    base::fail(ErrorCode::Corrupt, "{}: the array's header {} (at byte {} of {})", where_, what, position_,
               text_.size());
  }

  void skip_blank() {
    while (position_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos)
      ++position_;
  }

  bool accept(char c) {
    skip_blank();
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(fmt::format("has no '{}' where one must be", c));
  }

  bool accept_word(std::string_view word) {
    skip_blank();
    if (!text_.substr(position_).starts_with(word)) return false;
    position_ += word.size();
    return true;
  }

  std::string_view string() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = text_.find(quote, position_);
    if (end == std::string_view::npos) fail("has a string without an end");
    const std::string_view result = text_.substr(position_, end - position_);
    if (result.find('\\') != std::string_view::npos) fail("has an escape in a string");
    position_ = end + 1;
    return result;
  }

  std::int64_t integer() {
    skip_blank();
    std::optional<std::int64_t> result = 0;
    const std::size_t begin = position_;
    for (; position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9'; ++position_) {
      result = base::checked_mul<std::int64_t>(*result, 10);
      if (result) result = base::checked_add<std::int64_t>(*result, text_[position_] - '0');
      if (!result) fail("has a size that does not fit in 63 bits");
    }
    if (position_ == begin) fail("has no size where one must be (sizes are whole numbers from 0 on)");
    // Python 2 marked long integers.
    if (position_ < text_.size() && text_[position_] == 'L') ++position_;
    return *result;
  }

  void shape() {
    expect('(');
    while (!accept(')')) {
      header_.sizes.push_back(integer());
      if (header_.sizes.size() > kMaxRank) {
        base::fail(ErrorCode::Unsupported, "{}: has more than {} dimensions", where_, kMaxRank);
      }
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  void value(std::string_view key) {
    if (key == "descr") {
      if (std::exchange(has_descr_, true)) fail("says descr twice");
      if (accept('[') || accept('(')) {
        base::fail(ErrorCode::Unsupported,
                   "{}: is a structured array; save each of its fields as an array of its own", where_);
      }
      header_.dtype = dtype_of_descr(string(), where_);
    } else if (key == "fortran_order") {
      if (std::exchange(has_order_, true)) fail("says fortran_order twice");
      header_.fortran_order = accept_word("True");
      if (!header_.fortran_order && !accept_word("False"))
        fail("has a fortran_order that is not True or False");
    } else if (key == "shape") {
      if (std::exchange(has_shape_, true)) fail("says shape twice");
      shape();
    } else {
      fail("has a key other than descr, fortran_order and shape");
    }
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t position_ = 0;
  NpyHeader header_;
  bool has_descr_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

/// Reads what stands before the data. Gives the header and how many bytes it took.
std::pair<NpyHeader, std::uint64_t> read_preamble(const ReadNext& read_next, std::uint64_t bytes,
                                                  const std::string& where) {
  std::array<unsigned char, 12> start{};
  const auto cut_short = [&] {
    base::fail(ErrorCode::Corrupt, "{}: is cut short in the array's header", where);
  };
  if (bytes < 10) cut_short();
  read_next(std::as_writable_bytes(std::span(start).first(10)));
  if (std::string_view(reinterpret_cast<const char*>(start.data()), kNpyMagic.size()) != kNpyMagic) {
    base::fail(ErrorCode::Corrupt, "{}: is no NumPy array: it does not begin with \\x93NUMPY", where);
  }
  const unsigned major = start[6];
  if (major < 1 || major > 3 || start[7] != 0) {
    base::fail(ErrorCode::Unsupported, "{}: is of NumPy format version {}.{}; 1.0, 2.0 and 3.0 are supported",
               where, major, start[7]);
  }
  std::uint64_t preamble = 10;
  std::uint64_t length = start[8] | static_cast<std::uint64_t>(start[9]) << 8;
  if (major > 1) {
    preamble = 12;
    if (bytes < preamble) cut_short();
    read_next(std::as_writable_bytes(std::span(start).subspan(10, 2)));
    length |= static_cast<std::uint64_t>(start[10]) << 16 | static_cast<std::uint64_t>(start[11]) << 24;
  }
  if (!base::fits(preamble, length, bytes)) cut_short();
  if (length > kMaxHeaderBytes) {
    base::fail(ErrorCode::Corrupt, "{}: the array's header is {} bytes long; at most {} are accepted", where,
               length, kMaxHeaderBytes);
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  read_next(std::as_writable_bytes(std::span(text)));
  return {parse_npy_header(text, where), preamble + length};
}

Tensor row_major_from_fortran(const Tensor& source, std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, kMaxRank> strides{};
  std::int64_t step = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    strides[i] = step;
    step *= sizes[i];
  }
  Tensor result = Tensor::empty(source.dtype(), sizes);
  tensor::copy_strided(result.view().data(), result.strides(), source.view().data(),
                       std::span(strides).first(sizes.size()), sizes, element_bytes(source.dtype()));
  return result;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& where) {
  return DictParser(text, where).parse();
}

Tensor read_npy(const ReadNext& read_next, std::uint64_t bytes, const std::string& where) {
  const auto [header, preamble] = read_preamble(read_next, bytes, where);
  const std::uint64_t expected = tensor_bytes(header.dtype, header.sizes, where);
  const std::uint64_t present = bytes - preamble;
  if (expected != present) {
    base::fail(ErrorCode::Corrupt, "{}: {}{} needs {} bytes, but {} follow the header; {}", where,
               dtype_name(header.dtype), tensor::sizes_text(header.sizes), expected, present,
               present < expected ? "the file is cut short" : "a file holds one array");
  }
  Tensor result = Tensor::empty(header.dtype, header.sizes);
  read_next({static_cast<std::byte*>(result.view().data()), static_cast<std::size_t>(expected)});
  normalize_booleans(result);
  if (header.fortran_order && header.sizes.size() > 1 && result.numel() > 1) {
    return row_major_from_fortran(result, header.sizes);
  }
  return result;
}

std::string npy_preamble(const TensorView& view, const std::string& where) {
  std::string_view kind_and_size;
  for (const DescrRow& row : kDescrs) {
    if (row.dtype == view.dtype()) kind_and_size = row.kind_and_size;
  }
  if (kind_and_size.empty()) {
    base::fail(ErrorCode::InvalidArgument, "{}: NumPy has no {}; write a .safetensors file instead", where,
               dtype_name(view.dtype()));
  }
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': (",
                                   element_bytes(view.dtype()) == 1 ? '|' : '<', kind_and_size);
  for (std::size_t i = 0; i < view.rank(); ++i) {
    fmt::format_to(std::back_inserter(header), "{}{}", i == 0 ? "" : ", ", view.sizes()[i]);
  }
  header += view.rank() == 1 ? ",), }" : "), }";

  constexpr std::size_t kFixedBytes = 10;
  const std::size_t unpadded = kFixedBytes + header.size() + 1;
  header.append((kPreambleAlignment - unpadded % kPreambleAlignment) % kPreambleAlignment, ' ');
  header += '\n';
  std::string result(kNpyMagic);
  result += {'\x01', '\x00', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return result + header;
}

}  // namespace penstock::io
