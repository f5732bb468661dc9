#include "contract/operator_recording.hpp"

#include "contract/machine.hpp"
#include "cpu/copy.hpp"
#include "cpu/elementwise.hpp"
#include "shim/context.hpp"
#include "tensor/layout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

namespace penstock::contract {
namespace {

using Dims = std::vector<std::int64_t>;
using Bytes = std::vector<std::byte>;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Bytes row_major_bytes(const TensorObject& tensor) {
  const std::size_t element = element_bytes(tensor.dtype);
  Dims strides(static_cast<std::size_t>(tensor.rank));
  tensor::fill_contiguous_strides(tensor.sizes(), strides);
  Bytes bytes(static_cast<std::size_t>(tensor.numel) * element);
  tensor::copy_strided(bytes.data(), strides, tensor.data, tensor.strides(), tensor.sizes(), element);
  return bytes;
}

std::vector<std::int64_t> integers(const TensorObject& tensor) {
  const Bytes bytes = row_major_bytes(tensor);
  const std::size_t element = element_bytes(tensor.dtype);
  std::vector<std::int64_t> values;
  for (std::size_t at = 0; at < bytes.size(); at += element) {
    std::int64_t value = 0;
    // Indices are not negative, but where they count from the end, which none is named twice by.
    std::memcpy(&value, bytes.data() + at, element);
    values.push_back(value);
  }
  return values;
}

bool is_floating(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::Float64 || dtype == DType::Float16 ||
         dtype == DType::BFloat16;
}

/// Widening, which is exact; the conversions themselves have a recording of their own.
std::vector<double> as_doubles(const Bytes& bytes, DType dtype) {
  const auto count = static_cast<std::int64_t>(bytes.size() / element_bytes(dtype));
  std::vector<double> values(static_cast<std::size_t>(count));
  const auto over = [count](void* data, DType type) {
    const tensor::StorageReference storage(
        tensor::borrow_storage(data, static_cast<std::size_t>(count) * element_bytes(type), {}));
    const Dims size{count};
    const Dims one{1};
    return TensorObjectPtr(tensor::make_tensor(storage.get(), {type, size, one, 0}));
  };
  Bytes copy = bytes;
  cpu::copy(*over(values.data(), DType::Float64), *over(copy.data(), dtype));
  return values;
}

double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::Float64: return 1e-13;
    case DType::Float16: return 1e-3;
    case DType::BFloat16: return 8e-3;
    default: return 1e-6;
  }
}

}  // namespace

OperatorRecording::OperatorRecording(const std::string& name) {
  const std::string stem = recordings_folder() + "/" + name;
  const nlohmann::json file = nlohmann::json::parse(read_file(stem + ".json"));
  tensors_ = file.at("tensors");
  cases_ = file.at("cases");
  const std::string bytes = read_file(stem + ".bin");
  bytes_.resize(bytes.size());
  std::memcpy(bytes_.data(), bytes.data(), bytes.size());
}

TensorObjectPtr OperatorRecording::tensor(const nlohmann::json& number) const {
  if (number.is_null()) return nullptr;
  const auto& spec = tensors_.at(number.get<std::size_t>());
  const auto at = spec.at(4).get<std::size_t>();
  const auto bytes = spec.at(5).get<std::size_t>();
  if (at + bytes > bytes_.size()) throw std::runtime_error("short recording");
  const tensor::StorageReference storage(tensor::allocate_host_storage(bytes));
  if (bytes != 0) std::memcpy(storage->data, bytes_.data() + at, bytes);
  const Dims sizes = spec.at(1).get<Dims>();
  const Dims strides = spec.at(2).get<Dims>();
  return TensorObjectPtr(
      tensor::make_tensor(storage.get(), {dtype_from_name(spec.at(0).get<std::string>()).value(), sizes,
                                          strides, spec.at(3).get<std::int64_t>()}));
}

OperatorCase::OperatorCase(const OperatorRecording& recording, const nlohmann::json& one)
    : recording_(recording), one_(one) {}

AtenTensorHandle OperatorCase::tensor(const char* name) {
  const auto& tensors = one_.at("tensors");
  if (!tensors.contains(name)) return nullptr;
  TensorObjectPtr made = recording_.tensor(tensors.at(name));
  held_.push_back(made == nullptr ? nullptr : machine().place(std::move(made)));
  return held_.back().get();
}

AtenTensorHandle* OperatorCase::optional(const char* name) {
  const AtenTensorHandle handle = tensor(name);
  if (handle == nullptr) return nullptr;
  return optionals_.emplace_back(std::make_unique<AtenTensorHandle>(handle)).get();
}

std::vector<AtenTensorHandle> OperatorCase::list(const char* name) {
  std::vector<AtenTensorHandle> handles;
  for (const auto& number : one_.at(name)) {
    held_.push_back(machine().place(recording_.tensor(number)));
    handles.push_back(held_.back().get());
  }
  return handles;
}

AtenTensorHandle* OperatorCase::result() {
  return pending_.emplace_back(std::make_unique<AtenTensorHandle>(nullptr)).get();
}

namespace {

/// True where an element is to go to a place that is none. libtorch's message does not always say so.
bool names_no_place(const nlohmann::json& one, const OperatorRecording& recording) {
  const std::string op = one.value("op", "");
  if (!op.starts_with("max_unpool")) return false;
  std::int64_t places = 1;
  for (const auto& size : one.at("output_size")) places *= size.get<std::int64_t>();
  const TensorObjectPtr indices = recording.tensor(one.at("tensors").at("indices"));
  if (indices->dtype != DType::Int64) return false;
  return std::ranges::any_of(integers(*indices),
                             [&](std::int64_t place) { return place < 0 || place >= places; });
}

}  // namespace

