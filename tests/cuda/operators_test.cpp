#include "on_recorder.hpp"

#include "entries.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::string_view kCudaObjects = "2.15-sm90-objects";
constexpr Device kGpu{DeviceType::Cuda, 0};

struct FooState {
  std::int64_t x = 0;
};
using Foo = VersionedObject<FooState>;

using Work = std::function<void(OperatorCall&)>;

/// A row-major result of the sizes of the first tensor, filled on the stream that the call is given.
void fill_result(OperatorCall& call, std::size_t result, DType dtype = DType::Float32) {
  const TensorView made = call.make_result(result, dtype, call.tensor(0).sizes());
  EXPECT_EQ(cuMemsetD8Async(reinterpret_cast<cuda::DevicePointer>(made.data()), 1, made.storage_bytes(),
                            static_cast<cuda::StreamHandle>(call.stream().handle())),
            cuda::kSuccess);
}

/// On `operators`: two calls of `defaults`, one each of `add_one` and `counted`, and a product.
class CudaOperators : public OnRecorder {
 protected:
  /// With functions that tell `seen` of each call, and then do `defaults_`.
  Model load_operators(Capture capture = Capture::Never) {
    LoadOptions options;
    options.device = kGpu;
    options.registry.add({.schema =
                              "fixtures::defaults(Tensor x, int count=2, float scale=1.5, *, bool add=True, "
                              "str mode=\"twice\", int[] steps=[1, 2], ScalarType? dtype=None) -> Tensor",
                          .run =
                              [this](OperatorCall& call) {
                                seen(call);
                                defaults_(call);
                              },
                          .capture = capture});
    options.registry.add({.schema = "fixtures::add_one(Tensor(a!) x) -> ()",
                          .run = [this](OperatorCall& call) { seen(call); },
                          .capture = capture});
    options.registry.add({.schema = "fixtures::counted(Tensor x) -> (Tensor, int)",
                          .run =
                              [this](OperatorCall& call) {
                                seen(call);
                                fill_result(call, 0);
                                call.give_integer(1, 2);
                              },
                          .capture = capture});
    return Model::load(open_package("operators", kCudaObjects), options);
  }

  static std::vector<Tensor> inputs() {
    std::vector<Tensor> made;
    for (const Tensor& input : recorded("operators", "inputs", kCudaObjects))
      made.push_back(copy_to_device(input.view(), kGpu));
    return made;
  }

  void seen(OperatorCall& call) {
    names_.push_back(call.name());
    streams_.push_back(call.stream());
    EXPECT_EQ(call.device(), kGpu);
    EXPECT_EQ(call.tensor(0).device(), kGpu);
    EXPECT_NE(current_context(), nullptr);
  }

  static void fill(OperatorCall& call) { fill_result(call, 0, call.has(6) ? call.dtype(6) : DType::Float32); }

  Work defaults_ = fill;
  std::vector<std::string> names_;
  std::vector<StreamView> streams_;
};

TEST_F(CudaOperators, AreGivenTheCallersStreamAndTheirWorkStaysThere) {
  const std::vector<Tensor> given = inputs();
  Session session(load_operators());
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  session.enqueue(views_of(given), stream);
  names_.clear();
  streams_.clear();
  Calls::clear();
  const std::vector<Tensor> outputs = session.enqueue(views_of(given), stream);
  EXPECT_THAT(names_, ::testing::UnorderedElementsAre("fixtures::defaults", "fixtures::add_one",
                                                      "fixtures::counted", "fixtures::defaults"));
  EXPECT_THAT(streams_, Each(stream.view()));
  EXPECT_EQ(streams_.front().sm_count(), 32U);
  EXPECT_THAT(Calls::of({"cuMemsetD8Async"}), AllOf(SizeIs(3), Each(HasSubstr("green#1 (32 SMs)"))));
  expect_all_on(stream, Calls::work());
  ASSERT_EQ(outputs.size(), 3U);
  EXPECT_EQ(outputs[2].view().dtype(), DType::Float64);
  for (const Tensor& output : outputs) EXPECT_EQ(output.view().device(), kGpu);
}

TEST_F(CudaOperators, AreGivenAStreamOfTheLaneWhereTheCallerIsOnTheDefaultStream) {
  const std::vector<Tensor> given = inputs();
  Session session(load_operators());
  session.run(views_of(given));
  ASSERT_THAT(streams_, SizeIs(4));
  EXPECT_FALSE(streams_.front().is_default());
  EXPECT_THAT(streams_, Each(streams_.front()));
}

TEST_F(CudaOperators, MakeResultsInTheMemoryOfTheRun) {
  const std::vector<Tensor> given = inputs();
  Session session(load_operators());
  const Stream stream = Stream::create();
  session.enqueue_borrowed(views_of(given), stream);
  const recording::Alive before = alive();
  Calls::clear();
  for (int i = 0; i < 100; ++i) session.enqueue_borrowed(views_of(given), stream);
  EXPECT_THAT(Calls::of({"cuMemAlloc", "cuMemFree", "cuCtx", "cuStream", "cuEventCreate"}), IsEmpty());
  EXPECT_EQ(alive(), before);
}

