#include "cuda/graph_node.hpp"

#include "cuda/driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::cuda {
namespace {

constexpr const char* kWhat = "a node of a captured run";

/// No kernel has more.
constexpr std::size_t kMostParameterBytes = 32768;

// The addresses of copies and fills, as if they were a kernel's.
constexpr std::size_t kFrom = 0;
constexpr std::size_t kTo = sizeof(DevicePointer);

// CU_LAUNCH_PARAM_END, _BUFFER_POINTER and _BUFFER_SIZE.
void* const kLaunchEnd = nullptr;
void* const kLaunchBuffer = reinterpret_cast<void*>(1);
void* const kLaunchBufferSize = reinterpret_cast<void*>(2);

std::size_t whole_words(std::size_t bytes) noexcept {
  return (bytes + sizeof(DevicePointer) - 1) / sizeof(DevicePointer) * sizeof(DevicePointer);
}

bool is_same(const MemcpySide& a, const MemcpySide& b) noexcept {
  return a.x_bytes == b.x_bytes && a.y == b.y && a.z == b.z && a.lod == b.lod &&
         a.memory_type == b.memory_type && a.host == b.host && a.array == b.array && a.pitch == b.pitch &&
         a.height == b.height;
}

bool is_on_device(const MemcpySide& side) noexcept {
  return side.memory_type == kMemoryDevice || side.memory_type == kMemoryUnified;
}

}  // namespace

GraphNode::GraphNode(GraphNodeHandle node) : node_(node), type_(kGraphEmpty) {
  int type = 0;
  check(driver().graph_node_get_type(node, &type), "cuGraphNodeGetType", kWhat);
  type_ = static_cast<GraphNodeType>(type);
  switch (type_) {
    case kGraphKernel: read_kernel(); break;
    case kGraphMemcpy: read_copy(); break;
    case kGraphMemset: read_fill(); break;
    case kGraphEmpty: readable_ = true; break;
    default: break;
  }
}

Result GraphNode::find_parameter(std::size_t index, Parameter& found) const {
  const Driver& table = driver();
  return kernel_.function != nullptr
             ? table.func_get_param_info(kernel_.function, index, &found.offset, &found.bytes)
             : table.kernel_get_param_info(kernel_.kernel, index, &found.offset, &found.bytes);
}

void GraphNode::read_kernel() {
  check(driver().graph_kernel_node_get_params(node_, &kernel_), "cuGraphKernelNodeGetParams", kWhat);
  readable_ = kernel_.extra != nullptr ? read_packed() : read_listed();
}

/// Of a launch with an address for each parameter.
bool GraphNode::read_listed() {
  const Driver& table = driver();
  if (table.func_get_param_info == nullptr || table.kernel_get_param_info == nullptr) return false;
  std::vector<Parameter> found;
  for (;;) {
    Parameter next;
    const Result result = find_parameter(found.size(), next);
    // Behind the last one.
    if (result == kInvalidValue) break;
    if (result != kSuccess || next.offset + next.bytes > kMostParameterBytes) return false;
    found.push_back(next);
    if (found.size() > kMostParameterBytes) return false;
  }
  if (!found.empty() && kernel_.parameters == nullptr) return false;
  for (const Parameter& each : found) bytes_.resize(std::max(bytes_.size(), each.offset + each.bytes));
  bytes_.resize(whole_words(bytes_.size()));
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::byte* const place = bytes_.data() + found[i].offset;
    std::memcpy(place, kernel_.parameters[i], found[i].bytes);
    parameters_.push_back(place);
  }
  return true;
}

/// Of a launch with one buffer that has them all.
bool GraphNode::read_packed() {
  const void* data = nullptr;
  const std::size_t* size = nullptr;
  for (void* const* each = kernel_.extra; *each != kLaunchEnd; each += 2) {
    if (*each == kLaunchBuffer)
      data = each[1];
    else if (*each == kLaunchBufferSize)
      size = static_cast<const std::size_t*>(each[1]);
    else
      return false;
  }
  if (data == nullptr || size == nullptr || *size > kMostParameterBytes) return false;
  packed_bytes_ = *size;
  bytes_.resize(whole_words(packed_bytes_));
  std::memcpy(bytes_.data(), data, packed_bytes_);
  return true;
}

