#include "actions.hpp"
#include "double_host.hpp"
#include "entries.hpp"
#include "recording_driver.hpp"

#include <gmock/gmock.h>

#include <stdlib.h>

#include <memory>

namespace penstock::trt_double {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// clang-format off
constexpr Slots kTen{"10", PENSTOCK_DOUBLE_10, 101600, false, 11,
                     19, 20, 23, 29, 30, 31, 33, 46, 48, 49, 52, 54, 58, 18,
                     17, 21, 22, 24, 28, 29, 32, 34, 37, 42, 49, 53};
constexpr Slots kEleven{"11", PENSTOCK_DOUBLE_11, 110100, true, 10,
                        15, 16, 19, 25, 26, 27, 29, 38, 40, 41, 44, 46, 50, 14,
                        16, 20, 21, 23, 27, 28, 31, 33, 36, 41, 48, 52};
constexpr Slots kRtx{"rtx", PENSTOCK_DOUBLE_RTX, 10701, true, 10,
                     15, 16, 19, 25, 26, 27, 29, 38, 40, 41, 44, 46, 50, 14,
                     16, 20, 21, 23, 27, 28, 31, 33, 36, 41, 48, 53};

constexpr const char* kInput = R"({"name":"x","mode":"input","shape":[-1,4],
  "profiles":[{"min":[1,4],"opt":[2,4],"max":[8,4]}]})";
// clang-format on

const bool recorder_is_used = ::setenv("PENSTOCK_LIBCUDA", PENSTOCK_RECORDING_DRIVER, 1) == 0;

std::string affine_plan(const std::string& members = "") {
  return std::string("{") + members + R"("name":"small","tensors":[)" + kInput +
         R"(,{"name":"y","mode":"output","shape":[-1,4]}],
    "layers":[{"name":"twice","kind":"affine","inputs":["x"],"output":"y","scale":2,"bias":1}]})";
}

Dims dims(std::initializer_list<std::int64_t> sizes) {
  Dims made;
  for (const std::int64_t each : sizes) made.sizes[static_cast<std::size_t>(made.count++)] = each;
  return made;
}

class Double : public ::testing::TestWithParam<Slots> {
 protected:
  Double() : library_(GetParam().library), logger_(GetParam().versioned_logger) {
    EXPECT_TRUE(recorder_is_used);
    penstock_recording_reset({});
    add_kernel_actions();
    library_.find<void()>("penstock_double_clear")();
    EXPECT_EQ(cuInit(0), cuda::kSuccess);
    cuda::ContextHandle primary = nullptr;
    EXPECT_EQ(cuDevicePrimaryCtxRetain(&primary, 0), cuda::kSuccess);
    EXPECT_EQ(cuCtxPushCurrent_v2(primary), cuda::kSuccess);
    stream_ = new_stream();
    create_runtime();
  }

  ~Double() override {
    context_.reset();
    engine_.reset();
    runtime_.reset();
    for (void* const each : memory_) EXPECT_EQ(cuMemFree_v2(address(each)), cuda::kSuccess);
    for (const cuda::StreamHandle each : streams_) EXPECT_EQ(cuStreamDestroy_v2(each), cuda::kSuccess);
    cuda::ContextHandle popped = nullptr;
    cuCtxPopCurrent_v2(&popped);
    cuDevicePrimaryCtxRelease_v2(0);
    EXPECT_EQ(penstock_recording_alive(), recording::Alive{}) << penstock_recording_log();
    EXPECT_STREQ(penstock_recording_violations(), "");
    const PenstockDoubleAlive alive = library_.find<PenstockDoubleAlive()>("penstock_double_alive")();
    EXPECT_EQ(alive.runtimes + alive.engines + alive.contexts, 0U);
    EXPECT_EQ(alive.bytes, 0U);
    EXPECT_THAT(calls(), Not(HasSubstr("violation")));
  }

  static const Slots& slots() { return GetParam(); }
  static cuda::DevicePointer address(void* memory) { return reinterpret_cast<cuda::DevicePointer>(memory); }

  void create_runtime() {
    auto* const create = library_.find<void*(void*, std::int32_t)>("createInferRuntime_INTERNAL");
    runtime_ = std::make_unique<Held>(create(logger_.object(), slots().version));
  }

  void* deserialize(const std::string& plan) {
    const std::string text = "penstock-double\n" + plan;
    return call<void*>(runtime_->get(), kDeserialize, text.data(), text.size());
  }

