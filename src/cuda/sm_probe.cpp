#include "base/fail.hpp"
#include "cuda/execution_resource.hpp"
#include "cuda/graph.hpp"

#include <penstock/partition.hpp>

#include <utility>

namespace penstock {
namespace {

using cuda::check_stream;

// Text, so that any driver compiles it for any GPU. Each block writes down its SM and stays there for a
// while, so that the others go elsewhere.
constexpr const char* kSource = R"(.version 7.0
.target sm_52
.address_size 64

.visible .entry penstock_sm_probe(.param .u64 out, .param .u64 cycles)
{
  .reg .pred %stay;
  .reg .pred %other;
  .reg .b32 %sm, %block, %thread;
  .reg .b64 %address, %offset, %begin, %now, %passed, %wanted;
  mov.u64 %begin, %clock64;
  mov.u32 %thread, %tid.x;
  setp.ne.u32 %other, %thread, 0;
  @%other bra wait;
  mov.u32 %sm, %smid;
  mov.u32 %block, %ctaid.x;
  ld.param.u64 %address, [out];
  cvta.to.global.u64 %address, %address;
  mul.wide.u32 %offset, %block, 4;
  add.u64 %address, %address, %offset;
  st.global.u32 [%address], %sm;
wait:
  ld.param.u64 %wanted, [cycles];
again:
  mov.u64 %now, %clock64;
  sub.u64 %passed, %now, %begin;
  setp.lt.u64 %stay, %passed, %wanted;
  @%stay bra again;
  ret;
}
)";
constexpr unsigned long long kCycles = 200'000;  ///< About a tenth of a millisecond.
constexpr unsigned kThreads = 1024;              ///< No more than two such blocks fit on an SM at a time.
constexpr unsigned kBlocksPerSm = 4;

/// What a probe makes in the current context, given back in the end.
class Probe {
 public:
  Probe(cuda::StreamHandle stream, unsigned blocks) : stream_(stream), blocks_(blocks) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() {
    const cuda::Driver& table = cuda::opened_driver().table;
    if (memory_ != 0) report(table.mem_free(memory_), "cuMemFree");
    if (module_ != nullptr) report(table.module_unload(module_), "cuModuleUnload");
  }

  std::vector<unsigned> run() {
    const cuda::Driver& table = cuda::driver();
    const std::size_t bytes = std::size_t{blocks_} * sizeof(unsigned);
    cuda::FunctionHandle function = nullptr;
    check_stream(table.module_load_data(&module_, kSource), "cuModuleLoadData", stream_);
    check_stream(table.module_get_function(&function, module_, "penstock_sm_probe"), "cuModuleGetFunction",
                 stream_);
    cuda::check(table.mem_alloc(&memory_, bytes), "cuMemAlloc", fmt::format("{} bytes", bytes));
    unsigned long long cycles = kCycles;
    void* arguments[]{&memory_, &cycles};
    check_stream(table.launch_kernel(function, blocks_, 1, 1, kThreads, 1, 1, 0, stream_, arguments, nullptr),
                 "cuLaunchKernel", stream_);
    check_stream(table.stream_synchronize(stream_), "cuStreamSynchronize", stream_);
    std::vector<unsigned> sms(blocks_);
    check_stream(table.memcpy_dtoh_async(sms.data(), memory_, bytes, stream_), "cuMemcpyDtoHAsync", stream_);
    check_stream(table.stream_synchronize(stream_), "cuStreamSynchronize", stream_);
    return sms;
  }

 private:
  static void report(cuda::Result result, const char* name) noexcept {
    if (result != cuda::kSuccess) cuda::report_failed_release(result, name, "a probe of SMs");
  }

  cuda::StreamHandle stream_;
  unsigned blocks_;
  cuda::ModuleHandle module_ = nullptr;
  cuda::DevicePointer memory_ = 0;
};

}  // namespace

std::vector<unsigned> probe_sms(StreamView stream) {
  cuda::StreamHandle const handle = cuda::handle_of(stream);
  const cuda::StreamScope scope(handle);
  // A capture of another stream is no concern of a probe.
  const cuda::CaptureModeScope mode(cuda::kCaptureRelaxed);
  if (stream.is_capturing()) {
    base::fail(ErrorCode::InvalidArgument,
               "{} is being captured; a probe runs and waits, so end the capture first",
               cuda::stream_text(handle));
  }
  return Probe(handle, cuda::sm_count_of(scope.resource().device) * kBlocksPerSm).run();
}

}  // namespace penstock
