#include "on_recorder.hpp"

#include <filesystem>
#include <set>
#include <stop_token>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class LoadingOnCuda : public OnRecorder {};

/// That the last work on the device has been waited for.
void expect_waited_for_last_work() {
  const std::vector<std::string> work = Calls::work();
  ASSERT_FALSE(work.empty());
  EXPECT_THAT(work.back(), StartsWith("cuStreamSynchronize"));
}

TEST_F(LoadingOnCuda, PutsItsWorkOnAStreamOfItsOwn) {
  Calls::clear();
  const Model model = load("folded");
  EXPECT_FALSE(Calls::work().empty());
  EXPECT_THAT(Calls::lines(), Each(Not(AllOf(HasSubstr("legacy stream"), HasSubstr("per-thread stream")))));
  EXPECT_THAT(Calls::work(), Each(HasSubstr("stream#1 cuda:0")));
}

TEST_F(LoadingOnCuda, LoadsAllKernelsBeforeTheFirstRun) {
  Calls::clear();
  Session session(load("folded"));
  EXPECT_FALSE(Calls::of({"cuModuleLoadData"}).empty());
  EXPECT_FALSE(Calls::of({"cuFuncLoad triton"}).empty());
  Calls::clear();
  session.run(views_of(inputs_of("folded")));
  EXPECT_THAT(Calls::of({"cuModule", "cuFuncLoad"}), IsEmpty());
}

TEST_F(LoadingOnCuda, LoadsOfPenstocksKernelsThoseThatThePackageNeeds) {
  const auto loaded_for = [](const char* package) {
    Calls::clear();
    load(package);
    std::set<std::string> families;
    for (const std::string& line : Calls::of({"cuFuncLoad penstock_"})) {
      for (const char* family : {"copy", "sort", "scan", "pool", "index", "random", "pick", "softmax"}) {
        if (line.find(family) != std::string::npos) families.insert(family);
      }
    }
    return families;
  };
  EXPECT_THAT(loaded_for("add"), ElementsAre("copy"));
  EXPECT_THAT(loaded_for("mlp"), ElementsAre("copy"));
  EXPECT_THAT(loaded_for("pooling"), ElementsAre("copy", "pool"));
  EXPECT_THAT(loaded_for("attention"), ElementsAre("copy", "softmax"));
}

TEST_F(LoadingOnCuda, LoadsWhatTheNextPackageNeedsBesides) {
  const Model add = load("add");
  Calls::clear();
  const Model attention = load("attention");
  EXPECT_THAT(Calls::of({"cuFuncLoad penstock_softmax"}), SizeIs(3));
  EXPECT_THAT(Calls::of({"cuFuncLoad penstock_copy"}), IsEmpty());
}

TEST_F(LoadingOnCuda, FoldsConstantsOnce) {
  Calls::clear();
  Session session(load("folded"));
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), SizeIs(1));
  Calls::clear();
  const std::vector<Tensor> inputs = inputs_of("folded");
  session.run(views_of(inputs));
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), SizeIs(1));
}

TEST_F(LoadingOnCuda, ConstantsAreFoldedWhenALoadOrAnUpdateReturns) {
  Calls::clear();
  Model folded = load("folded");
  expect_waited_for_last_work();
  const Tensor scale = folded.weight("scale");
  const NamedWeight same{.name = "scale", .view = scale.view()};
  Calls::clear();
  folded.update_weights({&same, 1});
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), Not(IsEmpty()));
  expect_waited_for_last_work();
}

TEST_F(LoadingOnCuda, UnloadLeavesNothingOnTheDevice) {
  for (int i = 0; i < 20; ++i) {
    Session session(load("add"));
    session.run(views_of(inputs_of("add")));
  }
  EXPECT_EQ(alive(), recording::Alive{});
}

TEST_F(LoadingOnCuda, UnloadLeavesNothingWhereTheContextStays) {
  const Primary primary;
  const recording::Alive before = alive();
  for (int i = 0; i < 5; ++i) {
    Session session(load("add"));
    session.run(views_of(inputs_of("add")));
  }
  EXPECT_EQ(alive(), before);
}

