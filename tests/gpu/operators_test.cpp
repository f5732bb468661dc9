#include "gpu.hpp"

#include <fixtures.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Operators that a program registers, on CUDA.
namespace penstock::testing {
namespace {

constexpr std::string_view kCudaObjects = "2.15-sm90-objects";

/// to = from * factor + more, in one block; `affine64` into doubles.
constexpr const char* kPtx = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry affine(.param .u64 to, .param .u64 from, .param .f32 factor, .param .f32 more, .param .u32 count)
{
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .f32 %f<5>;
  .reg .b64 %rd<6>;
  ld.param.u64 %rd1, [to];
  ld.param.u64 %rd2, [from];
  ld.param.f32 %f1, [factor];
  ld.param.f32 %f2, [more];
  ld.param.u32 %r1, [count];
  mov.u32 %r2, %tid.x;
  setp.ge.u32 %p1, %r2, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd3, %r2, 4;
  add.u64 %rd4, %rd2, %rd3;
  ld.global.f32 %f3, [%rd4];
  fma.rn.f32 %f4, %f3, %f1, %f2;
  add.u64 %rd5, %rd1, %rd3;
  st.global.f32 [%rd5], %f4;
DONE:
  ret;
}
.visible .entry affine64(.param .u64 to, .param .u64 from, .param .f32 factor, .param .f32 more, .param .u32 count)
{
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .f32 %f<5>;
  .reg .f64 %fd<2>;
  .reg .b64 %rd<7>;
  ld.param.u64 %rd1, [to];
  ld.param.u64 %rd2, [from];
  ld.param.f32 %f1, [factor];
  ld.param.f32 %f2, [more];
  ld.param.u32 %r1, [count];
  mov.u32 %r2, %tid.x;
  setp.ge.u32 %p1, %r2, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd3, %r2, 4;
  add.u64 %rd4, %rd2, %rd3;
  ld.global.f32 %f3, [%rd4];
  fma.rn.f32 %f4, %f3, %f1, %f2;
  cvt.f64.f32 %fd1, %f4;
  mul.wide.u32 %rd5, %r2, 8;
  add.u64 %rd6, %rd1, %rd5;
  st.global.f64 [%rd6], %fd1;
DONE:
  ret;
}
)";

void require(cuda::Result result, const char* what) {
  if (result != cuda::kSuccess)
    throw std::runtime_error(std::string(what) + " failed with " + std::to_string(result));
}

/// The kernels, on the device for as long as this lives.
class Kernels {
 public:
  Kernels() { require(driver().module_load(&module_, kPtx), "cuModuleLoadData"); }
  ~Kernels() { driver().module_unload(module_); }
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;

  struct Affine {
    float factor = 1;
    float more = 0;
  };

  /// On the stream of the call, without a wait.
  void run(const OperatorCall& call, const TensorView& to, const TensorView& from, Affine affine) const {
    cuda::FunctionHandle function = nullptr;
    require(
        driver().module_function(&function, module_, to.dtype() == DType::Float64 ? "affine64" : "affine"),
        "cuModuleGetFunction");
    void* to_data = to.data();
    void* from_data = from.data();
    auto count = static_cast<unsigned>(from.numel());
    std::array<void*, 5> arguments{&to_data, &from_data, &affine.factor, &affine.more, &count};
    require(
        driver().launch(function, 1, 1, 1, 256, 1, 1, 0,
                        static_cast<cuda::StreamHandle>(call.stream().handle()), arguments.data(), nullptr),
        "cuLaunchKernel");
  }