void GraphNode::read_copy() {
  check(driver().graph_memcpy_node_get_params(node_, &copy_), "cuGraphMemcpyNodeGetParams", kWhat);
  // Host memory is read when the graph runs, whose bytes are others by then.
  readable_ = is_on_device(copy_.from) && is_on_device(copy_.to);
  bytes_.resize(2 * sizeof(DevicePointer));
  set_word(kFrom, copy_.from.device);
  set_word(kTo, copy_.to.device);
}

void GraphNode::read_fill() {
  check(driver().graph_memset_node_get_params(node_, &fill_), "cuGraphMemsetNodeGetParams", kWhat);
  readable_ = true;
  bytes_.resize(sizeof(DevicePointer));
  set_word(0, fill_.to);
}

std::string GraphNode::name() const {
  const Driver& table = driver();
  const char* name = nullptr;
  switch (type_) {
    case kGraphKernel:
      if (kernel_.function != nullptr && table.func_get_name != nullptr) {
        table.func_get_name(&name, kernel_.function);
      } else if (kernel_.kernel != nullptr && table.kernel_get_name != nullptr) {
        table.kernel_get_name(&name, kernel_.kernel);
      }
      return name != nullptr ? name : "a kernel";
    case kGraphMemcpy: return "a copy";
    case kGraphMemset: return "a fill";
    default: return fmt::format("a node of type {}", static_cast<int>(type_));
  }
}

bool GraphNode::is_like(const GraphNode& other) const noexcept {
  if (type_ != other.type_ || !readable_ || !other.readable_ || bytes_.size() != other.bytes_.size())
    return false;
  switch (type_) {
    case kGraphKernel:
      return kernel_.function == other.kernel_.function && kernel_.kernel == other.kernel_.kernel &&
             kernel_.context == other.kernel_.context && kernel_.grid == other.kernel_.grid &&
             kernel_.block == other.kernel_.block && kernel_.shared_bytes == other.kernel_.shared_bytes;
    case kGraphMemcpy:
      return is_same(copy_.from, other.copy_.from) && is_same(copy_.to, other.copy_.to) &&
             copy_.width_bytes == other.copy_.width_bytes && copy_.height == other.copy_.height &&
             copy_.depth == other.copy_.depth;
    case kGraphMemset:
      return fill_.pitch == other.fill_.pitch && fill_.value == other.fill_.value &&
             fill_.element_bytes == other.fill_.element_bytes && fill_.width == other.fill_.width &&
             fill_.height == other.fill_.height;
    default: return true;
  }
}

DevicePointer GraphNode::word(std::size_t offset) const noexcept {
  DevicePointer value = 0;
  std::memcpy(&value, bytes_.data() + offset, sizeof value);
  return value;
}

void GraphNode::set_word(std::size_t offset, DevicePointer value) noexcept {
  std::memcpy(bytes_.data() + offset, &value, sizeof value);
}

void GraphNode::update(GraphExecHandle exec, ContextHandle context) {
  const Driver& table = driver();
  switch (type_) {
    case kGraphKernel: {
      std::array<void*, 5> packed{kLaunchBuffer, bytes_.data(), kLaunchBufferSize, &packed_bytes_,
                                  kLaunchEnd};
      const bool is_packed = packed_bytes_ != 0;
      kernel_.parameters = is_packed ? nullptr : parameters_.data();
      kernel_.extra = is_packed ? packed.data() : nullptr;
      check(table.graph_exec_kernel_node_set_params(exec, node_, &kernel_), "cuGraphExecKernelNodeSetParams",
            kWhat);
      break;
    }
    case kGraphMemcpy:
      copy_.from.device = word(kFrom);
      copy_.to.device = word(kTo);
      check(table.graph_exec_memcpy_node_set_params(exec, node_, &copy_, context),
            "cuGraphExecMemcpyNodeSetParams", kWhat);
      break;
    case kGraphMemset:
      fill_.to = word(0);
      check(table.graph_exec_memset_node_set_params(exec, node_, &fill_, context),
            "cuGraphExecMemsetNodeSetParams", kWhat);
      break;
    default: break;
  }
}

}  // namespace penstock::cuda
