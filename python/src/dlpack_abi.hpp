#pragma once

#include <cstdint>

/// The structures of DLPack 1.3, by which array libraries of Python hand each other memory.
/// Source: dlpack/dlpack.h (layout), data-apis.org/array-api (the Python side).
namespace penstock::python::dlpack {

enum DeviceType : std::int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum TypeCode : std::uint8_t {
  kInt = 0,
  kUInt = 1,
  kFloat = 2,
  kBFloat = 4,
  kComplex = 5,
  kBool = 6,
  kFloat8E4M3FN = 10,
  kFloat8E4M3FNUZ = 11,
  kFloat8E5M2 = 12,
  kFloat8E5M2FNUZ = 13,
  kFloat8E8M0FNU = 14,
};

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

struct Device {
  std::int32_t type;  ///< DeviceType
  std::int32_t index;
};

struct DataType {
  std::uint8_t code;  ///< TypeCode
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t rank;
  DataType dtype;
  std::int64_t* sizes;
  std::int64_t* strides;  ///< In elements; null: row-major.
  std::uint64_t byte_offset;
};

/// In capsules called "dltensor".
struct ManagedTensor {
  Tensor tensor;
  void* owner;
  void (*deleter)(ManagedTensor*);
};

/// In capsules called "dltensor_versioned".
struct VersionedTensor {
  Version version;
  void* owner;
  void (*deleter)(VersionedTensor*);
  std::uint64_t flags;
  Tensor tensor;
};

inline constexpr std::uint64_t kReadOnly = 1;
inline constexpr std::uint64_t kIsCopied = 2;
inline constexpr std::uint32_t kMajorVersion = 1;

/// What the type of a tensor offers in `__dlpack_c_exchange_api__`, a capsule called "dlpack_exchange_api".
/// All functions return 0, or -1 with a Python error set. None of them waits for a stream.
struct ExchangeApi {
  Version version;
  ExchangeApi* previous;
  void* allocate;
  int (*take)(void* object, VersionedTensor** out);
  int (*give)(VersionedTensor* tensor, void** object);
  int (*borrow)(void* object, Tensor* out);  ///< May be null. `sizes` and `strides` are the object's.
  int (*current_stream)(std::int32_t device_type, std::int32_t device, void** stream);
};

}  // namespace penstock::python::dlpack