TEST_F(CudaOperators, AreInAnAudit) {
  const std::vector<Tensor> given = inputs();
  Session session(load_operators());
  const Stream stream = Stream::create();
  const Audit audit = session.audit(views_of(given), stream);
  std::vector<std::string> operators;
  for (const AuditEntry& entry : audit.entries) {
    if (entry.kind != AuditEntry::Kind::Operator) continue;
    EXPECT_EQ(to_string(entry.kind), "operator");
    EXPECT_EQ(entry.stream, stream.view().handle());
    EXPECT_TRUE(entry.in_place);
    operators.push_back(entry.name);
  }
  EXPECT_EQ(operators, names_);
  EXPECT_TRUE(audit.stayed());
  EXPECT_THAT(audit.not_seen, ::testing::Contains(HasSubstr("registered operator")));
}

TEST_F(CudaOperators, MayGiveTensorsOfTheirOwn) {
  const std::vector<Tensor> given = inputs();
  const Tensor own = copy_to_device(ramp({3, 4}).view(), kGpu);
  defaults_ = [&](OperatorCall& call) { call.has(6) ? fill(call) : call.give_result(0, own); };
  Session session(load_operators());
  const Stream stream = Stream::create();
  EXPECT_THAT(session.enqueue(views_of(given), stream), SizeIs(3));
}

TEST_F(CudaOperators, MayNotGiveHostTensors) {
  const std::vector<Tensor> given = inputs();
  bool on_host = true;
  defaults_ = [&](OperatorCall& call) {
    if (on_host) return call.give_result(0, ramp({3, 4}));
    fill(call);
  };
  Session session(load_operators());
  const Stream stream = Stream::create();
  const Error error = error_of([&] { session.enqueue(views_of(given), stream); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("operators.pt2"), HasSubstr("operator fixtures::defaults"),
                                  HasSubstr("is on cpu; it has to be on cuda:0")));
  on_host = false;
  EXPECT_THAT(session.enqueue(views_of(given), stream), SizeIs(3));
}

TEST_F(CudaOperators, LeaveTheSessionUsableWhereTheyFail) {
  const std::vector<Tensor> given = inputs();
  bool fails = true;
  defaults_ = [&](OperatorCall& call) {
    if (call.has(6) && fails) throw std::runtime_error("out of ideas");
    fill(call);
  };
  Session session(load_operators());
  const Stream stream = Stream::create();
  const Error error = error_of([&] { session.enqueue(views_of(given), stream); });
  EXPECT_THAT(error.what(), HasSubstr("operator fixtures::defaults: out of ideas"));
  EXPECT_EQ(current_context(), nullptr);
  fails = false;
  EXPECT_THAT(session.enqueue(views_of(given), stream), SizeIs(3));
}

TEST_F(CudaOperators, AreCapturedWhereTheirRegistrationSaysSo) {
  const std::vector<Tensor> given = inputs();
  Session session(load_operators(Capture::Allowed));
  const Stream stream = Stream::create();
  for (int i = 0; i < 3; ++i) session.enqueue(views_of(given), stream);
  EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  names_.clear();
  session.enqueue(views_of(given), stream);
  EXPECT_THAT(names_, IsEmpty());
}

TEST_F(CudaOperators, KeepARunFromBeingCapturedByTheirNames) {
  const std::vector<Tensor> given = inputs();
  Session session(load_operators());
  const Stream stream = Stream::create();
  for (int i = 0; i < 3; ++i) session.enqueue(views_of(given), stream);
  EXPECT_FALSE(session.last_run().replayed);
  EXPECT_EQ(session.last_run().reason,
            "operator fixtures::defaults is not registered as one that may be captured");
}

