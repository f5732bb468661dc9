#pragma once

#include <penstock/dtype.hpp>

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include <memory>
#include <string>
#include <string_view>

namespace penstock::cpu {

/// The functions of oneDNN that are used, found in the library when it is first needed. It is never
/// linked, so that models without a large product start without it.
struct OnednnApi {
#define PENSTOCK_ONEDNN_FUNCTIONS(X)             \
  X(status2str)                                  \
  X(version)                                     \
  X(engine_create)                               \
  X(stream_create)                               \
  X(stream_destroy)                              \
  X(stream_wait)                                 \
  X(memory_desc_create_with_strides)             \
  X(memory_desc_create_with_tag)                 \
  X(memory_desc_clone)                           \
  X(memory_desc_destroy)                         \
  X(memory_desc_equal)                           \
  X(memory_desc_get_size)                        \
  X(memory_create)                               \
  X(memory_destroy)                              \
  X(memory_set_data_handle)                      \
  X(primitive_attr_create)                       \
  X(primitive_attr_destroy)                      \
  X(primitive_attr_set_post_ops)                 \
  X(primitive_attr_set_scratchpad_mode)          \
  X(post_ops_create)                             \
  X(post_ops_destroy)                            \
  X(post_ops_append_sum)                         \
  X(post_ops_append_eltwise)                     \
  X(primitive_desc_destroy)                      \
  X(primitive_desc_query_md)                     \
  X(primitive_create)                            \
  X(primitive_destroy)                           \
  X(primitive_execute)                           \
  X(reorder_primitive_desc_create)               \
  X(matmul_primitive_desc_create)                \
  X(convolution_forward_primitive_desc_create)   \
  X(deconvolution_forward_primitive_desc_create) \
  X(lstm_forward_primitive_desc_create)
#define PENSTOCK_ONEDNN_MEMBER(name) decltype(&::dnnl_##name) name = nullptr;
  PENSTOCK_ONEDNN_FUNCTIONS(PENSTOCK_ONEDNN_MEMBER)
#undef PENSTOCK_ONEDNN_MEMBER

  dnnl_engine_t engine = nullptr;  ///< The CPU's, for the whole process.
  /// OpenMP's, from the runtime that this oneDNN uses; null where it uses none.
  int (*get_max_threads)() = nullptr;
  void (*set_num_threads)(int) = nullptr;
};

/// The table; null where oneDNN is not installed or cannot be used. Thread: thread-safe.
const OnednnApi* onednn() noexcept;

/// As above. Errors: Unsupported says that `operation` needs oneDNN, why it is not there and how to
/// get it.
const OnednnApi& require_onednn(std::string_view operation);

/// oneDNN's name of a float of 32 or 16 bits. Errors: Unsupported for another dtype of what `operation` is
/// of.
dnnl_data_type_t onednn_float_type(std::string_view operation, DType dtype);

/// Throws for a failed call. `what` names the operator and its shapes.
/// Errors: OutOfMemory, Unsupported (not implemented by oneDNN for this machine), Internal.
void check_onednn(dnnl_status_t status, std::string_view call, std::string_view what);

template <auto kDestroy>
struct OnednnDestroyer {
  template <class T>
  void operator()(T* handle) const noexcept {
    (onednn()->*kDestroy)(handle);
  }
};

using OnednnStream = std::unique_ptr<dnnl_stream, OnednnDestroyer<&OnednnApi::stream_destroy>>;
using MemoryDesc = std::unique_ptr<dnnl_memory_desc, OnednnDestroyer<&OnednnApi::memory_desc_destroy>>;
using Memory = std::unique_ptr<dnnl_memory, OnednnDestroyer<&OnednnApi::memory_destroy>>;
using PrimitiveAttr =
    std::unique_ptr<dnnl_primitive_attr, OnednnDestroyer<&OnednnApi::primitive_attr_destroy>>;
using PostOps = std::unique_ptr<dnnl_post_ops, OnednnDestroyer<&OnednnApi::post_ops_destroy>>;
using PrimitiveDesc =
    std::unique_ptr<dnnl_primitive_desc, OnednnDestroyer<&OnednnApi::primitive_desc_destroy>>;
using Primitive = std::unique_ptr<dnnl_primitive, OnednnDestroyer<&OnednnApi::primitive_destroy>>;

/// Bounds the threads of oneDNN's calls in this scope; the caller's OpenMP setting comes back after it.
class OnednnThreads {
 public:
  OnednnThreads(const OnednnApi& api, int threads) noexcept;
  ~OnednnThreads();
  OnednnThreads(const OnednnThreads&) = delete;
  OnednnThreads& operator=(const OnednnThreads&) = delete;

  /// Threads that calls in this scope may use.
  [[nodiscard]] int count() const noexcept { return count_; }

 private:
  const OnednnApi& api_;
  int before_ = 1;
  int count_ = 1;
};

}  // namespace penstock::cpu
