#include "base/checked.hpp"
#include "base/fail.hpp"
#include "io/atomic_file.hpp"
#include "io/tensor_file.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

// The safetensors format: 8 bytes of length, a JSON header, the tensors' bytes without gaps (source: the
// README of the safetensors project, which also sets the limit of the header's length).
namespace penstock::io {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kHeaderAlignment = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

struct DTypeRow {
  DType dtype;
  std::string_view name;
};
constexpr std::array kDTypes{
    DTypeRow{DType::Float64, "F64"},
    DTypeRow{DType::Float32, "F32"},
    DTypeRow{DType::Float16, "F16"},
    DTypeRow{DType::BFloat16, "BF16"},
    DTypeRow{DType::Int64, "I64"},
    DTypeRow{DType::Int32, "I32"},
    DTypeRow{DType::Int16, "I16"},
    DTypeRow{DType::Int8, "I8"},
    DTypeRow{DType::UInt64, "U64"},
    DTypeRow{DType::UInt32, "U32"},
    DTypeRow{DType::UInt16, "U16"},
    DTypeRow{DType::UInt8, "U8"},
    DTypeRow{DType::Bool, "BOOL"},
    DTypeRow{DType::Complex64, "C64"},
    DTypeRow{DType::Float8E4M3FN, "F8_E4M3"},
    DTypeRow{DType::Float8E5M2, "F8_E5M2"},
    DTypeRow{DType::Float8E4M3FNUZ, "F8_E4M3FNUZ"},
    DTypeRow{DType::Float8E5M2FNUZ, "F8_E5M2FNUZ"},
    DTypeRow{DType::Float8E8M0FNU, "F8_E8M0"},
};

/// What the header says of one tensor.
struct Entry {
  std::string name;
  std::optional<DType> dtype;
  std::optional<std::vector<std::int64_t>> sizes;
  std::optional<std::vector<std::int64_t>> offsets;  ///< Begin and end, behind the header.
};

/// Takes the header as it is parsed: nothing is built that is not an entry, whatever the file holds.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::string& file, std::vector<Entry>& entries) : file_(file), entries_(entries) {}