  void load(const std::string& plan, AllocationStrategy strategy = AllocationStrategy::Static) {
    engine_ = std::make_unique<Held>(deserialize(plan));
    ASSERT_NE(engine_->get(), nullptr) << logger_.text();
    context_ = std::make_unique<Held>(call<void*>(engine_->get(), kCreateContext, strategy));
    ASSERT_NE(context_->get(), nullptr) << logger_.text();
  }

  template <class Result, class... Arguments>
  Result engine(int slot, Arguments... arguments) {
    return call<Result>(engine_->get(), slot, arguments...);
  }
  template <class Result, class... Arguments>
  Result context(int slot, Arguments... arguments) {
    return call<Result>(context_->get(), slot, arguments...);
  }

  bool shape(const char* tensor, const Dims& wanted) {
    return context<bool>(slots().set_input_shape, tensor, &wanted);
  }
  bool bind(const char* tensor, void* memory) { return context<bool>(slots().set_address, tensor, memory); }
  bool enqueue() { return context<bool>(slots().enqueue, stream_); }

  /// Memory of the device, which on the recorder the host can use.
  template <class T>
  T* memory(const std::vector<T>& values) {
    cuda::DevicePointer made = 0;
    EXPECT_EQ(cuMemAlloc_v2(&made, values.size() * sizeof(T)), cuda::kSuccess);
    auto* const begin = reinterpret_cast<T*>(made);
    std::copy(values.begin(), values.end(), begin);
    memory_.push_back(begin);
    return begin;
  }

  cuda::StreamHandle new_stream() {
    cuda::StreamHandle made = nullptr;
    EXPECT_EQ(cuStreamCreateWithPriority(&made, cuda::kStreamNonBlocking, 0), cuda::kSuccess);
    streams_.push_back(made);
    return made;
  }

  void fail(const char* call, int nth) {
    library_.find<void(const char*, int)>("penstock_double_fail")(call, nth);
  }
  std::string calls() { return library_.find<const char*()>("penstock_double_calls")(); }

  Library library_;
  Logger logger_;
  cuda::StreamHandle stream_ = nullptr;
  std::vector<cuda::StreamHandle> streams_;
  std::vector<void*> memory_;
  std::unique_ptr<Held> runtime_, engine_, context_;
};

INSTANTIATE_TEST_SUITE_P(Numberings, Double, ::testing::Values(kTen, kEleven, kRtx),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Double, TellsItsVersionAndItsLogger) {
  EXPECT_EQ(library_.find<std::int32_t()>("getInferLibVersion")(), slots().version);
  EXPECT_EQ(library_.find<std::int32_t()>("getInferLibMajorVersion")(), slots().version / 10000);
  EXPECT_EQ(call<void*>(runtime_->get(), 10), slots().get_logger == 10 ? logger_.object() : nullptr);
  EXPECT_EQ(call<void*>(runtime_->get(), slots().get_logger), logger_.object());
  EXPECT_EQ(call<void*>(runtime_->get(), 2), runtime_->get());
}

TEST_P(Double, RunsOnTheStreamItIsGiven) {
  load(affine_plan());
  EXPECT_EQ(engine<std::int32_t>(slots().io_count), 2);
  EXPECT_STREQ(engine<const char*>(slots().io_name, 1), "y");
  EXPECT_EQ(engine<IoMode>(slots().io_mode, "x"), IoMode::Input);
  EXPECT_EQ(engine<Dims>(slots().get_shape, "x").sizes[0], -1);
  EXPECT_EQ(engine<Dims>(slots().profile_shape, "x", 0, ProfileSelector::Max).sizes[0], 8);
  const char* missing = nullptr;
  EXPECT_EQ(context<std::int32_t>(slots().infer, 1, &missing), 1);
  EXPECT_STREQ(missing, "x");
  ASSERT_TRUE(shape("x", dims({1, 4})));
  EXPECT_EQ(context<std::int32_t>(slots().infer, 0, nullptr), 0);
  EXPECT_EQ(context<Dims>(slots().shape, "y").sizes[0], 1);
  EXPECT_EQ(context<std::int64_t>(slots().most_bytes, "y"), 8 * 4 * 4);
  float* const y = memory<float>({0, 0, 0, 0});
  ASSERT_TRUE(bind("x", memory<float>({1, 2, 3, 4})) && bind("y", y));
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_THAT(std::vector<float>(y, y + 4), ElementsAre(3, 5, 7, 9));
  EXPECT_THAT(calls(), HasSubstr("enqueueV3 context#1 stream 0x"));
  EXPECT_THAT(calls(), HasSubstr("shapes x [1,4] y [1,4]\n"));
}

