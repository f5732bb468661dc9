#include "on_recorder.hpp"

#include <algorithm>
#include <cstring>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// A view of the same kind over other memory.
TensorView over(void* data, const TensorView& view, Device device = {}) {
  return {data, view.dtype(), view.sizes(), view.strides(), 0, device};
}

class DeviceInputs : public OnRecorder {
 protected:
  Model model = load("add");
  std::vector<Tensor> host = recorded("add", "inputs", kGpuPackages);
  Stream stream = Stream::create();

  /// The inputs in memory as others make it.
  std::vector<TensorView> in(recording::ForeignMemory kind) {
    std::vector<TensorView> views;
    for (const Tensor& input : host) {
      void* const memory = penstock_recording_memory(kind, input.view().storage_bytes());
      std::memcpy(memory, input.view().data(), input.view().storage_bytes());
      views.push_back(over(memory, input.view()));
    }
    return views;
  }
};

TEST_F(DeviceInputs, PlainHostMemoryIsRefusedWithWhatToDo) {
  Session session(model);
  Calls::clear();
  const Error error = error_of([&] { session.enqueue(views_of(host), stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cpu"), HasSubstr("cuda")));
  EXPECT_THAT(Calls::work(), IsEmpty());
}

TEST_F(DeviceInputs, PlainHostMemoryIsCopiedOnTheStreamWhereAskedFor) {
  Session session(model, {.host_inputs = HostInputs::Copy});
  Calls::clear();
  session.enqueue(views_of(host), stream);
  EXPECT_THAT(Calls::work(), ElementsAre(StartsWith("cuMemcpyHtoDAsync"), StartsWith("cuMemcpyHtoDAsync"),
                                         StartsWith("cuLaunchKernel"), StartsWith("cuEventRecord")));
  expect_all_on(stream, Calls::work());
}

TEST_F(DeviceInputs, CopiesOfInputsAreUsedAgain) {
  Session session(model, {.host_inputs = HostInputs::Copy});
  for (int i = 0; i < 3; ++i) session.enqueue(views_of(host), stream);
  const recording::Alive before = alive();
  for (int i = 0; i < 10; ++i) session.enqueue(views_of(host), stream);
  EXPECT_EQ(alive(), before);
}

TEST_F(DeviceInputs, MemoryThatTheDeviceReadsIsAnInputAsItIs) {
  Session session(model, call_by_call());
  for (const auto kind : {recording::ForeignMemory::Pinned, recording::ForeignMemory::Registered,
                          recording::ForeignMemory::Managed}) {
    const std::vector<TensorView> views = in(kind);
    Calls::clear();
    session.enqueue(views, stream);
    EXPECT_THAT(Calls::work(), ElementsAre(StartsWith("cuLaunchKernel"), StartsWith("cuEventRecord")));
  }
}

TEST_F(DeviceInputs, MemoryThatTheDeviceReadsIsFoundFromAThreadWithoutAContextAndWithAnyOther) {
  ASSERT_EQ(current_context(), nullptr);
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  Session session(model, call_by_call());
  const std::vector<TensorView> views = in(recording::ForeignMemory::Pinned);
  session.enqueue(views, stream);
  const Current current(partition.context_handle());
  session.enqueue(views, stream);
}

TEST_F(DeviceInputs, AnOutputThatIsACopiedInputIsKeptAsItWas) {
  for (const GraphMode mode : {GraphMode::Off, GraphMode::Auto}) {
    SCOPED_TRACE(mode == GraphMode::Off ? "call by call" : "replayed");
    SessionOptions options{.host_inputs = HostInputs::Copy};
    options.graphs.mode = mode;
    Session session(load("aliases"), options);
    std::vector<Tensor> inputs = recorded("aliases", "inputs", kGpuPackages);
    auto* const first = static_cast<float*>(inputs[0].view().data());
    for (int i = 0; i < 3; ++i) session.enqueue(views_of(inputs), stream);
    *first = 111;
    const std::vector<Tensor> kept = session.enqueue(views_of(inputs), stream);
    *first = 222;
    const std::vector<Tensor> next = session.enqueue(views_of(inputs), stream);
    // The first output is the input, the third a view of it.
    for (const std::size_t output : {0, 2}) {
      EXPECT_EQ(numbers(copy_to_host(kept[output].view()).view())[0], 111);
      EXPECT_EQ(numbers(copy_to_host(next[output].view()).view())[0], 222);
    }
    EXPECT_EQ(session.last_run().replayed, mode == GraphMode::Auto);
  }
}

TEST_F(DeviceInputs, OutputsThatAreCopiedInputsAreOfMemoryThatIsUsedAgain) {
  Session session(load("aliases"), {.host_inputs = HostInputs::Copy});
  const std::vector<Tensor> inputs = recorded("aliases", "inputs", kGpuPackages);
  for (int i = 0; i < 3; ++i) session.enqueue(views_of(inputs), stream);
  const recording::Alive before = alive();
  for (int i = 0; i < 10; ++i) session.enqueue(views_of(inputs), stream);
  EXPECT_EQ(alive(), before);
}

TEST_F(DeviceInputs, WhatAModelChangesOfACopiedInputStaysOnTheDevice) {
  Session session(load("inplace"), {.host_inputs = HostInputs::Copy});
  const std::vector<Tensor> inputs = recorded("inplace", "inputs", kGpuPackages);
  Calls::clear();
  session.enqueue(views_of(inputs), stream);
  EXPECT_THAT(Calls::of({"cuMemcpyHtoD"}), SizeIs(inputs.size()));
  EXPECT_THAT(Calls::of({"cuMemcpyDtoH", "cuMemcpyAsync"}), IsEmpty());
}

TEST_F(DeviceInputs, OutputsGoIntoTheCallersTensors) {
  Session session(load("aliases"));
  const std::vector<Tensor> inputs = inputs_of("aliases");
  std::vector<Tensor> targets;
  for (const Tensor& output : recorded("aliases", "outputs", kGpuPackages)) {
    const Tensor zeros = Tensor::empty(output.dtype(), output.sizes());
    std::memset(zeros.view().data(), 0, zeros.view().storage_bytes());
    targets.push_back(copy_to_device(zeros.view(), {DeviceType::Cuda, 0}));
  }
  Calls::clear();
  const std::vector<TensorView> views = views_of(targets);
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream, {.outputs = views});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_EQ(outputs[i].view().data(), targets[i].view().data());
  }
  expect_all_on(stream, Calls::work());
  // The first output is the input, the second the weight: both are copied, which the recorder does.
  EXPECT_EQ(numbers(copy_to_host(targets[0].view()).view()), numbers(copy_to_host(inputs[0].view()).view()));
  EXPECT_EQ(numbers(copy_to_host(targets[1].view()).view()),
            numbers(session.model().weight("weight").view()));
}

TEST_F(DeviceInputs, OutputsInHostMemoryAreRefused) {
  Session session(model);
  const std::vector<Tensor> inputs = inputs_of("add");
  const std::vector<Tensor> targets = recorded("add", "outputs", kGpuPackages);
  const std::vector<TensorView> views = views_of(targets);
  const Error error = error_of([&] { session.enqueue(views_of(inputs), stream, {.outputs = views}); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
}

TEST_F(DeviceInputs, AnOutputThatIsAnInputIsTheCallersMemory) {
  Session session(load("aliases"));
  const std::vector<Tensor> inputs = inputs_of("aliases");
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
  EXPECT_EQ(outputs[0].view().data(), inputs[0].view().data());
  EXPECT_EQ(outputs[2].view().data(), inputs[0].view().data());
  EXPECT_THAT(outputs[2].view().strides(), ElementsAre(1, 4));
}

TEST_F(DeviceInputs, OfTheWrongDtypeOrSizesAreRefusedBeforeAnythingIsLaunched) {
  Session session(model);
  const std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  views[1] = TensorView(views[1].data(), DType::Float32, {8, 32}, views[1].device());
  Calls::clear();
  EXPECT_EQ(error_of([&] { session.enqueue(views, stream); }).code(), ErrorCode::InvalidArgument);
  views[1] = TensorView(views[0].data(), DType::Int32, {8, 64}, views[0].device());
  EXPECT_EQ(error_of([&] { session.enqueue(views, stream); }).code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(Calls::work(), IsEmpty());
}

TEST_F(DeviceInputs, CopiesToTheDeviceAndBackAreWhatWasThere) {
  for (const Tensor& input : host) {
    const Tensor there = copy_to_device(input.view(), {DeviceType::Cuda, 0});
    EXPECT_EQ(there.view().device(), (Device{DeviceType::Cuda, 0}));
    EXPECT_EQ(numbers(copy_to_host(there.view()).view()), numbers(input.view()));
  }
}

}  // namespace
}  // namespace penstock::testing