TEST_F(CudaOperators, AreGivenTheModelsDeviceWhateverItWasExportedWith) {
  penstock_recording_reset({.devices = 2});
  const Device second{DeviceType::Cuda, 1};
  LoadOptions options;
  options.device = second;
  bool called = false;
  options.registry.add(
      {.schema =
           "fixtures::every_kind(Tensor x, Tensor[] list, Tensor? maybe, Tensor?[] maybes, int number, "
           "SymInt rows, int[] numbers, SymInt[] sizes, int? no_number, float real, float[] reals, float? "
           "maybe_real, bool flag, bool[] flags, str text, str[] texts, Scalar whole, Scalar part, "
           "ScalarType dtype, MemoryFormat format, Layout layout, Device device, "
           "__torch__.torch.classes.fixtures.Foo foo, *, int scale=3, float offset=0.5, bool negate=False, "
           "Tensor? bias=None, str mode=\"plain\") -> (Tensor, Tensor[])",
       .run = [&](OperatorCall& call) {
         called = true;
         EXPECT_EQ(call.device(21), second);
         EXPECT_EQ(call.device(), second);
         EXPECT_EQ(call.stream().device(), second);
         EXPECT_EQ(call.tensor(3, 1).device(), second);
         const TensorView x = call.tensor(0);
         EXPECT_EQ(call.make_result(0, DType::Float32, x.sizes()).device(), second);
         call.make_result(1, DType::Float32, x.sizes(), 0);
         call.make_result(1, DType::Float32, x.sizes().subspan(1), 1);
       }});
  options.registry.add(ClassDefinition{
      .name = "fixtures.Foo",
      .create = [](const Value&, const ObjectOrigin&) { return std::make_shared<VersionedObject<int>>(0); }});
  std::vector<Tensor> given;
  for (const Tensor& input : recorded("kinds", "inputs", kCudaObjects))
    given.push_back(copy_to_device(input.view(), second));
  Session session(Model::load(open_package("kinds", kCudaObjects), options));
  const Stream stream = Stream::create({.device = 1});
  const std::vector<Tensor> outputs = session.enqueue(views_of(given), stream);
  EXPECT_TRUE(called);
  for (const Tensor& output : outputs) EXPECT_EQ(output.view().device(), second);
}

/// On `objects`: an object that two operators of each form and a method take, with a product in between.
class CudaObjects : public OnRecorder {
 protected:
  Model load_objects(Capture capture = Capture::Never) {
    const auto give = [this](OperatorCall& call, std::size_t input) {
      seen_.push_back(call.state<FooState>(0).x);
      for (std::size_t result = 0; result < results_of(call); ++result) {
        for (std::size_t item = 0; item < call.result_count(result); ++item)
          call.make_result(result, DType::Float32, call.tensor(input).sizes(), item);
      }
    };
    LoadOptions options;
    options.device = kGpu;
    const std::string arguments = "(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> ";
    for (const char* schema : {"takes_foo", "takes_foo_list", "takes_foo_pair"}) {
      const std::string results = std::string(schema) == "takes_foo"        ? "Tensor"
                                  : std::string(schema) == "takes_foo_list" ? "Tensor[]"
                                                                            : "(Tensor, Tensor)";
      options.registry.add({.schema = std::string("fixtures::") + schema + arguments + results,
                            .run = [give](OperatorCall& call) { give(call, 1); },
                            .capture = capture});
    }
    options.registry.add(ClassDefinition{.name = "fixtures.Foo",
                                         .create =
                                             [this](const Value& state, const ObjectOrigin& origin) {
                                               origin_ = origin.device;
                                               return std::make_shared<Foo>(
                                                   FooState{state.items()[0].integer()});
                                             },
                                         .methods = {{.schema = "add_tensor(Tensor z) -> Tensor",
                                                      .run = [give](OperatorCall& call) { give(call, 1); },
                                                      .capture = capture}}});
    return Model::load(open_package("objects", kCudaObjects), options);
  }

  static std::size_t results_of(const OperatorCall& call) {
    return call.name() == "fixtures::takes_foo_pair" ? 2 : 1;
  }

  std::vector<std::int64_t> seen_;
  Device origin_;
};

TEST_F(CudaObjects, AreMadeForTheDeviceAndSeenByRunsAsTheyAreThen) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : recorded("objects", "inputs", kCudaObjects))
    inputs.push_back(copy_to_device(input.view(), kGpu));
  const Model model = load_objects();
  EXPECT_EQ(origin_, kGpu);
  Session session(model);
  const Stream stream = Stream::create();
  session.enqueue(views_of(inputs), stream);
  EXPECT_EQ(seen_, (std::vector<std::int64_t>{1, 1, 1, 1}));
  const auto foo = object_cast<Foo>(model.custom_objects().at("_torchbind_obj0"));
  ASSERT_NE(foo, nullptr);
  foo->change([](FooState& state) { state.x = 5; });
  seen_.clear();
  session.enqueue(views_of(inputs), stream);
  EXPECT_EQ(seen_, (std::vector<std::int64_t>{5, 5, 5, 5}));
}

TEST_F(CudaObjects, AreCapturedAnewAfterAChange) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : recorded("objects", "inputs", kCudaObjects))
    inputs.push_back(copy_to_device(input.view(), kGpu));
  const Model model = load_objects(Capture::Allowed);
  Session session(model);
  const Stream stream = Stream::create();
  for (int i = 0; i < 3; ++i) session.enqueue(views_of(inputs), stream);
  ASSERT_TRUE(session.last_run().replayed) << session.last_run().reason;
  object_cast<Foo>(model.custom_objects().at("_torchbind_obj0"))->change([](FooState& state) {
    state.x = 5;
  });
  seen_.clear();
  session.enqueue(views_of(inputs), stream);
  EXPECT_FALSE(session.last_run().replayed);
  session.enqueue(views_of(inputs), stream);
  EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  EXPECT_THAT(seen_, Each(5));
  EXPECT_FALSE(seen_.empty());
}

}  // namespace
}  // namespace penstock::testing
