#include "gpu.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <thread>

namespace penstock::testing {
namespace {

/// `hold` writes down its SM, counts itself as running and spins until the signal; `fault` writes to
/// address 16.
constexpr const char* kPtx = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry hold(.param .u64 words)
{
  .reg .pred %p<4>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<6>;
  ld.param.u64 %rd1, [words];
  mov.u32 %r1, %tid.x;
  setp.ne.u32 %p1, %r1, 0;
  @%p1 bra WAIT;
  mov.u32 %r4, %smid;
  mov.u32 %r5, %ctaid.x;
  mul.wide.u32 %rd5, %r5, 4;
  add.u64 %rd5, %rd5, %rd1;
  st.volatile.global.u32 [%rd5+8], %r4;
  membar.sys;
  atom.sys.global.add.u32 %r2, [%rd1+4], 1;
WAIT:
  mov.u64 %rd2, %globaltimer;
  add.u64 %rd3, %rd2, 20000000000;
LOOP:
  ld.volatile.global.u32 %r3, [%rd1];
  setp.ne.u32 %p2, %r3, 0;
  @%p2 bra DONE;
  mov.u64 %rd4, %globaltimer;
  setp.lt.u64 %p3, %rd4, %rd3;
  @%p3 bra LOOP;
DONE:
  ret;
}
.visible .entry fault()
{
  .reg .b64 %rd<2>;
  .reg .b32 %r<2>;
  mov.u64 %rd1, 16;
  mov.u32 %r1, 1;
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

constexpr unsigned kMostHeldBlocks = 1024;

void require(cuda::Result result, const char* what) {
  if (result == cuda::kSuccess) return;
  throw std::runtime_error(std::string(what) + " failed with " + std::to_string(result));
}

template <class Function>
void find(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function != nullptr) return;
  std::fprintf(stderr, "the CUDA driver has no %s\n", name);
  std::exit(2);
}

DriverCalls open_driver() {
  void* const library = ::dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    std::exit(2);
  }
  DriverCalls calls{};
  find(library, calls.init, "cuInit");
  find(library, calls.primary_retain, "cuDevicePrimaryCtxRetain");
  find(library, calls.primary_release, "cuDevicePrimaryCtxRelease_v2");
  find(library, calls.push, "cuCtxPushCurrent_v2");
  find(library, calls.pop, "cuCtxPopCurrent_v2");
  find(library, calls.current, "cuCtxGetCurrent");
  find(library, calls.memory_info, "cuMemGetInfo_v2");
  find(library, calls.host_alloc, "cuMemHostAlloc");
  find(library, calls.host_free, "cuMemFreeHost");
  find(library, calls.managed_alloc, "cuMemAllocManaged");
  find(library, calls.free, "cuMemFree_v2");
  find(library, calls.module_load, "cuModuleLoadData");
  find(library, calls.module_unload, "cuModuleUnload");
  find(library, calls.module_function, "cuModuleGetFunction");
  find(library, calls.launch, "cuLaunchKernel");
  find(library, calls.device_resource, "cuDeviceGetDevResource");
  find(library, calls.split, "cuDevSmResourceSplitByCount");
  find(library, calls.description, "cuDevResourceGenerateDesc");
  find(library, calls.green_create, "cuGreenCtxCreate");
  find(library, calls.green_destroy, "cuGreenCtxDestroy");
  find(library, calls.green_stream, "cuGreenCtxStreamCreate");
  find(library, calls.stream_destroy, "cuStreamDestroy_v2");
  find(library, calls.begin_capture, "cuStreamBeginCapture_v2");
  find(library, calls.end_capture, "cuStreamEndCapture");
  find(library, calls.synchronize, "cuCtxSynchronize");
  find(library, calls.graph_destroy, "cuGraphDestroy");
  find(library, calls.graph_instantiate, "cuGraphInstantiateWithFlags");
  find(library, calls.graph_launch, "cuGraphLaunch");
  find(library, calls.graph_exec_destroy, "cuGraphExecDestroy");
  find(library, calls.copy_to, "cuMemcpyHtoD_v2");
  require(calls.init(0), "cuInit");
  return calls;
}

cuda::ModuleHandle load_kernels() {
  cuda::ModuleHandle module = nullptr;
  require(driver().module_load(&module, kPtx), "cuModuleLoadData");
  return module;
}

/// A kernel of the text above. The primary context is current.
cuda::FunctionHandle kernel(cuda::ModuleHandle module, const char* name) {
  cuda::FunctionHandle function = nullptr;
  require(driver().module_function(&function, module, name), "cuModuleGetFunction");
  return function;
}

}  // namespace

const DriverCalls& driver() {
  static const DriverCalls kCalls = open_driver();
  return kCalls;
}

InPrimary::InPrimary() {
  require(driver().primary_retain(&context_, 0), "cuDevicePrimaryCtxRetain");
  require(driver().push(context_), "cuCtxPushCurrent");
}

InPrimary::~InPrimary() {
  cuda::ContextHandle popped = nullptr;
  driver().pop(&popped);
  driver().primary_release(0);
}

Current::Current(void* context) {
  require(driver().push(static_cast<cuda::ContextHandle>(context)), "cuCtxPushCurrent");
}

