// cuDNN's graphs without a GPU, as far as Penstock uses them: one convolution, as the manual describes it. It
// is strict about what the library is strict about.
#include "cuda_ops/cudnn_abi.hpp"
#include "numbers.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#define PENSTOCK_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace penstock::cuda_ops::cudnn;
using penstock::emulation::Number;

constexpr Status kBadParameter = 2000;
constexpr std::int64_t kWorkspaceBytes = 512;
/// Engines in the order of preference. One puts its work on streams of its own, as some of cuDNN's do, and
/// gives results that nobody can take for right ones. One rounds its factors. One, which a caller without
/// tensor cores has to take, rounds as little as there is.
enum Engine : std::int64_t { kLeavesItsStream, kUsesTensorCores, kPrecise, kEngines };

struct Node {
  DescriptorType type;
  bool is_final = false;
  std::map<int, std::vector<std::byte>> values;
  std::int64_t engine = 0;      ///< Of an engine and its configuration.
  const Node* graph = nullptr;  ///< Of a configuration.
};

Node& of(Descriptor descriptor) { return *static_cast<Node*>(descriptor); }

std::size_t size_of(AttributeType type) {
  switch (type) {
    case kTypeInt64:
    case kTypeDouble:
    case kTypePointer:
    case kTypeHandle:
    case kTypeDescriptor: return 8;
    default: return 4;
  }
}

template <class T>
std::vector<T> values(const Node& node, int attribute) {
  const auto& bytes = node.values.at(attribute);
  std::vector<T> all(bytes.size() / sizeof(T));
  std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}
template <class T>
T value(const Node& node, int attribute) {
  return values<T>(node, attribute).at(0);
}
const Node& node(const Node& parent, int attribute) { return of(value<Descriptor>(parent, attribute)); }

using Dims = std::vector<std::int64_t>;

struct Tensor {
  Dims sizes;
  Dims strides;
  Number number;
  void* data;

  [[nodiscard]] std::int64_t place(const Dims& index) const {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
    return offset;
  }
};

Number number_of(DataType type) {
  switch (type) {
    case kFloat16: return Number::Float16;
    case kBFloat16: return Number::BFloat16;
    case kFloat64: return Number::Float64;
    default: return Number::Float32;
  }
}

Tensor tensor_of(const Node& described, const Node& pack) {
  const auto ids = values<std::int64_t>(pack, kPackUniqueIds);
  const auto data = values<void*>(pack, kPackDataPointers);
  const auto id = value<std::int64_t>(described, kTensorUniqueId);
  const auto at = std::find(ids.begin(), ids.end(), id) - ids.begin();
  return {values<std::int64_t>(described, kTensorDimensions), values<std::int64_t>(described, kTensorStrides),
          number_of(value<DataType>(described, kTensorDataType)), data.at(static_cast<std::size_t>(at))};
}

/// Calls work for every index below `sizes`.
template <class Work>
void for_each(const Dims& sizes, Work&& work) {
  for (const std::int64_t size : sizes) {
    if (size == 0) return;
  }
  Dims index(sizes.size());
  while (true) {
    work(index);
    std::size_t dim = sizes.size();
    while (dim > 0 && ++index[dim - 1] == sizes[dim - 1]) index[--dim] = 0;
    if (dim == 0) return;
  }
}

/// What meets in a convolution of `x` with `w` to `y`: each element of y with those of x and w.
template <class Meet>
void for_each_meeting(const Node& geometry, const Tensor& x, const Tensor& w, const Tensor& y, Meet&& meet) {
  const auto stride = values<std::int64_t>(geometry, kConvolutionStrides);
  const auto padding = values<std::int64_t>(geometry, kConvolutionPrePaddings);
  const auto dilation = values<std::int64_t>(geometry, kConvolutionDilations);
  const std::int64_t groups = x.sizes[1] / w.sizes[1];
  const std::int64_t of_group = w.sizes[0] / groups;
  for_each(y.sizes, [&](const Dims& out) {
    for_each(Dims(w.sizes.begin() + 1, w.sizes.end()), [&](const Dims& tap) {
      Dims in{out[0], out[1] / of_group * w.sizes[1] + tap[0]};
      Dims filter{out[1], tap[0]};
      for (std::size_t i = 0; i < stride.size(); ++i) {
        in.push_back(out[i + 2] * stride[i] - padding[i] + tap[i + 1] * dilation[i]);
        filter.push_back(tap[i + 1]);
        if (in.back() < 0 || in.back() >= x.sizes[i + 2]) return;
      }
      meet(in, filter, out);
    });
  });
}

double read(const Tensor& tensor, const Dims& index, bool tf32) {
  const double value = penstock::emulation::load(tensor.data, tensor.place(index), tensor.number).real();
  return tf32 && tensor.number == Number::Float32 ? penstock::emulation::to_tf32(value) : value;
}

void write_sums(const Tensor& out, const std::vector<double>& sums) {
  std::size_t i = 0;
  for_each(out.sizes, [&](const Dims& index) {
    penstock::emulation::store(out.data, out.place(index), out.number, sums[i++]);
  });
}

std::size_t row_major(const Tensor& tensor, const Dims& index) {
  std::int64_t place = 0;
  for (std::size_t i = 0; i < index.size(); ++i) place = place * tensor.sizes[i] + index[i];
  return static_cast<std::size_t>(place);
}

std::size_t count(const Tensor& tensor) {
  std::size_t all = 1;
  for (const std::int64_t size : tensor.sizes) all *= static_cast<std::size_t>(size);
  return all;
}

