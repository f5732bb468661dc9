#include "on_recorder.hpp"

#include "entries.hpp"

#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace penstock::recording {

void PrintTo(const Alive& alive, std::ostream* out) {
  *out << alive.streams << " streams, " << alive.events << " events, " << alive.green_contexts
       << " green contexts, " << alive.primary_contexts << " primary contexts, " << alive.modules
       << " modules, " << alive.graphs << " graphs, " << alive.graph_execs << " executable graphs, "
       << alive.user_objects << " user objects, " << alive.device_bytes << " bytes, " << alive.host_bytes
       << " bytes of the host";
}

}  // namespace penstock::recording

namespace penstock::testing {
namespace {

// Before the first test asks for the driver, which is opened once.
const bool recorder_is_used = ::setenv("PENSTOCK_LIBCUDA", PENSTOCK_RECORDING_DRIVER, 1) == 0 &&
                              ::setenv("PENSTOCK_CUBLASLT", PENSTOCK_RECORDING_CUBLASLT, 1) == 0 &&
                              ::setenv("PENSTOCK_CUPTI", PENSTOCK_RECORDING_CUPTI, 1) == 0;

/// Of the driver that is played: the newest, or what a run of the tests is to be about.
int driver_version() {
  const char* const wanted = ::getenv("PENSTOCK_RECORDING_VERSION");
  return wanted != nullptr ? std::atoi(wanted) : recording::Machine().driver_version;
}

}  // namespace

Current::Current(void* context) {
  EXPECT_EQ(cuCtxPushCurrent_v2(static_cast<cuda::ContextHandle>(context)), cuda::kSuccess);
}

Current::~Current() {
  cuda::ContextHandle popped = nullptr;
  cuCtxPopCurrent_v2(&popped);
}

Primary::Primary(int device) : device_(device) {
  cuda::ContextHandle context = nullptr;
  EXPECT_EQ(cuInit(0), cuda::kSuccess);
  EXPECT_EQ(cuDevicePrimaryCtxRetain(&context, device), cuda::kSuccess);
  handle_ = context;
}

Primary::~Primary() { cuDevicePrimaryCtxRelease_v2(device_); }

OnRecorder::OnRecorder() {
  EXPECT_TRUE(recorder_is_used);
  penstock_recording_reset({.driver_version = driver_version()});
  // A fresh machine is not initialized, and the library does that once a process.
  EXPECT_EQ(cuInit(0), cuda::kSuccess);
}

OnRecorder::~OnRecorder() {
  EXPECT_EQ(alive(), recording::Alive{}) << penstock_recording_log();
  EXPECT_EQ(current_context(), nullptr);
  EXPECT_STREQ(penstock_recording_violations(), "");
}

Model OnRecorder::load(std::string_view package, int device) {
  return Model::load(open_package(package, kGpuPackages),
                     {.model = {}, .device = {DeviceType::Cuda, device}, .weights = {}, .progress = {}});
}

std::vector<Tensor> OnRecorder::inputs_of(std::string_view package, int device) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : recorded(package, "inputs", kGpuPackages)) {
    inputs.push_back(copy_to_device(input.view(), {DeviceType::Cuda, device}));
  }
  return inputs;
}

std::vector<std::string> Calls::lines() {
  std::istringstream log(penstock_recording_log());
  std::vector<std::string> lines;
  for (std::string line; std::getline(log, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> Calls::of(std::initializer_list<std::string_view> names) {
  std::vector<std::string> found = lines();
  std::erase_if(found, [&](const std::string& line) {
    return std::none_of(names.begin(), names.end(),
                        [&](std::string_view name) { return line.starts_with(name); });
  });
  return found;
}

std::vector<std::string> Calls::work() {
  return of({"cuLaunch", "cuGraphLaunch", "cuMemcpy", "cuMemset", "cuEventRecord", "cuStreamWaitEvent",
             "cuStreamSynchronize"});
}

std::string log_name(StreamView stream) {
  // An event recorded on it names it.
  const std::string before = penstock_recording_log();
  {
    const Event event = Event::create({.device = stream.device().index});
    event.record(stream);
  }
  const std::string line = std::string(penstock_recording_log()).substr(before.size());
  const std::size_t record = line.find("cuEventRecord");
  const std::size_t begin = line.find("stream", record);
  return begin == std::string::npos ? line : line.substr(begin, line.find('\n', begin) - begin);
}

void expect_all_on(StreamView stream, const std::vector<std::string>& work) {
  EXPECT_FALSE(work.empty());
  const std::string name = log_name(stream);
  EXPECT_THAT(work, ::testing::Each(::testing::HasSubstr(name)));
}

void* current_context() {
  cuda::ContextHandle context = nullptr;
  EXPECT_EQ(cuCtxGetCurrent(&context), cuda::kSuccess);
  return context;
}

}  // namespace penstock::testing
