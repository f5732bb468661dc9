#include "package/pickled_weights.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "package/json_reader.hpp"
#include "package/nested_archive.hpp"
#include "package/pickle_reader.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace penstock::package {
namespace {

constexpr std::string_view kFolder = "data/weights/";
constexpr std::uint64_t kMostConfigBytes = std::uint64_t{64} << 20;

/// One file of data/weights: a storage and its type.
struct WeightFile {
  DType dtype = DType::Float32;
  std::uint64_t elements = 0;
  PrivateBytes bytes;
};

class PickledWeightReader {
 public:
  PickledWeightReader(const Archive& archive, const ModelFiles& files)
      : archive_(archive), config_(files.folder + "weights_config.json") {}

  std::vector<PackagedWeight> read() {
    std::vector<PackagedWeight> weights;
    const nlohmann::json config =
        parse_json(archive_.read_text(config_, kMostConfigBytes), archive_.name() + ": " + config_);
    if (!config.is_object()) corrupt("is not a JSON object");
    for (const auto& [name, entry] : config.items()) weights.push_back(read_weight(name, entry));
    return weights;
  }

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: {} {}; export the package again", archive_.name(), config_,
               fmt::format(format, std::forward<Args>(args)...));
  }

  [[nodiscard]] std::vector<std::int64_t> numbers(const std::string& name, const nlohmann::json& list) const {
    std::vector<std::int64_t> result;
    if (!list.is_array() || list.size() > kMaxRank) corrupt("has no sizes or strides for \"{}\"", name);
    for (const nlohmann::json& number : list) {
      if (!number.is_number_integer() || number < 0) corrupt("has no sizes or strides for \"{}\"", name);
      result.push_back(number.get<std::int64_t>());
    }
    return result;
  }

  /// ["weight_0", [8, 16], [16, 1], 0]
  PackagedWeight read_weight(const std::string& name, const nlohmann::json& entry) {
    if (!entry.is_array() || entry.size() != 4 || !entry[0].is_string() || !entry[3].is_number_integer() ||
        entry[3] < 0) {
      corrupt("does not say where \"{}\" is", name);
    }
    const WeightFile& file = find_file(entry[0].get<std::string>());
    PackagedWeight weight{.name = name,
                          .dtype = file.dtype,
                          .layout = {.sizes = numbers(name, entry[1]), .strides = numbers(name, entry[2])},
                          .bytes = file.bytes};
    const auto reach = reached_elements(weight.layout);
    const auto offset = entry[3].get<std::uint64_t>();
    if (weight.layout.sizes.size() != weight.layout.strides.size() || !reach ||
        !base::fits(offset, *reach, file.elements)) {
      corrupt("has \"{}\" reach past the {} elements of its file", name, file.elements);
    }
    if (!counted_bytes(weight)) corrupt("states sizes of \"{}\" whose product is too large", name);
    const std::uint64_t element = element_bytes(file.dtype);
    weight.bytes.bytes = file.bytes.bytes.subspan(offset * element, *reach * element);
    return weight;
  }

  /// Elements from the first to the last. Nothing on overflow.
  static std::optional<std::uint64_t> reached_elements(const WeightLayout& layout) {
    std::optional<std::uint64_t> last = 0;
    for (std::size_t i = 0; i < layout.sizes.size() && i < layout.strides.size(); ++i) {
      if (layout.sizes[i] == 0) return 0;
      const auto span = base::checked_mul(static_cast<std::uint64_t>(layout.sizes[i] - 1),
                                          static_cast<std::uint64_t>(layout.strides[i]));
      last = span && last ? base::checked_add(*last, *span) : std::nullopt;
    }
    return last ? base::checked_add<std::uint64_t>(*last, 1) : std::nullopt;
  }

  /// Bytes of all elements: with strides of 0 there can be more of them than memory. Nothing on overflow.
  static std::optional<std::int64_t> counted_bytes(const PackagedWeight& weight) {
    std::optional<std::int64_t> bytes = static_cast<std::int64_t>(element_bytes(weight.dtype));
    for (const std::int64_t size : weight.layout.sizes) {
      if (size == 0) return 0;
      bytes = bytes ? base::checked_mul(*bytes, size) : std::nullopt;
    }
    return bytes;
  }

  const WeightFile& find_file(const std::string& name) {
    const auto known = files_.find(name);
    if (known != files_.end()) return known->second;
    return files_.emplace(name, read_file(std::string(kFolder) + name)).first->second;
  }

  /// An archive within the archive: data.pkl, byteorder and data/KEY.
  [[nodiscard]] WeightFile read_file(const std::string& entry) const {
    const std::string what = archive_.name() + ": " + entry;
    const NestedArchive nested(archive_, entry, what);
    const SharedBytes pickle = nested.read("data.pkl");
    const PickledTensor tensor = read_pickled_tensor(pickle.bytes, what);
    PrivateBytes data = nested.writable("data/" + tensor.key);
    const auto stated =
        base::checked_mul<std::uint64_t>(tensor.storage_elements, element_bytes(tensor.dtype));
    if (!stated || *stated != data.bytes.size()) {
      base::fail(ErrorCode::Corrupt,
                 "{}: {} elements of {} are stated, {} bytes are there; export the package again", what,
                 tensor.storage_elements, dtype_name(tensor.dtype), data.bytes.size());
    }
    return {.dtype = tensor.dtype, .elements = tensor.storage_elements, .bytes = std::move(data)};
  }

  const Archive& archive_;
  std::string config_;
  std::map<std::string, WeightFile> files_;
};

}  // namespace

std::vector<PackagedWeight> read_pickled_weights(const Archive& archive, const ModelFiles& files) {
  return PickledWeightReader(archive, files).read();
}

}  // namespace penstock::package