 private:
  cuda::ModuleHandle module_ = nullptr;
};

/// What the package `operators` calls, as kernels.
void add_kernels(Registry& registry, const std::shared_ptr<Kernels>& kernels, Capture capture) {
  registry.add({.schema = "fixtures::defaults(Tensor x, int count=2, float scale=1.5, *, bool add=True, "
                          "str mode=\"twice\", int[] steps=[1, 2], ScalarType? dtype=None) -> Tensor",
                .run =
                    [kernels](OperatorCall& call) {
                      std::int64_t sum = 0;
                      for (std::size_t i = 0; i < call.count(5); ++i) sum = sum * 3 + call.integer(5, i);
                      const auto more = static_cast<float>(call.integer(1) * sum + (call.boolean(3) ? 1 : 0));
                      const TensorView x = call.tensor(0);
                      const TensorView to =
                          call.make_result(0, call.has(6) ? call.dtype(6) : DType::Float32, x.sizes());
                      kernels->run(call, to, x,
                                   {.factor = static_cast<float>(2 * call.number(2)), .more = 2 * more});
                    },
                .capture = capture});
  registry.add(
      {.schema = "fixtures::add_one(Tensor(a!) x) -> ()",
       .run =
           [kernels](OperatorCall& call) { kernels->run(call, call.tensor(0), call.tensor(0), {.more = 1}); },
       .capture = capture});
  registry.add({.schema = "fixtures::counted(Tensor x) -> (Tensor, int)",
                .run =
                    [kernels](OperatorCall& call) {
                      const TensorView x = call.tensor(0);
                      kernels->run(call, call.make_result(0, DType::Float32, x.sizes()), x, {.more = 1});
                      call.give_integer(1, static_cast<std::int64_t>(x.rank()));
                    },
                .capture = capture});
}

/// What the package `objects` calls, as kernels that may be captured: all multiply by the sum of a Foo.
Registry capturable_objects(const std::shared_ptr<Kernels>& kernels) {
  const auto times = [kernels](const OperatorCall& call, const TensorView& to, const TensorView& from) {
    const auto& foo = call.state<fixtures::FooState>(0);
    kernels->run(call, to, from, {.factor = static_cast<float>(foo.x + foo.y)});
    return to;
  };
  const auto once = [times](OperatorCall& call) {
    const TensorView x = call.tensor(1);
    times(call, call.make_result(0, x.dtype(), x.sizes()), x);
  };
  const std::string foo = "__torch__.torch.classes.fixtures.Foo foo";
  Registry made;
  made.add({.schema = "fixtures::takes_foo(" + foo + ", Tensor x) -> Tensor",
            .run = once,
            .capture = Capture::Allowed});
  made.add({.schema = "fixtures::takes_foo_list(" + foo + ", Tensor x) -> Tensor[]",
            .run =
                [times](OperatorCall& call) {
                  TensorView from = call.tensor(1);
                  for (std::size_t item = 0; item < call.result_count(0); ++item)
                    from = times(call, call.make_result(0, from.dtype(), from.sizes(), item), from);
                },
            .capture = Capture::Allowed});
  made.add({.schema = "fixtures::takes_foo_pair(" + foo + ", Tensor x) -> (Tensor, Tensor)",
            .run =
                [times](OperatorCall& call) {
                  const TensorView x = call.tensor(1);
                  const TensorView first = times(call, call.make_result(0, x.dtype(), x.sizes()), x);
                  times(call, call.make_result(1, x.dtype(), x.sizes()), first);
                },
            .capture = Capture::Allowed});
  made.add(ClassDefinition{
      .name = "fixtures.Foo",
      .create =
          [](const Value& state, const ObjectOrigin&) {
            return std::make_shared<fixtures::Foo>(
                fixtures::FooState{state.items()[0].integer(), state.items()[1].integer()});
          },
      .methods = {{.schema = "add_tensor(Tensor z) -> Tensor", .run = once, .capture = Capture::Allowed}}});
  return made;
}

Model load_with(std::string_view package, Registry registry) {
  LoadOptions options;
  options.device = kGpu;
  options.registry = std::move(registry);
  return Model::load(open_package(package, kCudaObjects), options);
}

std::vector<Tensor> given_to(std::string_view package) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : recorded(package, "inputs", kCudaObjects))
    inputs.push_back(copy_to_device(input.view(), kGpu));
  return inputs;
}

void expect_answers(std::string_view package, const std::vector<Tensor>& outputs) {
  expect_same(on_host(outputs), recorded(package, "outputs", kCudaObjects));
}

class ObjectPackage : public ::testing::TestWithParam<const char*> {};

TEST_P(ObjectPackage, AnswersAsPyTorch) {
  Session session(load_with(GetParam(), fixtures::all_but({})));
  const std::vector<Tensor> inputs = given_to(GetParam());
  expect_answers(GetParam(), session.run(views_of(inputs)));
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  expect_answers(GetParam(), outputs);
}

