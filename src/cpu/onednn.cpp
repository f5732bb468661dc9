#include "cpu/onednn.hpp"

#include "base/fail.hpp"
#include "system/dynamic_library.hpp"

#include <algorithm>

namespace penstock::cpu {
namespace {

struct LoadedOnednn {
  OnednnApi api;
  bool usable = false;
  std::string problem;
};

template <class T>
bool find(const system::DynamicLibrary& library, const char* name, T& function) {
  function = reinterpret_cast<T>(library.find(name));
  return function != nullptr;
}

LoadedOnednn load() {
  LoadedOnednn loaded;
  const system::DynamicLibrary& library = system::onednn();
  if (!library.is_open()) {
    loaded.problem = library.reasons();
    return loaded;
  }
  OnednnApi& api = loaded.api;
#define PENSTOCK_ONEDNN_FIND(name)                                         \
  if (!find(library, "dnnl_" #name, api.name)) {                           \
    loaded.problem = fmt::format("{} has no dnnl_" #name, library.path()); \
    return loaded;                                                         \
  }
  PENSTOCK_ONEDNN_FUNCTIONS(PENSTOCK_ONEDNN_FIND)
#undef PENSTOCK_ONEDNN_FIND
  const dnnl_version_t& version = *api.version();
  if (version.major != DNNL_VERSION_MAJOR || version.minor < DNNL_VERSION_MINOR) {
    loaded.problem = fmt::format("{} is oneDNN {}.{}", library.path(), version.major, version.minor);
    return loaded;
  }
  // Never destroyed: sessions may outlive static objects.
  if (const dnnl_status_t status = api.engine_create(&api.engine, dnnl_cpu, 0); status != dnnl_success) {
    loaded.problem = fmt::format("{}: no CPU engine: {}", library.path(), api.status2str(status));
    return loaded;
  }
  // dlsym on its handle also looks into what it needs, which is the OpenMP runtime that counts.
  if (!find(library, "omp_get_max_threads", api.get_max_threads) ||
      !find(library, "omp_set_num_threads", api.set_num_threads)) {
    api.get_max_threads = nullptr;
  }
  loaded.usable = true;
  return loaded;
}

const LoadedOnednn& loaded_onednn() {
  static const LoadedOnednn loaded = load();
  return loaded;
}

}  // namespace

const OnednnApi* onednn() noexcept {
  const LoadedOnednn& loaded = loaded_onednn();
  return loaded.usable ? &loaded.api : nullptr;
}

const OnednnApi& require_onednn(std::string_view operation) {
  const LoadedOnednn& loaded = loaded_onednn();
  if (!loaded.usable && system::onednn().lacks_memory()) {
    base::fail(ErrorCode::OutOfMemory,
               "{} needs oneDNN, and memory to map it could not be had: start the program again with more "
               "(ulimit -v, or the limit of its container)\n{}",
               operation, loaded.problem);
  }
  if (!loaded.usable) {
    base::fail(
        ErrorCode::Unsupported,
        "{} needs oneDNN {}.{} or a later 3.x (libdnnl.so.3), and none could be opened: take the file of "
        "the wheel onednn-cpu-gomp of PyPI or of conda-forge's onednn, and name it in PENSTOCK_ONEDNN\n{}",
        operation, DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, loaded.problem);
  }
  return loaded.api;
}

dnnl_data_type_t onednn_float_type(std::string_view operation, DType dtype) {
  switch (dtype) {
    case DType::Float32: return dnnl_f32;
    case DType::BFloat16: return dnnl_bf16;
    case DType::Float16: return dnnl_f16;
    default: break;
  }
  base::fail(ErrorCode::Unsupported, "{} of {} tensors", operation, dtype_name(dtype));
}

void check_onednn(dnnl_status_t status, std::string_view call, std::string_view what) {
  if (status == dnnl_success) return;
  const char* const name = onednn()->status2str(status);
  switch (status) {
    case dnnl_out_of_memory:
      base::fail(ErrorCode::OutOfMemory, "{}: oneDNN's {} is out of memory", what, call);
    case dnnl_unimplemented:
      base::fail(ErrorCode::Unsupported, "{}: oneDNN has no implementation of it for this CPU ({}: {})", what,
                 call, name);
    default: base::fail(ErrorCode::Internal, "{}: oneDNN's {} failed: {}", what, call, name);
  }
}

OnednnThreads::OnednnThreads(const OnednnApi& api, int threads) noexcept : api_(api) {
  if (api_.get_max_threads == nullptr) return;
  before_ = api_.get_max_threads();
  // An upper bound only: whoever set fewer threads for this program meant it.
  count_ = std::clamp(threads, 1, before_);
  if (count_ != before_) api_.set_num_threads(count_);
}

OnednnThreads::~OnednnThreads() {
  if (count_ != before_) api_.set_num_threads(before_);
}

}  // namespace penstock::cpu
