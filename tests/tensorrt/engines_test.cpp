#include "on_double.hpp"

#include <array>

// Engines within packages, on each numbering of TensorRT.
namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Engines : public OnDouble, public ::testing::WithParamInterface<Flavor> {
 protected:
  Engines() : OnDouble(GetParam()) {}

  std::vector<Tensor> run(std::string_view package) const {
    const Model model = load_engines(package);
    Session session(model, call_by_call());
    const Stream stream = Stream::create();
    const std::vector<Tensor> inputs = engine_inputs(package);
    auto outputs = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    return outputs;
  }
};

std::string name_of(const ::testing::TestParamInfo<Flavor>& flavor) { return flavor.param.name; }
INSTANTIATE_TEST_SUITE_P(Of, Engines, ::testing::ValuesIn(flavors()), name_of);

TEST_P(Engines, GiveTheirAnswers) { expect_answer("alone", run("alone")); }

TEST_P(Engines, OfOlderFormatsAreRead) {
  for (const char* package : {"format_7", "format_8", "format_9"}) expect_answer(package, run(package));
}

TEST_P(Engines, HaveTheOrderThatTheirNamesTell) { expect_answer("numbered", run("numbered")); }

TEST_P(Engines, GiveOutputsWhoseSizesTheDataDecide) {
  expect_answer("sized", run("sized"));
  EXPECT_THAT(double_.calls("notifyShape"), SizeIs(1));
}

TEST_P(Engines, GiveThemBesideOutputsWithAddresses) { expect_answer("mixed", run("mixed")); }

TEST_P(Engines, WithOutputsInHostMemoryAreRefused) {
  const Error error = error_of([&] { static_cast<void>(load_engines("host_output")); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), HasSubstr("output y in host memory"));
}

TEST_P(Engines, TakeTheValuesOfShapes) { expect_answer("shaped", run("shaped")); }

TEST_P(Engines, ChangeCachesInPlace) {
  const Model model = load_engines("cache");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("cache");
  const auto outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  expect_answer("cache", outputs);
  EXPECT_EQ(outputs[0].view().data(), inputs[0].view().data());
  EXPECT_EQ(engine_of(model)->outputs()[0].alias_of, "cache");
}

TEST_P(Engines, TellOfThemselves) {
  const Model model = load_engines("pipeline");
  const auto first = engine_of(model, 0);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->name(), "first");
  EXPECT_THAT(first->library(), AllOf(StartsWith(flavor_.title), HasSubstr(flavor_.library)));
  ASSERT_THAT(first->inputs(), SizeIs(2));
  EXPECT_EQ(first->inputs()[0].name, "x");
  EXPECT_EQ(first->inputs()[0].dtype, DType::Float32);
  EXPECT_THAT(first->inputs()[0].sizes, ElementsAre(-1, 4));
  EXPECT_FALSE(first->inputs()[0].on_host);
  ASSERT_THAT(first->outputs(), SizeIs(2));
  EXPECT_EQ(first->outputs()[1].name, "w");
  EXPECT_EQ(first->profile_count(), 2);
  EXPECT_THAT(first->range(1, 0).least, ElementsAre(9, 4));
  EXPECT_THAT(first->range(0, 1).most, ElementsAre(8, 4));
  EXPECT_EQ(first->run_bytes(), 4096U);
  EXPECT_EQ(first->aux_stream_count(), 0);
  EXPECT_EQ(engine_of(model, 1)->aux_stream_count(), 1);
  EXPECT_THAT(first->layer_information(), HasSubstr("affine z"));
  EXPECT_EQ(first->streamable_weight_bytes(), 0);
  EXPECT_EQ(first->weight_budget(), 0);
  EXPECT_EQ(error_of([&] { static_cast<void>(first->range(2, 0)); }).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(model.custom_objects().at("_torchbind_obj0").state().items()[1].text(), "first");
}

TEST_P(Engines, TakeTheProfileThatFits) {
  const Model model = load_engines("pipeline");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const Tensor weight = on_device({4, 4}, std::vector<float>(16, 1));
  for (const std::int64_t rows : {3, 12, 8, 9}) {
    const Tensor x = on_device({rows, 4}, std::vector<float>(static_cast<std::size_t>(rows * 4), 1));
    const std::array<TensorView, 2> inputs{x.view(), weight.view()};
    session.enqueue(inputs, stream);
  }
  stream.view().synchronize();
  // The first context is for profile 0 from the start; a profile that fits is kept.
  EXPECT_THAT(double_.calls("setOptimizationProfileAsync"), ElementsAre(HasSubstr(" 1"), HasSubstr(" 1")));
}

TEST_P(Engines, ThatFailAreErrorsAndTheSessionGoesOn) {
  const Model model = load_engines("alone");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  for (const char* call :
       {"enqueueV3", "enqueueV3 late", "setInputShape", "setTensorAddress", "createExecutionContext"}) {
    double_.fail(call);
    const Error error = error_of([&] {
      session.enqueue(views_of(inputs), stream);
      // What is made once has been made already.
      if (std::string_view(call).starts_with("set") || std::string_view(call).starts_with("create")) {
        Session other(model, call_by_call());
        other.enqueue(views_of(inputs), stream);
      }
    });
    EXPECT_THAT(error.what(), AllOf(HasSubstr("TensorRT engine alone"), HasSubstr("TensorRT says: ")));
    double_.clear();
    const auto outputs = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    expect_answer("alone", outputs);
  }
}