INSTANTIATE_TEST_SUITE_P(Sm90, ObjectPackage, ::testing::Values("objects", "kinds", "engines"),
                         [](const auto& tested) { return std::string(tested.param); });

class OperatorKernels : public ::testing::Test {
 protected:
  InPrimary primary_;
  std::shared_ptr<Kernels> kernels_ = std::make_shared<Kernels>();
  Registry registry_ = [this] {
    Registry made;
    add_kernels(made, kernels_, Capture::Never);
    return made;
  }();
};

TEST_F(OperatorKernels, AreOrderedWithThePackagesOwnWork) {
  Session session(load_with("operators", registry_));
  const std::vector<Tensor> inputs = given_to("operators");
  expect_answers("operators", session.run(views_of(inputs)));
  const Stream stream = Stream::create();
  for (int i = 0; i < 100; ++i) session.enqueue_borrowed(views_of(inputs), stream);
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  expect_answers("operators", outputs);
}

TEST_F(OperatorKernels, WaitForTheSmsOfTheRunsPartition) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const Stream occupied = partition.create_stream();
  Session session(load_with("operators", registry_));
  const std::vector<Tensor> inputs = given_to("operators");
  session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  Held held(occupied, 2 * partition.sm_count());
  held.wait_until_running();
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(stream.view().is_done());
  held.let_go();
  stream.view().synchronize();
  expect_answers("operators", outputs);
}

TEST_F(OperatorKernels, AreInAnAudit) {
  Session session(load_with("operators", registry_));
  const std::vector<Tensor> inputs = given_to("operators");
  const Stream stream = Stream::create();
  const Audit audit = session.audit(views_of(inputs), stream);
  const auto is_operator = [](const AuditEntry& entry) { return entry.kind == AuditEntry::Kind::Operator; };
  EXPECT_EQ(std::count_if(audit.entries.begin(), audit.entries.end(), is_operator), 4);
  EXPECT_TRUE(audit.stayed());
}

TEST_F(OperatorKernels, AreReplayedWhereTheyMayBeCaptured) {
  Registry registry;
  add_kernels(registry, kernels_, Capture::Allowed);
  Session session(load_with("operators", registry));
  const Stream stream = Stream::create();
  for (int i = 0; i < 5; ++i) {
    // Elsewhere each time, and one is changed in place.
    const std::vector<Tensor> inputs = given_to("operators");
    const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    expect_answers("operators", outputs);
    EXPECT_EQ(session.last_run().replayed, i != 0) << session.last_run().reason;
  }
}

TEST_F(OperatorKernels, AChangeOfTheirObjectShowsUnderGraphs) {
  const Model model = load_with("objects", capturable_objects(kernels_));
  Session session(model);
  const std::vector<Tensor> inputs = given_to("objects");
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const auto first_of = [&](bool replayed) {
    const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    EXPECT_EQ(session.last_run().replayed, replayed) << session.last_run().reason;
    return numbers(on_host(outputs)[0].view());
  };
  expect_answers("objects", session.enqueue(views_of(inputs), stream));
  const std::vector<double> before = first_of(true);
  EXPECT_EQ(first_of(true), before);
  // What they multiply by was 1 + 2.
  object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0"))
      ->change([](fixtures::FooState& state) {
        state = {4, 2};
      });
  for (const bool replayed : {false, true, true}) {
    const std::vector<double> after = first_of(replayed);
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], 2 * before[i], 1e-4);
  }
}

TEST(CudaCustomObjects, AChangeShowsInTheNextRun) {
  const Model model = load_with("objects", fixtures::all_but({}));
  Session session(model);
  const std::vector<Tensor> inputs = given_to("objects");
  const std::vector<double> before = numbers(on_host(session.run(views_of(inputs)))[0].view());
  // What it multiplies by was 1 + 2.
  object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0"))
      ->change([](fixtures::FooState& state) {
        state = {4, 2};
      });
  const std::vector<double> after = numbers(on_host(session.run(views_of(inputs)))[0].view());
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], 2 * before[i], 1e-4);
}

}  // namespace
}  // namespace penstock::testing