TEST_P(Double, RefusesWhatItCannotRead) {
  const auto refused = [&](const std::string& bytes) {
    logger_.clear();
    void* const made = call<void*>(runtime_->get(), kDeserialize, bytes.data(), bytes.size());
    EXPECT_EQ(made, nullptr);
    return logger_.text();
  };
  EXPECT_THAT(refused("junk"), StartsWith("1 IRuntime::deserializeCudaEngine: Error Code 1: "));
  EXPECT_THAT(refused("penstock-double\n{"), HasSubstr("Error Code 1: "));
  EXPECT_THAT(refused("penstock-double\n" + affine_plan(R"("numbering":7,)")), HasSubstr("version 7.x"));
  EXPECT_THAT(refused("penstock-double\n" + affine_plan(R"("platform":"windows_x86_64",)")),
              HasSubstr("windows_x86_64"));
  EXPECT_THAT(refused("penstock-double\n" + affine_plan(R"("compute_capability":"8.0",)")),
              HasSubstr("compute capability 9.0"));
  EXPECT_THAT(refused("penstock-double\n" + affine_plan(R"("streams":1,)")), HasSubstr("\"streams\""));
}

TEST_P(Double, RefusesShapesOutsideOfTheProfileAndMissingAddresses) {
  load(affine_plan());
  EXPECT_FALSE(shape("x", dims({9, 4})));
  EXPECT_THAT(logger_.text(), HasSubstr("IExecutionContext::setInputShape: Error Code 3: "));
  EXPECT_FALSE(shape("x", dims({1, 5})));
  EXPECT_FALSE(shape("y", dims({1, 4})));
  EXPECT_FALSE(bind("x", nullptr));
  EXPECT_FALSE(bind("z", memory<float>({0})));
  EXPECT_FALSE(enqueue());
  ASSERT_TRUE(shape("x", dims({1, 4})));
  EXPECT_FALSE(enqueue());
  EXPECT_THAT(logger_.text(), HasSubstr("IExecutionContext::enqueueV3: Error Code 3: "));
  EXPECT_THAT(logger_.text(), HasSubstr("address of x"));
}

TEST_P(Double, WorksInTheMemoryItIsGiven) {
  load(affine_plan(R"("device_memory":512,)"), AllocationStrategy::UserManaged);
  EXPECT_EQ(engine<std::int64_t>(slots().memory_size), 512);
  float* const y = memory<float>({0, 0, 0, 0});
  ASSERT_TRUE(shape("x", dims({1, 4})) && bind("x", memory<float>({1, 2, 3, 4})) && bind("y", y));
  EXPECT_FALSE(enqueue());
  void* const given = memory<char>(std::vector<char>(512));
  context<void>(slots().set_memory, given, std::int64_t{511});
  EXPECT_FALSE(enqueue());
  EXPECT_THAT(logger_.text(), HasSubstr("needs 512 bytes"));
  context<void>(slots().set_memory, given, std::int64_t{512});
  EXPECT_TRUE(enqueue()) << logger_.text();
  EXPECT_EQ(y[3], 9);
}

const char* const kForked = R"({"aux_streams":2,"device_memory":1024,"tensors":[
  {"name":"x","mode":"input","shape":[4]},{"name":"y","mode":"output","shape":[4],"dtype":"float16"}],"layers":[
  {"kind":"affine","inputs":["x"],"output":"a","stream":1,"scale":2},
  {"kind":"affine","inputs":["x"],"output":"b","stream":2,"bias":1},
  {"kind":"affine","inputs":["a","b"],"output":"y"}]})";

TEST_P(Double, UsesAuxiliaryStreamsAndOwnOnesWhereThereAreTooFew) {
  load(kForked);
  EXPECT_EQ(engine<std::int32_t>(slots().aux_count), 2);
  auto* const y = memory<std::uint16_t>({0, 0, 0, 0});
  ASSERT_TRUE(bind("x", memory<float>({1, 2, 3, 4})) && bind("y", y));
  cuda::StreamHandle aux[]{new_stream()};
  context<void>(slots().set_aux, aux, 1);
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_THAT(calls(), ::testing::ContainsRegex("aux 0x[0-9a-f]+ own shapes"));
  EXPECT_EQ(y[0], 0x4400) << "4 as float16";
  EXPECT_EQ(y[3], 0x4a80) << "13 as float16";
  // Without the wait for the other streams' layers, the sum would be of what was there before.
  penstock_recording_hold(aux[0]);
  y[3] = 0;
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_EQ(y[3], 0);
  penstock_recording_let_go(aux[0]);
  EXPECT_EQ(y[3], 0x4a80);
}

