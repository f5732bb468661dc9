#include "gpu.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <stop_token>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::HasSubstr;

// The driver hands out memory in pages of 2 MiB.
constexpr std::size_t kPage = std::size_t{2} << 20;

TEST(GpuMemory, IsFlatOverTenThousandRuns) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  Session session(load_on_gpu("mlp"));
  const std::vector<Tensor> inputs = inputs_of("mlp");
  // The outputs of one run are given back when those of the next are there: memory for both is in use.
  std::vector<Tensor> outputs;
  for (int i = 0; i < 10; ++i) outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  const std::size_t free_before = free_bytes();
  const std::uint64_t held = session.memory().held_bytes;
  const Holdings before = Holdings::now();
  for (int i = 0; i < 10000; ++i) outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  EXPECT_EQ(free_bytes(), free_before);
  EXPECT_EQ(session.memory().held_bytes, held);
  EXPECT_EQ(Holdings::now().mappings, before.mappings);
  EXPECT_EQ(Holdings::now().descriptors, before.descriptors);
  EXPECT_EQ(session.stream_waits().stream_changes, 0U);
  expect_recorded("mlp", outputs);
}

TEST(GpuMemory, IsFlatOverAHundredLoadsWhereTheContextStays) {
  const InPrimary context;
  const auto load_and_run = [] {
    Session session(load_on_gpu("mlp"));
    expect_recorded("mlp", session.run(views_of(inputs_of("mlp"))));
  };
  for (int i = 0; i < 5; ++i) load_and_run();
  const std::size_t free_before = free_bytes();
  const std::size_t libraries = Holdings::now().library_mappings;
  for (int i = 0; i < 100; ++i) load_and_run();
  EXPECT_GE(free_bytes() + kPage, free_before);
  EXPECT_EQ(Holdings::now().library_mappings, libraries);
}

TEST(GpuMemory, LoadsAgainAfterTheContextHasGone) {
  for (int i = 0; i < 3; ++i) {
    Session session(load_on_gpu("add"));
    expect_recorded("add", session.run(views_of(inputs_of("add"))));
  }
}

TEST(GpuMemory, HoldsWeightsOnceForAllSessions) {
  const Model model = load_on_gpu("folded");
  const std::vector<Tensor> inputs = inputs_of("folded");
  std::vector<Session> sessions;
  sessions.reserve(8);
  for (int i = 0; i < 8; ++i) sessions.emplace_back(model);
  const std::size_t before = free_bytes();
  for (Session& session : sessions) expect_recorded("folded", session.run(views_of(inputs)));
  // A lane's activations, in pages, and the driver's own.
  EXPECT_GE(free_bytes() + sessions.size() * 2 * kPage, before);
}

TEST(GpuInputs, PlainHostMemoryIsRefusedOrCopied) {
  const Model model = load_on_gpu("add");
  const std::vector<Tensor> inputs = recorded("add", "inputs", kGpuPackages);
  Session refusing(model);
  EXPECT_EQ(error_of([&] { refusing.run(views_of(inputs)); }).code(), ErrorCode::InvalidArgument);
  Session copying(model, {.host_inputs = HostInputs::Copy});
  expect_recorded("add", copying.run(views_of(inputs)));
}

TEST(GpuInputs, PinnedAndManagedMemoryIsReadAsItIs) {
  const InPrimary context;
  Session session(load_on_gpu("add"));
  const std::vector<Tensor> host = recorded("add", "inputs", kGpuPackages);
  const std::size_t bytes = host[0].view().storage_bytes();
  void* pinned = nullptr;
  cuda::DevicePointer managed = 0;
  constexpr unsigned kAttachGlobal = 1;
  ASSERT_EQ(driver().host_alloc(&pinned, bytes, 0), cuda::kSuccess);
  ASSERT_EQ(driver().managed_alloc(&managed, bytes, kAttachGlobal), cuda::kSuccess);
  auto* const unified = reinterpret_cast<void*>(managed);
  std::memcpy(pinned, host[0].view().data(), bytes);
  std::memcpy(unified, host[1].view().data(), bytes);
  const std::array views{TensorView(pinned, DType::Float32, {8, 64}),
                         TensorView(unified, DType::Float32, {8, 64})};
  expect_recorded("add", session.run(views));
  // Where no context is current the driver does not tell its address by itself.
  std::thread([&] { expect_recorded("add", session.run(views)); }).join();
  EXPECT_EQ(driver().host_free(pinned), cuda::kSuccess);
  EXPECT_EQ(driver().free(managed), cuda::kSuccess);
}

TEST(GpuOutputs, GoIntoTheCallersTensors) {
  Session session(load_on_gpu("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const Tensor target = copy_to_device(ramp({8, 64}).view(), kGpu);
  const TensorView view = target.view();
  const Stream stream = Stream::create();
  session.enqueue(views_of(inputs), stream, {.outputs = {&view, 1}});
  stream.view().synchronize();
  expect_recorded("add", {target});
}

TEST(GpuWeights, AreReplacedWhileSessionsRun) {
  Model model = load_on_gpu("mlp");
  const std::vector<Tensor> inputs = inputs_of("mlp");
  const std::jthread runner([&](const std::stop_token& stop) {
    Session session(model);
    const Stream stream = Stream::create();
    while (!stop.stop_requested()) {
      session.enqueue(views_of(inputs), stream);
      stream.view().synchronize();
    }
  });
  Session session(model);
  for (int update = 1; update <= 20; ++update) {
    const Tensor weight = Tensor::empty(DType::Float32, {10, 32});
    std::memset(weight.view().data(), 0, weight.view().storage_bytes());
    const Tensor bias = ramp({10}, static_cast<float>(update));
    const std::array given{NamedWeight{.name = "2.weight", .view = weight.view()},
                           NamedWeight{.name = "2.bias", .view = bias.view()}};
    model.update_weights(given);
    const std::vector<double> answer = numbers(on_host(session.run(views_of(inputs)))[0].view());
    for (std::size_t i = 0; i < answer.size(); ++i)
      ASSERT_EQ(answer[i], update + static_cast<double>(i % 10));
  }
}

TEST(GpuFault, IsStickyAndNamed) {
  // In a process of its own, whose GPU is lost by it.
  std::array<char, 4096> line{};
  std::string output;
  const std::string command =
      std::filesystem::read_symlink("/proc/self/exe").string() + " --fault-child 2>&1";
  std::FILE* const child = ::popen(command.c_str(), "r");
  ASSERT_NE(child, nullptr);
  while (std::fgets(line.data(), static_cast<int>(line.size()), child) != nullptr) output += line.data();
  EXPECT_EQ(::pclose(child), 0) << output;
  EXPECT_THAT(output, HasSubstr("first: cuda 700"));
  EXPECT_THAT(output, HasSubstr("second: cuda 700"));
  EXPECT_THAT(output, HasSubstr("nothing can run on this device"));
}

}  // namespace
}  // namespace penstock::testing