Current::~Current() {
  cuda::ContextHandle popped = nullptr;
  driver().pop(&popped);
}

Held::Held(StreamView stream) : stream_(stream) {
  const InPrimary context;
  module_ = load_kernels();
  function_ = kernel(module_, "hold");
  void* memory = nullptr;
  require(driver().host_alloc(&memory, (2 + kMostHeldBlocks) * sizeof(unsigned),
                              cuda::kHostPortable | cuda::kHostDeviceMap),
          "cuMemHostAlloc");
  words_ = static_cast<unsigned*>(memory);
}

Held::~Held() {
  let_go();
  stream_.synchronize();
  const InPrimary context;
  driver().host_free(const_cast<unsigned*>(words_));
  driver().module_unload(module_);
}

void Held::hold(unsigned blocks, unsigned threads) {
  ASSERT_LE(blocks, kMostHeldBlocks);
  const InPrimary context;
  blocks_ = blocks;
  words_[0] = 0;
  words_[1] = 0;
  void* memory = const_cast<unsigned*>(words_);
  std::array<void*, 1> arguments{&memory};
  require(driver().launch(function_, blocks, 1, 1, threads, 1, 1, 0,
                          static_cast<cuda::StreamHandle>(stream_.handle()), arguments.data(), nullptr),
          "cuLaunchKernel");
}

void Held::wait_until_running() const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (words_[1] < blocks_ && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(words_[1], blocks_);
}

void Held::let_go() { words_[0] = 1; }

std::vector<unsigned> Held::sms() const { return {words_ + 2, words_ + 2 + blocks_}; }

std::set<unsigned> sms_of(StreamView stream) {
  const std::vector<unsigned> blocks = probe_sms(stream);
  EXPECT_FALSE(blocks.empty());
  return {blocks.begin(), blocks.end()};
}

void launch_fault(StreamView stream) {
  const InPrimary context;
  cuda::FunctionHandle const function = kernel(load_kernels(), "fault");
  require(driver().launch(function, 1, 1, 1, 1, 1, 1, 0, static_cast<cuda::StreamHandle>(stream.handle()),
                          nullptr, nullptr),
          "cuLaunchKernel");
}

/// Which folder of packages it is in.
static std::string_view torch_of(std::string_view package) {
  constexpr std::array<std::string_view, 8> kEngines{"alone",  "pipeline", "cache",    "sized",
                                                     "shaped", "spread",   "streamed", "everything"};
  return std::ranges::find(kEngines, package) != kEngines.end() ? kEnginePackages : kGpuPackages;
}

std::filesystem::path double_path(std::string_view numbering) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  return program.parent_path().parent_path() / "lib" /
         ("libpenstock_tensorrt_double_" + std::string(numbering) + ".so");
}

std::vector<Tensor> inputs_of(std::string_view package) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : recorded(package, "inputs", torch_of(package))) {
    const bool stays = package == "host_input" && inputs.size() == 1;
    inputs.push_back(stays ? input : copy_to_device(input.view(), kGpu));
  }
  return inputs;
}

std::vector<Tensor> on_host(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> copies;
  for (const Tensor& tensor : tensors) {
    copies.push_back(tensor.view().device() == Device{} ? tensor : copy_to_host(tensor.view()));
  }
  return copies;
}

std::vector<Tensor> copies_of(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> made;
  for (const Tensor& tensor : tensors)
    made.push_back(copy_to_device(copy_to_host(tensor.view()).view(), kGpu));
  return made;
}

Model load_on_gpu(std::string_view package, std::string_view numbering) {
  LoadOptions options;
  options.device = kGpu;
  options.tensorrt = {double_path(numbering)};
  return Model::load(open_package(package, torch_of(package)), options);
}

void expect_recorded(std::string_view package, const std::vector<Tensor>& outputs) {
  std::vector<Tensor> expected = recorded(package, "outputs", torch_of(package));
  if (package == "spread") {
    // The others are the SMs that the blocks ran on.
    const std::vector<Tensor> last = on_host({outputs.back()});
    return expect_same(last, {expected.back()});
  }
  const bool has_convolution = package.starts_with("conv") || package == "everything";
  if (!has_convolution || package.ends_with("16")) return expect_same(on_host(outputs), expected);
  // Convolutions may round to TF32, 10 bits behind the point, and the algorithms of a partition are others.
  constexpr double kTf32 = 2e-3;
  const std::vector<Tensor> given = on_host(outputs);
  ASSERT_EQ(given.size(), expected.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    ASSERT_EQ(sizes_of(given[i].view()), sizes_of(expected[i].view()));
    const std::vector<double> left = numbers(given[i].view());
    const std::vector<double> right = numbers(expected[i].view());
    const auto largest = [](double most, double value) { return std::max(most, std::abs(value)); };
    const double room = kTf32 * std::accumulate(right.begin(), right.end(), 0.0, largest);
    for (std::size_t k = 0; k < left.size(); ++k)
      ASSERT_NEAR(left[k], right[k], room) << "out" << i << " " << k;
  }
}

std::size_t free_bytes() {
  const InPrimary context;
  std::size_t free = 0;
  std::size_t total = 0;
  require(driver().memory_info(&free, &total), "cuMemGetInfo");
  return free;
}

}  // namespace penstock::testing