TEST_P(Double, IsCapturedWithItsStreams) {
  load(kForked);
  auto* const y = memory<std::uint16_t>({0, 0, 0, 0});
  ASSERT_TRUE(bind("x", memory<float>({1, 2, 3, 4})) && bind("y", y));
  ASSERT_EQ(cuStreamBeginCapture_v2(stream_, cuda::kCaptureThreadLocal), cuda::kSuccess);
  EXPECT_TRUE(enqueue()) << logger_.text();
  cuda::GraphHandle graph = nullptr;
  ASSERT_EQ(cuStreamEndCapture(stream_, &graph), cuda::kSuccess);
  EXPECT_EQ(y[0], 0);
  cuda::GraphExecHandle executable = nullptr;
  ASSERT_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), cuda::kSuccess);
  ASSERT_EQ(cuGraphLaunch(executable, stream_), cuda::kSuccess);
  EXPECT_EQ(y[3], 0x4a80);
  cuGraphExecDestroy(executable);
  cuGraphDestroy(graph);
}

const char* const kNonzero = R"({"tensors":[{"name":"x","mode":"input","shape":[5]},
  {"name":"y","mode":"output","shape":[-1]}],"layers":[{"kind":"nonzero","inputs":["x"],"output":"y"}]})";

TEST_P(Double, AsksAnAllocatorForWhatDependsOnData) {
  load(kNonzero);
  float* const y = memory<float>({0, 0, 0, 0, 0});
  Allocator allocator(y);
  ASSERT_TRUE(bind("x", memory<float>({0, 7, 0, 8, 9})));
  ASSERT_TRUE(context<bool>(slots().set_allocator, "y", &allocator));
  EXPECT_EQ(context<Dims>(slots().shape, "y").sizes[0], -1);
  EXPECT_EQ(context<std::int64_t>(slots().most_bytes, "y"), 20);
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_EQ(allocator.bytes, 12);
  EXPECT_EQ(allocator.dims.count, 1);
  EXPECT_EQ(allocator.dims.sizes[0], 3);
  EXPECT_EQ(allocator.stream, stream_);
  EXPECT_THAT(std::vector<float>(y, y + 3), ElementsAre(7, 8, 9));
  Allocator none(nullptr);
  ASSERT_TRUE(context<bool>(slots().set_allocator, "y", &none));
  EXPECT_FALSE(enqueue());
  EXPECT_THAT(logger_.text(), HasSubstr("OutOfMemory"));
  ASSERT_EQ(cuStreamBeginCapture_v2(stream_, cuda::kCaptureThreadLocal), cuda::kSuccess);
  EXPECT_FALSE(enqueue());
  cuda::GraphHandle graph = nullptr;
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph), cuda::kSuccess);
  cuGraphDestroy(graph);
}

TEST_P(Double, ChangesACacheInPlace) {
  load(R"({"tensors":[{"name":"cache","mode":"input","shape":[4]},{"name":"x","mode":"input","shape":[2]},
    {"name":"out","mode":"output","shape":[4],"alias":"cache"}],
    "layers":[{"kind":"append","inputs":["cache","x"],"output":"out"}]})");
  EXPECT_STREQ(engine<const char*>(slots().aliased, "out"), "cache");
  EXPECT_EQ(engine<const char*>(slots().aliased, "x"), nullptr);
  float* const cache = memory<float>({1, 2, 3, 4});
  ASSERT_TRUE(bind("cache", cache) && bind("x", memory<float>({10, 20})) && bind("out", cache + 1));
  EXPECT_FALSE(enqueue());
  ASSERT_TRUE(bind("out", cache));
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_THAT(std::vector<float>(cache, cache + 4), ElementsAre(11, 22, 13, 24));
}

