#include "support.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <malloc.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>

namespace penstock::testing {
namespace {

/// Sources: IEEE 754 binary16; bfloat16 is the upper half of a binary32.
double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return sign * (fraction == 0 ? INFINITY : NAN);
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25));
}

double bfloat_value(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return static_cast<double>(value);
}

template <class T>
double load(const std::byte* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return static_cast<double>(value);
}

double element(const std::byte* address, DType dtype) {
  std::uint16_t bits = 0;
  switch (dtype) {
    case DType::Float32: return load<float>(address);
    case DType::Float64: return load<double>(address);
    case DType::Int8: return load<std::int8_t>(address);
    case DType::UInt8: return load<std::uint8_t>(address);
    case DType::Int16: return load<std::int16_t>(address);
    case DType::Int32: return load<std::int32_t>(address);
    case DType::Int64: return load<std::int64_t>(address);
    case DType::Bool: return load<std::uint8_t>(address);
    case DType::Float16: std::memcpy(&bits, address, sizeof bits); return half_value(bits);
    case DType::BFloat16: std::memcpy(&bits, address, sizeof bits); return bfloat_value(bits);
    default: throw std::runtime_error("no test reads this dtype");
  }
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::Float32: return 2e-4;
    case DType::Float64: return 1e-10;
    case DType::BFloat16: return 2e-2;
    case DType::Float16: return 5e-3;
    default: return 0;
  }
}

/// The metadata of a safetensors file: a length of 8 bytes, then so much JSON.
nlohmann::json metadata_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::uint64_t length = 0;
  file.read(reinterpret_cast<char*>(&length), sizeof length);
  std::string text(length, '\0');
  file.read(text.data(), static_cast<std::streamsize>(length));
  return nlohmann::json::parse(text).value("__metadata__", nlohmann::json::object());
}

/// The same elements with these strides; gaps between them are not initialized.
Tensor with_strides(const Tensor& source, const std::string& text) {
  std::vector<std::int64_t> strides;
  std::istringstream list(text);
  for (std::string number; std::getline(list, number, ',');) strides.push_back(std::stoll(number));
  std::int64_t extent = 1;
  for (std::size_t dim = 0; dim < strides.size(); ++dim) extent += (source.sizes()[dim] - 1) * strides[dim];
  const Tensor memory = Tensor::empty(source.dtype(), {source.numel() == 0 ? 0 : extent});
  const TensorView target(memory.view().data(), source.dtype(), source.sizes(), strides, 0);
  const std::size_t bytes = element_bytes(source.dtype());
  std::vector<std::int64_t> at(strides.size());
  for (std::int64_t i = 0; i < source.numel(); ++i) {
    std::int64_t rest = i;
    std::int64_t offset = 0;
    for (std::size_t dim = at.size(); dim-- > 0;) {
      offset += rest % source.sizes()[dim] * strides[dim];
      rest /= source.sizes()[dim];
    }
    std::memcpy(static_cast<std::byte*>(target.data()) + static_cast<std::size_t>(offset) * bytes,
                static_cast<const std::byte*>(source.view().data()) + static_cast<std::size_t>(i) * bytes,
                bytes);
  }
  return Tensor::adopt(target, std::make_shared<Tensor>(memory));
}

/// What is held now and was not `before`, in words; room is what one leaked object in every other
/// repetition of a round would exceed.
std::string added_since(const Holdings& before) {
  constexpr std::size_t kHeapRoom = 512;
  const Holdings now = Holdings::now();
  std::string added;
  const auto compare = [&](std::string_view what, std::size_t count, std::size_t most) {
    if (count > most) added += fmt::format(" {} {} instead of {}", count, what, most);
  };
  compare("mappings of libraries", now.library_mappings, before.library_mappings);
  compare("descriptors", now.descriptors, before.descriptors);
  compare("bytes of heap", now.heap_bytes, before.heap_bytes + kHeapRoom);
  if (!kSanitized) compare("mappings", now.mappings, before.mappings);
  return added;
}

}  // namespace

std::filesystem::path package_path(std::string_view name, std::string_view torch) {
  const char* const elsewhere = std::getenv("PENSTOCK_TEST_PACKAGES");
  const std::filesystem::path folder = elsewhere != nullptr ? elsewhere : PENSTOCK_TEST_PACKAGES;
  return folder / ("torch-" + std::string(torch)) / (std::string(name) + ".pt2");
}

Package open_package(std::string_view name, std::string_view torch) {
  return Package::open(package_path(name, torch));
}

Model load_model(std::string_view name, std::string_view torch) {
  return Model::load(open_package(name, torch));
}