bool OperatorCase::writes_twice() const {
  const std::string op = one_.value("op", "");
  if (op == "index_put") {
    // With several indices it is the places that they name together: those are not worked out here.
    if (one_.value("accumulate", false)) return false;
    if (one_.at("indices").size() != 1 || one_.at("indices").at(0).is_null()) return true;
    const TensorObjectPtr only = recording_.tensor(one_.at("indices").at(0));
    const std::vector<std::int64_t> places = integers(*only);
    return only->dtype != DType::Bool && std::set(places.begin(), places.end()).size() != places.size();
  }
  if (op.starts_with("max_unpool")) {
    const TensorObjectPtr indices = recording_.tensor(one_.at("tensors").at("indices"));
    const std::vector<std::int64_t> places = integers(*indices);
    std::int64_t image = 1;
    for (int d = indices->rank - (op.ends_with("2d") ? 2 : 3); d < indices->rank; ++d)
      image *= indices->size[d];
    std::set<std::pair<std::int64_t, std::int64_t>> seen;
    for (std::int64_t i = 0; i < indices->numel; ++i) {
      if (!seen.insert({i / image, places[static_cast<std::size_t>(i)]}).second) return true;
    }
    return false;
  }
  if (op != "scatter") return false;
  const TensorObjectPtr index = recording_.tensor(one_.at("tensors").at("index"));
  const std::vector<std::int64_t> places = integers(*index);
  if (index->rank == 0) return false;
  const auto given = one_.at("dim").get<std::int64_t>();
  const auto dim = static_cast<std::size_t>(given < 0 ? given + index->rank : given);
  std::int64_t inner = 1;
  for (std::size_t d = dim + 1; d < static_cast<std::size_t>(index->rank); ++d) inner *= index->size[d];
  std::set<std::array<std::int64_t, 3>> seen;  // What is before the dimension, where, what is behind it.
  for (std::int64_t i = 0; i < index->numel; ++i) {
    if (!seen.insert({i / (inner * index->size[dim]), places[static_cast<std::size_t>(i)], i % inner}).second)
      return true;
  }
  return false;
}

void OperatorCase::compare(std::size_t index) const {
  const auto& spec = recording_.tensors_.at(one_.at("answers").at(index).get<std::size_t>());
  const TensorObject& actual = *results_.at(index);
  const std::string text = one_.dump() + ", result " + std::to_string(index);
  ASSERT_EQ(dtype_name(actual.dtype), spec.at(0).get<std::string>()) << text;
  ASSERT_EQ(Dims(actual.sizes().begin(), actual.sizes().end()), spec.at(1).get<Dims>()) << text;
  // Where there are no two elements apart, strides mean nothing.
  if (actual.numel > 1) {
    for (std::size_t dim = 0; dim < static_cast<std::size_t>(actual.rank); ++dim) {
      if (actual.size[dim] == 1) continue;
      EXPECT_EQ(actual.stride[dim], spec.at(2).at(dim).get<std::int64_t>()) << text << ", dimension " << dim;
    }
  }
  if (index > 0 && (!one_.value("ties", true) || !machine().names_same_of_equals(one_))) return;
  if (!machine().keeps_last_written() && writes_twice()) return;
  const Bytes bytes = row_major_bytes(actual);
  const auto at = recording_.bytes_.begin() + spec.at(4).get<std::ptrdiff_t>();
  const Bytes wanted(at, at + spec.at(5).get<std::ptrdiff_t>());
  ASSERT_EQ(bytes.size(), wanted.size()) << text;
  // Complex numbers by their parts.
  const DType dtype = cpu::real_dtype(actual.dtype);
  if (!is_floating(dtype)) {
    EXPECT_TRUE(bytes == wanted) << text;
    return;
  }
  const double tolerance = one_.value("exact", true) ? 0 : tolerance_of(dtype) * machine().slack();
  const std::vector<double> values = as_doubles(bytes, dtype);
  const std::vector<double> expected = as_doubles(wanted, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == expected[i] || (std::isnan(values[i]) && std::isnan(expected[i]))) continue;
    if (std::abs(values[i] - expected[i]) <= tolerance * std::abs(expected[i])) continue;
    ADD_FAILURE() << text << ": element " << i << " is " << values[i] << ", not " << expected[i];
    return;
  }
}

void OperatorCase::check(const std::function<AOTITorchError(OperatorCase&)>& call) {
  nlohmann::json told = one_;
  told["names_no_place"] = names_no_place(one_, recording_);
  if (!machine().reason_against(told).empty()) return;
  cpu::OpState operators;
  shim::CallContext context;
  context.operators = &operators;
  context.threads = 2;
  machine().enter(context);
  const shim::ContextScope scope(context);
  const AOTITorchError code = call(*this);
  for (const auto& handle : pending_) results_.emplace_back(*handle);
  const std::string message = context.failure ? context.failure->message : "";
  if (one_.contains("error")) {
    EXPECT_EQ(code, 1) << one_.dump();
    EXPECT_NE(message.find(one_.at("error").get<std::string>()), std::string::npos)
        << one_.dump() << ": " << message;
    return;
  }
  ASSERT_EQ(code, 0) << one_.dump() << ": " << message;
  ASSERT_EQ(results_.size(), one_.at("answers").size()) << one_.dump();
  for (std::size_t i = 0; i < results_.size(); ++i) {
    results_[i] = machine().fetch(std::move(results_[i]));
    compare(i);
  }
}

}  // namespace penstock::contract