void convolve(const Node& operation, const Node& pack, bool tf32) {
  const bool back = operation.type == kConvolutionBackwardData;
  const Tensor x = tensor_of(node(operation, back ? kBackwardDataDx : kForwardX), pack);
  const Tensor w = tensor_of(node(operation, back ? kBackwardDataW : kForwardW), pack);
  const Tensor y = tensor_of(node(operation, back ? kBackwardDataDy : kForwardY), pack);
  const Node& geometry = node(operation, back ? kBackwardDataConvolution : kForwardConvolution);
  const Tensor& target = back ? x : y;
  std::vector<double> sums(count(target));
  for_each_meeting(geometry, x, w, y, [&](const Dims& in, const Dims& filter, const Dims& out) {
    const double factor = read(w, filter, tf32);
    if (back) {
      sums[row_major(x, in)] += factor * read(y, out, tf32);
    } else {
      sums[row_major(y, out)] += factor * read(x, in, tf32);
    }
  });
  write_sums(target, sums);
}

Status give(std::int64_t have, std::int64_t room, std::int64_t* told, const void* from, std::size_t bytes,
            void* to) {
  *told = have;
  if (room >= have && to != nullptr) std::memcpy(to, from, bytes);
  return kSuccess;
}

}  // namespace

PENSTOCK_EXPORT std::size_t cudnnGetVersion() { return 90000; }
PENSTOCK_EXPORT const char* cudnnGetErrorString(Status) { return "emulated status"; }
PENSTOCK_EXPORT void cudnnGetLastErrorString(char* message, std::size_t most) {
  std::strncpy(message, "emulated", most);
}
PENSTOCK_EXPORT Status cudnnCreate(Handle* handle) {
  *handle = reinterpret_cast<Handle>(new char);
  return kSuccess;
}
PENSTOCK_EXPORT Status cudnnDestroy(Handle handle) {
  delete reinterpret_cast<char*>(handle);
  return kSuccess;
}
PENSTOCK_EXPORT Status cudnnSetStream(Handle, penstock::cuda::StreamHandle) { return kSuccess; }

PENSTOCK_EXPORT Status cudnnBackendCreateDescriptor(DescriptorType type, Descriptor* descriptor) {
  *descriptor = new Node{.type = type, .values = {}};
  return kSuccess;
}
PENSTOCK_EXPORT Status cudnnBackendDestroyDescriptor(Descriptor descriptor) {
  delete &of(descriptor);
  return kSuccess;
}
PENSTOCK_EXPORT Status cudnnBackendFinalize(Descriptor descriptor) {
  if (of(descriptor).is_final) return kBadParameter;
  of(descriptor).is_final = true;
  return kSuccess;
}
PENSTOCK_EXPORT Status cudnnBackendSetAttribute(Descriptor descriptor, Attribute attribute,
                                                AttributeType type, std::int64_t count, const void* values) {
  Node& node = of(descriptor);
  if (node.is_final) return kBadParameter;
  if (type == kTypeDescriptor) {
    for (std::int64_t i = 0; i < count; ++i) {
      if (!of(static_cast<const Descriptor*>(values)[i]).is_final) return kBadParameter;
    }
  }
  const auto* bytes = static_cast<const std::byte*>(values);
  node.values[attribute].assign(bytes, bytes + static_cast<std::size_t>(count) * size_of(type));
  return kSuccess;
}

PENSTOCK_EXPORT Status cudnnBackendGetAttribute(Descriptor descriptor, Attribute attribute, AttributeType,
                                                std::int64_t room, std::int64_t* count, void* values) {
  Node& node = of(descriptor);
  switch (attribute) {
    case kHeuristicResults: {
      const auto mode = value<HeuristicMode>(node, kHeuristicMode);
      *count = mode == kHeuristicA ? std::int64_t{kEngines} : 0;
      for (std::int64_t i = 0; i < std::min(room, *count); ++i) {
        Node& config = of(static_cast<Descriptor*>(values)[i]);
        config.is_final = true;
        config.engine = i;
        config.graph = &::node(node, kHeuristicOperationGraph);
      }
      return kSuccess;
    }
    case kConfigEngine: {
      *count = 1;
      of(*static_cast<Descriptor*>(values)).engine = node.engine;
      return kSuccess;
    }
    case kEngineNumericalNotes: {
      const NumericalNote note = kNoteTensorCore;
      const bool is_noted = node.engine == kUsesTensorCores;
      return give(is_noted ? 1 : 0, room, count, &note, is_noted ? sizeof note : 0, values);
    }
    case kPlanWorkspaceSize: return give(1, room, count, &kWorkspaceBytes, sizeof kWorkspaceBytes, values);
    default: return kBadParameter;
  }
}

/// Tells the emulated driver, where that is the one.
void tell_of_fork() {
  const char* path = std::getenv("PENSTOCK_LIBCUDA");
  void* const driver = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (driver == nullptr) return;
  if (void* const told = ::dlsym(driver, "emulated_driver_fork"); told != nullptr) {
    reinterpret_cast<void (*)()>(told)();
  }
  ::dlclose(driver);
}

PENSTOCK_EXPORT Status cudnnBackendExecute(Handle, Descriptor plan, Descriptor pack) {
  auto* const workspace = value<void*>(of(pack), kPackWorkspace);
  if (workspace == nullptr || !of(plan).is_final || !of(pack).is_final) return kBadParameter;
  // So that whoever keeps something in there notices.
  std::memset(workspace, 0xFF, kWorkspaceBytes);
  const Node& config = node(of(plan), kPlanEngineConfig);
  if (config.engine == kLeavesItsStream) {
    tell_of_fork();
    return kSuccess;
  }
  convolve(node(*config.graph, kGraphOperations), of(pack), config.engine == kUsesTensorCores);
  return kSuccess;
}