TEST_P(Engines, AreRefusedWithTheirNameAndWhatIsWrong) {
  const auto refused = [&](const char* package, ErrorCode code, std::vector<std::string> parts) {
    const Error error = error_of([&] { static_cast<void>(load_engines(package)); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("_torchbind_obj0"));
    EXPECT_THAT(error.what(), HasSubstr(package));
    for (const std::string& part : parts) EXPECT_THAT(error.what(), HasSubstr(part));
  };
  refused("format_6", ErrorCode::Unsupported, {"format 6; 7 to 10"});
  refused("format_11", ErrorCode::Unsupported, {"format 11; 7 to 10"});
  refused("short", ErrorCode::Corrupt, {"12 items, one of format 10 has 13"});
  refused("no_base64", ErrorCode::Corrupt, {"(plan) is no base64"});
  refused("junk_plan", ErrorCode::Incompatible,
          {"no TensorRT takes its plan of 7 bytes", flavor_.title, "refuses it; TensorRT says: "});
  refused("other_names", ErrorCode::InvalidArgument, {"outputs z, v, the plan has z, w"});
  refused("other_gpu", ErrorCode::Incompatible, {"compute capability 8.9 (NVIDIA L4), cuda:0 has 9.0"});
  refused("other_platform", ErrorCode::Incompatible, {"linux_aarch64"});
}

TEST_P(Engines, AreGivenCopiesOfInputsThatAreSlices) {
  const Model model = load_engines("sliced");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("sliced");
  Calls::clear();
  session.enqueue(views_of(inputs), stream);
  // One by a kernel and one by the driver, on the run's stream.
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), Contains(HasSubstr("copy")).Times(1));
  EXPECT_THAT(Calls::of({"cuMemcpy"}), SizeIs(1));
  const std::vector<std::string> addresses = double_.calls("setTensorAddress");
  ASSERT_GE(addresses.size(), 2U);
  for (const std::string& line : addresses)
    EXPECT_EQ(std::stoull(line.substr(line.rfind(' ') + 1), nullptr, 16) % 16, 0U) << line;
}

TEST_P(Engines, ThatChangeAnInputInPlaceRefuseACopyOfIt) {
  const Model model = load_engines("sliced_cache");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("sliced_cache");
  EXPECT_THAT(error_of([&] { session.enqueue(views_of(inputs), stream); }).what(),
              HasSubstr("changes input cache in place, which is not row-major"));
}

TEST_P(Engines, ForWhichThereIsNoMemoryAreErrorsAndTheSessionGoesOn) {
  for (const char* package : {"sized", "alone"}) {
    const Model model = load_engines(package);
    const std::vector<Tensor> inputs = engine_inputs(package);
    const Stream stream = Stream::create();
    int failures = 0;
    bool failed = true;
    for (unsigned nth = 1; failed && nth < 20; ++nth, ++failures) {
      Session session(model, call_by_call());
      // Out of memory, also where the pool asks again.
      for (unsigned also = 0; also < 2; ++also)
        penstock_recording_fail({.function = "cuMemAlloc", .nth = nth + also, .result = 2});
      failed = false;
      try {
        session.enqueue(views_of(inputs), stream);
      } catch (const Error& error) {
        failed = true;
        EXPECT_EQ(error.code(), ErrorCode::OutOfMemory) << error.what();
      }
      penstock_recording_clear_faults();
      const auto outputs = session.enqueue(views_of(inputs), stream);
      stream.view().synchronize();
      expect_answer(package, outputs);
    }
    EXPECT_FALSE(failed);
    EXPECT_GE(failures, 3) << package;
  }
}

TEST_P(Engines, NeedALibrary) {
  LoadOptions options;
  options.device = {DeviceType::Cuda, 0};
  options.tensorrt = {"/no/libnvinfer.so.10"};
  const Error error = error_of([&] { Model::load(open_package("alone", kEnginePackages), options); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/no/libnvinfer.so.10"), HasSubstr("--tensorrt"),
                                  HasSubstr("PENSTOCK_TENSORRT")));
}

TEST_P(Engines, AreOfTheFirstLibraryThatTakesThePlan) {
  LoadOptions options;
  options.device = {DeviceType::Cuda, 0};
  options.tensorrt = {"/no/libnvinfer.so.10", "libm.so.6", flavor_.library};
  const Model model = Model::load(open_package("alone", kEnginePackages), options);
  EXPECT_THAT(engine_of(model)->library(), HasSubstr(flavor_.library));
}

TEST_P(Engines, ThatCannotBeDeserializedLeaveNothing) {
  double_.fail("deserializeCudaEngine");
  const Error error = error_of([&] { static_cast<void>(load_engines("alone")); });
  EXPECT_EQ(error.code(), ErrorCode::Incompatible);
  EXPECT_EQ(double_.alive().engines, 0U);
}

}  // namespace
}  // namespace penstock::testing
