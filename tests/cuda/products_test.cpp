#include "on_recorder.hpp"

#include <cstdint>

namespace penstock::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// `mlp`, on the stand-in for cuBLASLt: two products with a kernel between them, batches of 1 to 64.
class Products : public OnRecorder {
 protected:
  /// That many rows on the GPU.
  static Tensor rows(std::int64_t count) {
    const Tensor host = ramp({count, 64});
    return copy_to_device(host.view(), {DeviceType::Cuda, 0});
  }
};

TEST_F(Products, GoToTheCallersStreamWithTheKernels) {
  for (const char* package : {"mlp", "blob", "fatbin", "embedded", "mlp16"}) {
    SCOPED_TRACE(package);
    Session session(load(package), call_by_call());
    const std::vector<Tensor> inputs = inputs_of(package);
    const Stream stream = Stream::create();
    session.enqueue(views_of(inputs), stream);
    Calls::clear();
    session.enqueue(views_of(inputs), stream);
    EXPECT_THAT(Calls::work(),
                ElementsAre(StartsWith("cuLaunchHostFunc"), StartsWith("cuLaunchKernel triton"),
                            StartsWith("cuLaunchHostFunc"), StartsWith("cuEventRecord")));
    expect_all_on(stream, Calls::work());
  }
}

TEST_F(Products, StayInThePartition) {
  Session session(load("mlp"), call_by_call());
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  Calls::clear();
  session.enqueue(views_of(inputs_of("mlp")), stream);
  EXPECT_THAT(Calls::of({"cuLaunch"}), Each(HasSubstr("green#1 (32 SMs)")));
  EXPECT_FALSE(Calls::of({"cuLaunch"}).empty());
}

TEST_F(Products, EveryBatchRunsOnTheStreamAlone) {
  Session session(load("mlp"), call_by_call());
  const Stream stream = Stream::create();
  for (const std::int64_t count : {1, 2, 64}) {
    SCOPED_TRACE(count);
    const Tensor input = rows(count);
    session.enqueue(views_of({input}), stream);
    Calls::clear();
    const std::vector<Tensor> outputs = session.enqueue(views_of({input}), stream);
    EXPECT_THAT(outputs[0].view().sizes(), ElementsAre(count, 10));
    EXPECT_THAT(Calls::of({"cuMemAlloc", "cuStreamWaitEvent", "cuStreamSynchronize"}), IsEmpty());
    expect_all_on(stream, Calls::work());
  }
}

TEST_F(Products, ABatchOfOneKeepsMemoryFlat) {
  Session session(load("mlp"), call_by_call());
  const Stream stream = Stream::create();
  const Tensor one = rows(1);
  for (int i = 0; i < 3; ++i) session.enqueue(views_of({one}), stream);
  const recording::Alive before = alive();
  for (int i = 0; i < 100; ++i) session.enqueue(views_of({one}), stream);
  EXPECT_EQ(alive(), before);
}

TEST_F(Products, SizesOutsideOfTheBoundsAreRefused) {
  Session session(load("mlp"), call_by_call());
  const Stream stream = Stream::create();
  for (const std::int64_t count : {65, 1000}) {
    const Tensor input = rows(count);
    Calls::clear();
    EXPECT_EQ(error_of([&] { session.enqueue(views_of({input}), stream); }).code(),
              ErrorCode::InvalidArgument);
    EXPECT_THAT(Calls::work(), IsEmpty());
  }
}

TEST_F(Products, SessionsShareTheWeights) {
  const Model model = load("mlp");
  const std::vector<Tensor> inputs = inputs_of("mlp");
  const std::size_t before = alive().device_bytes;
  std::vector<Session> sessions;
  sessions.reserve(4);
  for (int i = 0; i < 4; ++i) sessions.emplace_back(model);
  EXPECT_EQ(alive().device_bytes, before);
  for (Session& session : sessions) session.run(views_of(inputs));
  EXPECT_THAT(model.constants(), SizeIs(4));
}

}  // namespace
}  // namespace penstock::testing