TEST_P(Double, ReadsShapeTensorsOnTheHost) {
  load(R"({"tensors":[{"name":"s","mode":"input","dtype":"int64","shape":[2],"location":"host",
    "shape_input":true,"profiles":[{"min":[1,1],"opt":[2,2],"max":[3,3]},{"min":[1,1],"opt":[2,2],"max":[9,9]}]},
    {"name":"y","mode":"output","dtype":"int32","shape":[-1,-1]}],
    "layers":[{"kind":"resize","inputs":["s"],"output":"y","bias":5}]})");
  EXPECT_EQ(engine<const std::int64_t*>(slots().profile_values, "s", 1, ProfileSelector::Max)[1], 9);
  std::int64_t sizes[]{2, 4};
  auto* const y = memory<std::int32_t>(std::vector<std::int32_t>(8));
  ASSERT_TRUE(bind("s", sizes) && bind("y", y));
  EXPECT_EQ(context<std::int32_t>(slots().infer, 0, nullptr), -1);
  ASSERT_TRUE(context<bool>(slots().set_profile, 1, stream_));
  EXPECT_FALSE(context<bool>(slots().set_profile, 2, stream_));
  EXPECT_EQ(context<Dims>(slots().shape, "y").sizes[0], -1);
  EXPECT_EQ(context<std::int32_t>(slots().infer, 0, nullptr), 0);
  EXPECT_EQ(context<Dims>(slots().shape, "y").sizes[1], 4);
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_EQ(std::vector<std::int32_t>(y, y + 8), std::vector<std::int32_t>(8, 5));
}

TEST_P(Double, ChecksBudgetsAndCommunicators) {
  load(affine_plan(R"("streamable_weights":100,"least_budget":10,"collectives":true,)"));
  EXPECT_EQ(engine<std::int64_t>(slots().streamable), 100);
  EXPECT_FALSE(engine<bool>(slots().set_budget, std::int64_t{50})) << "a context is alive";
  ASSERT_TRUE(shape("x", dims({1, 4})) && bind("x", memory<float>({1, 2, 3, 4})));
  ASSERT_TRUE(bind("y", memory<float>({0, 0, 0, 0})));
  EXPECT_FALSE(enqueue());
  int communicator = 0;
  EXPECT_TRUE(context<bool>(slots().set_communicator, &communicator));
  EXPECT_TRUE(enqueue()) << logger_.text();
  context_.reset();
  EXPECT_FALSE(engine<bool>(slots().set_budget, std::int64_t{9}));
  EXPECT_TRUE(engine<bool>(slots().set_budget, std::int64_t{50}));
  EXPECT_EQ(engine<std::int64_t>(slots().budget), 50);
}

TEST_P(Double, ReportsTheTimesOfLayersAndRecordsConsumedInputs) {
  load(affine_plan());
  ASSERT_TRUE(shape("x", dims({1, 4})) && bind("x", memory<float>({1, 2, 3, 4})));
  ASSERT_TRUE(bind("y", memory<float>({0, 0, 0, 0})));
  Profiler profiler(slots().versioned_logger);
  context<void>(kSetProfiler, static_cast<void*>(&profiler));
  cuda::EventHandle event = nullptr;
  ASSERT_EQ(cuEventCreate(&event, cuda::kEventDisableTiming), cuda::kSuccess);
  EXPECT_TRUE(context<bool>(slots().consumed, event));
  ASSERT_TRUE(enqueue()) << logger_.text();
  EXPECT_EQ(profiler.times.count("twice"), 1U);
  EXPECT_THAT(penstock_recording_log(), HasSubstr("cuStreamSynchronize"));
  ASSERT_EQ(cuStreamBeginCapture_v2(stream_, cuda::kCaptureThreadLocal), cuda::kSuccess);
  EXPECT_FALSE(enqueue());
  cuda::GraphHandle graph = nullptr;
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph), cuda::kSuccess);
  cuGraphDestroy(graph);
  cuEventDestroy_v2(event);
}

TEST_P(Double, FailsWhenAsked) {
  load(affine_plan());
  ASSERT_TRUE(shape("x", dims({1, 4})) && bind("x", memory<float>({1, 2, 3, 4})));
  ASSERT_TRUE(bind("y", memory<float>({0, 0, 0, 0})));
  fail("enqueueV3", 2);
  EXPECT_TRUE(enqueue());
  penstock_recording_clear_log();
  EXPECT_FALSE(enqueue());
  EXPECT_THAT(penstock_recording_log(), Not(HasSubstr("cuLaunchKernel")));
  EXPECT_THAT(calls(), HasSubstr("failed: IExecutionContext::enqueueV3: Error Code 2: "));
  EXPECT_TRUE(enqueue());
  fail("deserializeCudaEngine", 1);
  EXPECT_EQ(deserialize(affine_plan()), nullptr);
}

TEST_P(Double, AbortsInSlotsThatItDoesNotHave) {
  load(affine_plan());
  EXPECT_DEATH(context<void>(60), "slot 60 of VExecutionContext called, which the double does not have");
  EXPECT_DEATH(engine<void>(3), "slot 3 of VCudaEngine called");
}

}  // namespace
}  // namespace penstock::trt_double