  bool start_object(std::size_t) override {
    ++depth_;
    if (depth_ > 2 || list_ != nullptr ||
        (depth_ == 2 && state_ != State::Tensor && state_ != State::Metadata)) {
      fail_header("has an object where none can be");
    }
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && state_ == State::Tensor) {
      const Entry& entry = entries_.back();
      if (!entry.dtype || !entry.sizes || !entry.offsets) fail_entry("lacks dtype, shape or data_offsets");
    }
    --depth_;
    return true;
  }

  bool key(std::string& text) override {
    if (depth_ == 1) {
      if (!names_.insert(text).second) {
        base::fail(ErrorCode::Corrupt, "{}: is there twice", where_text(file_, text));
      }
      state_ = text == kMetadataKey ? State::Metadata : State::Tensor;
      if (state_ == State::Tensor)
        entries_.push_back({.name = text, .dtype = {}, .sizes = {}, .offsets = {}});
    } else if (state_ == State::Tensor) {
      key_ = text;
      const Entry& entry = entries_.back();
      if ((key_ == "dtype" && entry.dtype) || (key_ == "shape" && entry.sizes) ||
          (key_ == "data_offsets" && entry.offsets)) {
        fail_entry(fmt::format("says {} twice", key_));
      }
      if (key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
        fail_entry("says something other than dtype, shape and data_offsets");
      }
    }
    return true;
  }

  bool string(std::string& text) override {
    if (depth_ == 2 && state_ == State::Metadata) return true;
    if (depth_ != 2 || key_ != "dtype" || list_ != nullptr) return fail_header("has text where none can be");
    for (const DTypeRow& row : kDTypes) {
      if (row.name == text) entries_.back().dtype = row.dtype;
    }
    if (!entries_.back().dtype) {
      base::fail(ErrorCode::Unsupported, "{}: dtype \"{}\" is not supported",
                 where_text(file_, entries_.back().name), text);
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || state_ != State::Tensor || list_ != nullptr || key_ == "dtype") {
      fail_header("has a list where none can be");
    }
    list_ = key_ == "shape" ? &entries_.back().sizes.emplace() : &entries_.back().offsets.emplace();
    return true;
  }

  bool end_array() override {
    if (key_ == "data_offsets" && list_->size() != 2) fail_entry("has data_offsets that are not two numbers");
    list_ = nullptr;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (list_ == nullptr) return fail_header("has a number where none can be");
    if (value > INT64_MAX) fail_entry("has a number that does not fit in 63 bits");
    if (list_->size() >= kMaxRank) {
      base::fail(ErrorCode::Unsupported, "{}: has more than {} dimensions",
                 where_text(file_, entries_.back().name), kMaxRank);
    }
    list_->push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool number_integer(std::int64_t) override { return fail_header("has a negative number"); }
  bool number_float(double, const std::string&) override {
    return fail_header("has a number with a fraction");
  }
  bool boolean(bool) override { return fail_header("has a boolean"); }
  bool null() override { return fail_header("has a null"); }
  bool binary(binary_t&) override { return fail_header("has binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail_header(fmt::format("is not JSON at byte {}", position));
  }

 private:
  enum class State { Outside, Tensor, Metadata };

  [[noreturn]] bool fail_header(std::string_view what) const {
    base::fail(ErrorCode::Corrupt, "{}: the safetensors header {}", file_, what);
  }
  [[noreturn]] void fail_entry(std::string_view what) const {
    base::fail(ErrorCode::Corrupt, "{}: its entry in the header {}", where_text(file_, entries_.back().name),
               what);
  }

  const std::string& file_;
  std::vector<Entry>& entries_;
  std::set<std::string> names_;
  State state_ = State::Outside;
  std::string key_;
  std::vector<std::int64_t>* list_ = nullptr;
  int depth_ = 0;
};

/// Every byte behind the header belongs to one tensor: gaps and overlaps could hide or share data.
void check_layout(const Source& source, const std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::vector<const Entry*> in_order;
  for (const Entry& entry : entries) {
    const std::string where = where_text(source.name(), entry.name);
    const auto begin = static_cast<std::uint64_t>((*entry.offsets)[0]);
    const auto end = static_cast<std::uint64_t>((*entry.offsets)[1]);
    if (begin > end || end > data_bytes) {
      base::fail(ErrorCode::Corrupt, "{}: its bytes {} to {} are not within the {} bytes of data; {}", where,
                 begin, end, data_bytes,
                 begin > end ? "they are the wrong way round" : "the file is cut short");
    }
    const std::uint64_t expected = tensor_bytes(*entry.dtype, *entry.sizes, where);
    if (end - begin != expected) {
      base::fail(ErrorCode::Corrupt, "{}: its sizes need {} bytes, but {} are its own", where, expected,
                 end - begin);
    }
    in_order.push_back(&entry);
  }
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const Entry* a, const Entry* b) { return *a->offsets < *b->offsets; });
  std::uint64_t next = 0;
  for (const Entry* entry : in_order) {
    const auto begin = static_cast<std::uint64_t>((*entry->offsets)[0]);
    if (begin != next) {
      base::fail(ErrorCode::Corrupt, "{}: its bytes {} those of the tensor before it",
                 where_text(source.name(), entry->name), begin < next ? "overlap" : "leave a gap to");
    }
    next = static_cast<std::uint64_t>((*entry->offsets)[1]);
  }
  if (next != data_bytes) {
    base::fail(ErrorCode::Corrupt, "{}: {} bytes at its end belong to no tensor", source.name(),
               data_bytes - next);
  }
}