TEST_F(LoadingOnCuda, TellsTheDeviceAndTheInputs) {
  const Model model = load("add");
  EXPECT_EQ(model.device(), (Device{DeviceType::Cuda, 0}));
  ASSERT_THAT(model.inputs(), SizeIs(2));
  EXPECT_EQ(model.inputs()[0].dtype, DType::Float32);
  EXPECT_EQ(to_string(model.inputs()[0]), "float32[8, 64]");
}

TEST_F(LoadingOnCuda, RefusesTheCpuForACudaPackage) {
  const Error error = error_of([] { Model::load(open_package("add", kGpuPackages)); });
  EXPECT_EQ(error.code(), ErrorCode::Incompatible);
  EXPECT_THAT(error.what(), HasSubstr("--device cuda"));
}

TEST_F(LoadingOnCuda, RefusesAGpuThatIsNotThere) {
  const Error error = error_of([] { load("add", 3); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  EXPECT_THAT(error.what(), HasSubstr("cuda:3"));
}

TEST_F(LoadingOnCuda, RefusesPtxThatIsTooNewForTheDriver) {
  penstock_recording_fail(
      {.function = "cuModuleLoadData", .every = true, .result = cuda::kUnsupportedPtxVersion});
  for (const char* name : {"add", "fatbin"}) {
    const Error error = error_of([&] { load(name); });
    EXPECT_EQ(error.code(), ErrorCode::Incompatible);
    EXPECT_THAT(error.what(), HasSubstr("install a later driver"));
  }
  penstock_recording_clear_faults();
}

TEST_F(LoadingOnCuda, RefusesAPackageWithoutAKernelFileThatItsLibraryNames) {
  const TemporaryFolder folder;
  unpack_package("add", folder.path(), kGpuPackages);
  std::size_t removed = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (entry.path().extension() == ".cubin") removed += std::filesystem::remove(entry.path());
  }
  ASSERT_EQ(removed, 1U);
  const Package package = Package::open(folder.path());
  const Error error = error_of([&] { Model::load(package, {.device = {DeviceType::Cuda, 0}}); });
  EXPECT_EQ(error.code(), ErrorCode::Corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(".cubin"), HasSubstr("its library names")));
}

TEST_F(LoadingOnCuda, WeightsAreOnceOnTheDeviceAndReadBack) {
  const Model model = load("folded");
  const Tensor scale = model.weight("scale");
  EXPECT_THAT(scale.sizes(), ElementsAre(4, 16));
  double sum = 0;
  for (const double value : numbers(scale.view())) sum += std::abs(value);
  EXPECT_GT(sum, 0);
}

TEST_F(LoadingOnCuda, UpdatedWeightsReachTheDeviceWhileSessionsRun) {
  Model model = load("aliases");
  const std::vector<Tensor> inputs = inputs_of("aliases");
  const std::jthread runner([&](const std::stop_token& stop) {
    Session session(model);
    const Stream stream = Stream::create();
    while (!stop.stop_requested()) session.enqueue(views_of(inputs), stream);
  });
  Session session(model);
  for (int update = 1; update <= 10; ++update) {
    const Tensor value = ramp({4, 4}, static_cast<float>(update));
    const NamedWeight weight{.name = "weight", .view = value.view()};
    model.update_weights({&weight, 1});
    const std::vector<Tensor> outputs = session.run(views_of(inputs));
    EXPECT_EQ(numbers(copy_to_host(outputs[1].view()).view()), numbers(value.view()));
    EXPECT_EQ(numbers(model.weight("weight").view()), numbers(value.view()));
  }
}

TEST_F(LoadingOnCuda, UpdatesLeaveNothingOfOldVersions) {
  Model model = load("aliases");
  const Tensor value = ramp({4, 4});
  const NamedWeight weight{.name = "weight", .view = value.view()};
  model.update_weights({&weight, 1});
  const recording::Alive before = alive();
  for (int i = 0; i < 10; ++i) model.update_weights({&weight, 1});
  EXPECT_EQ(alive(), before);
}

}  // namespace
}  // namespace penstock::testing