std::vector<Tensor> recorded(std::string_view name, std::string_view part, std::string_view torch) {
  const std::filesystem::path path =
      package_path(name, torch).replace_extension(std::string(part) + ".safetensors");
  const nlohmann::json metadata = metadata_of(path);
  NamedTensors tensors = read_tensors(path);
  const auto number = [](const auto& entry) { return std::stoi(entry.first.substr(3)); };
  std::sort(tensors.begin(), tensors.end(),
            [&](const auto& a, const auto& b) { return number(a) < number(b); });
  std::vector<Tensor> result;
  for (const auto& [key, tensor] : tensors) {
    const std::string strides = metadata.value(key + ".strides", "");
    result.push_back(strides.empty() ? tensor : with_strides(tensor, strides));
  }
  return result;
}

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors) views.push_back(tensor.view());
  return views;
}

std::vector<double> numbers(const TensorView& view) {
  std::vector<double> result;
  const auto* data = static_cast<const std::byte*>(view.data());
  for (std::int64_t i = 0; i < view.numel(); ++i) {
    std::int64_t rest = i;
    std::int64_t offset = 0;
    for (std::size_t dim = view.rank(); dim-- > 0;) {
      offset += rest % view.sizes()[dim] * view.strides()[dim];
      rest /= view.sizes()[dim];
    }
    result.push_back(
        element(data + static_cast<std::size_t>(offset) * element_bytes(view.dtype()), view.dtype()));
  }
  return result;
}

std::vector<std::int64_t> sizes_of(const TensorView& view) {
  return {view.sizes().begin(), view.sizes().end()};
}

void expect_same(std::span<const TensorView> given, std::span<const TensorView> expected) {
  ASSERT_EQ(given.size(), expected.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    SCOPED_TRACE("out" + std::to_string(i));
    ASSERT_EQ(dtype_name(given[i].dtype()), dtype_name(expected[i].dtype()));
    ASSERT_EQ(sizes_of(given[i]), sizes_of(expected[i]));
    const std::vector<double> left = numbers(given[i]);
    const std::vector<double> right = numbers(expected[i]);
    double largest = 0;
    for (const double value : right) largest = std::max(largest, std::abs(value));
    for (std::size_t k = 0; k < left.size(); ++k) {
      ASSERT_NEAR(left[k], right[k], tolerance(given[i].dtype()) * largest) << "element " << k;
    }
  }
}

void expect_same(const std::vector<Tensor>& given, const std::vector<Tensor>& expected) {
  expect_same(views_of(given), views_of(expected));
}

Tensor ramp(std::initializer_list<std::int64_t> sizes, float start) {
  Tensor tensor = Tensor::empty(DType::Float32, sizes);
  std::iota(tensor.data_as<float>(), tensor.data_as<float>() + tensor.numel(), start);
  return tensor;
}

void expect_refused(ErrorCode code, const std::vector<std::string>& parts,
                    const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << "was accepted, but should be refused";
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(code)) << error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << "no \"" << part << "\" in: " << error.what();
    }
  }
}

bool has_onednn() {
  const SystemInfo info = system_info();
  return std::any_of(info.libraries.begin(), info.libraries.end(), [](const OptionalLibrary& library) {
    return library.name == "oneDNN" && !library.path.empty();
  });
}

std::size_t count_mappings(std::string_view part) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(part) != std::string::npos ? 1 : 0;
  return count;
}

Holdings Holdings::now() {
  Holdings held;
  held.mappings = count_mappings("");
  held.library_mappings = count_mappings("penstock-model");
  held.descriptors =
      static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  if (!kSanitized) held.heap_bytes = mallinfo2().uordblks;
  return held;
}

std::string growth_of(const std::function<void()>& work, int times) {
  // The C library keeps up to 7 freed pieces of each size for each thread, and counts them as in use.
  constexpr int kRounds = 24;
  std::string added;
  for (int round = 0; round < kRounds; ++round) {
    const Holdings before = Holdings::now();
    for (int time = 0; time < times; ++time) work();
    added = added_since(before);
    if (added.empty()) return "";
  }
  return fmt::format("each of {} rounds left something, the last one:{}", kRounds, added);
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "penstock-e2e-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void unpack_package(std::string_view name, const std::filesystem::path& folder, std::string_view torch) {
  const std::string command =
      "python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' '" +
      package_path(name, torch).string() + "' '" + folder.string() + "'";
  if (std::system(command.c_str()) != 0) throw std::runtime_error("cannot unpack " + std::string(name));
}

std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

}  // namespace penstock::testing