/// Order of the data: wide elements first, so that every tensor lies aligned.
std::vector<std::size_t> data_order(const NamedTensors& tensors) {
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return element_bytes(tensors[a].second.dtype()) > element_bytes(tensors[b].second.dtype());
  });
  return order;
}

std::string_view dtype_text(DType dtype, const std::string& where) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row.name;
  }
  base::fail(ErrorCode::InvalidArgument, "{}: safetensors has no {}{}", where, dtype_name(dtype),
             dtype == DType::Complex128 ? "; write a .npz file instead" : "");
}

std::string quoted(const std::string& name, const std::filesystem::path& path) {
  try {
    return nlohmann::json(name).dump();
  } catch (const nlohmann::json::exception&) {
    base::fail(ErrorCode::InvalidArgument, "{}: cannot be written: a tensor's name is not UTF-8",
               path.string());
  }
}

std::string header_text(const std::filesystem::path& path, const NamedTensors& tensors,
                        const std::vector<std::size_t>& order) {
  std::vector<std::uint64_t> begins(tensors.size());
  std::uint64_t next = 0;
  for (const std::size_t i : order) {
    begins[i] = next;
    next += bytes_of(tensors[i].second).size();
  }
  std::string text = "{";
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    const std::string where = where_text(path.string(), name);
    if (name == kMetadataKey) {
      base::fail(ErrorCode::InvalidArgument, "{}: safetensors keeps this name for itself", where);
    }
    fmt::format_to(std::back_inserter(text), R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                   i == 0 ? "" : ",", quoted(name, path), dtype_text(tensor.dtype(), where),
                   fmt::join(tensor.sizes(), ","), begins[i], begins[i] + bytes_of(tensor).size());
  }
  text += '}';
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  return text;
}

}  // namespace

NamedTensors read_safetensors(const Source& source) {
  std::array<unsigned char, kLengthBytes> length_bytes{};
  source.read(0, std::as_writable_bytes(std::span(length_bytes)));
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes.size(); ++i) length |= std::uint64_t{length_bytes[i]} << (8 * i);
  if (!base::fits(kLengthBytes, length, source.bytes())) {
    base::fail(ErrorCode::Corrupt,
               "{}: is cut short, or no safetensors file: its header would be {} bytes long, in a file of {}",
               source.name(), length, source.bytes());
  }
  if (length > kMaxHeaderBytes) {
    base::fail(ErrorCode::Corrupt, "{}: its header is {} bytes long; safetensors has at most {}",
               source.name(), length, kMaxHeaderBytes);
  }
  std::string header(static_cast<std::size_t>(length), '\0');
  source.read(kLengthBytes, std::as_writable_bytes(std::span(header)));
  std::vector<Entry> entries;
  HeaderReader reader(source.name(), entries);
  nlohmann::json::sax_parse(header, &reader);
  const std::uint64_t data_begin = kLengthBytes + length;
  check_layout(source, entries, source.bytes() - data_begin);

  NamedTensors result;
  result.reserve(entries.size());
  for (const Entry& entry : entries) {
    Tensor tensor = Tensor::empty(*entry.dtype, *entry.sizes);
    const auto begin = static_cast<std::uint64_t>((*entry.offsets)[0]);
    const auto bytes = static_cast<std::size_t>((*entry.offsets)[1] - (*entry.offsets)[0]);
    source.read(data_begin + begin, {static_cast<std::byte*>(tensor.view().data()), bytes});
    normalize_booleans(tensor);
    result.emplace_back(entry.name, std::move(tensor));
  }
  return result;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  const std::vector<std::size_t> order = data_order(tensors);
  const std::string header = header_text(path, tensors, order);
  std::array<char, kLengthBytes> length{};
  for (std::size_t i = 0; i < length.size(); ++i)
    length[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  AtomicFile file(path);
  file.write(std::string_view(length.data(), length.size()));
  file.write(header);
  for (const std::size_t i : order) file.write(bytes_of(tensors[i].second));
  file.commit();
}

}  // namespace penstock::io
