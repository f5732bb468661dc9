#include "support.hpp"

#include <array>

namespace penstock::testing {
namespace {

/// Runs `mlp`, which takes float32[0..64, 64], on one view.
void run_mlp(const TensorView& input) {
  static const Model model = load_model("mlp");
  Session(model).run({&input, 1});
}

TEST(SessionRun, RefusesAnotherCountOfInputs) {
  Session session(load_model("add"));
  const Tensor x = ramp({8, 64});
  const std::vector<TensorView> three(3, x.view());
  expect_refused(ErrorCode::InvalidArgument, {"add.pt2", "takes 2 inputs, 3 were given", "float32[8, 64]"},
                 [&] { session.run(three); });
  expect_refused(ErrorCode::InvalidArgument, {"takes 2 inputs, 1 were given"},
                 [&] { session.run(std::span(three).first(1)); });
  expect_refused(ErrorCode::InvalidArgument, {"takes 2 inputs, 0 were given"}, [&] { session.run({}); });
}

TEST(SessionRun, RefusesAnotherDtype) {
  const Tensor x = Tensor::empty(DType::Float64, {8, 64});
  expect_refused(
      ErrorCode::InvalidArgument,
      {"mlp.pt2", "arg0", "float64[8, 64]", "float32[0..64, 64]", "its dtype is float64, not float32"},
      [&] { run_mlp(x.view()); });
}

TEST(SessionRun, RefusesAnotherRank) {
  const Tensor x = ramp({8, 64, 1});
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "float32[0..64, 64]", "it has 3 dimensions, not 2"},
                 [&] { run_mlp(x.view()); });
  const Tensor scalar = ramp({});
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "it has 0 dimensions, not 2"},
                 [&] { run_mlp(scalar.view()); });
}

TEST(SessionRun, RefusesAnotherFixedSize) {
  const Tensor x = ramp({8, 63});
  expect_refused(ErrorCode::InvalidArgument,
                 {"arg0", "float32[8, 63]", "dimension 1 is 63, the model takes 64"},
                 [&] { run_mlp(x.view()); });
}

TEST(SessionRun, RefusesTooManyRows) {
  const Tensor x = ramp({65, 64});
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "dimension 0 is 65, the model takes 0 to 64"},
                 [&] { run_mlp(x.view()); });
}

TEST(SessionRun, TakesAsManyRowsAsWereExported) {
  const Tensor x = ramp({64, 64});
  EXPECT_NO_THROW(run_mlp(x.view()));
}

TEST(SessionRun, RefusesStridesThatTheModelWasNotCompiledFor) {
  const Tensor x = ramp({64, 64});
  const std::array<std::int64_t, 2> sizes{8, 64};
  const std::array<std::int64_t, 2> strides{1, 64};
  const TensorView transposed(x.view().data(), DType::Float32, sizes, strides, 0);
  expect_refused(ErrorCode::InvalidArgument,
                 {"arg0", "its strides are [1, 64]", "compiled for [64, 1]", "copy_of"},
                 [&] { run_mlp(transposed); });
}

TEST(SessionRun, RefusesARowMajorTensorWhereTheModelWasCompiledForAnotherLayout) {
  Session session(load_model("strided"));
  const Tensor x = ramp({5, 6});
  const TensorView input = x.view();
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "its strides are [6, 1]", "compiled for [1, 5]"}, [&] {
    session.run({&input, 1});
  });
}

TEST(SessionRun, TakesAnyStrideWhereTheSizeIsOne) {
  const Tensor x = ramp({1, 64});
  const std::array<std::int64_t, 2> sizes{1, 64};
  const std::array<std::int64_t, 2> strides{7, 1};
  EXPECT_NO_THROW(run_mlp(TensorView(x.view().data(), DType::Float32, sizes, strides, 64 * sizeof(float))));
}

TEST(SessionRun, IsGivenNoViewThatReachesPastItsStorage) {
  const Tensor x = ramp({8, 64});
  const std::array<std::int64_t, 2> sizes{8, 64};
  const std::array<std::int64_t, 2> strides{64, 1};
  const auto view = [&](std::size_t bytes) {
    return TensorView(x.view().data(), DType::Float32, sizes, strides, bytes);
  };
  expect_refused(ErrorCode::InvalidArgument, {"[8, 64]", "needs 2048 bytes", "has 2047"},
                 [&] { view(2047); });
  EXPECT_NO_THROW(run_mlp(view(2048)));
}

TEST(SessionRun, RefusesANullAddress) {
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "its address is null"}, [&] {
    run_mlp(TensorView(nullptr, DType::Float32, {8, 64}));
  });
}

TEST(SessionRun, TakesANullAddressOfNoElements) {
  EXPECT_NO_THROW(run_mlp(TensorView(nullptr, DType::Float32, {0, 64})));
}

TEST(SessionRun, RefusesAnAddressThatIsNotAligned) {
  const Tensor x = ramp({9, 64});
  auto* const address = static_cast<std::byte*>(x.view().data()) + 2;
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "not aligned"}, [&] {
    run_mlp(TensorView(address, DType::Float32, {8, 64}));
  });
}

TEST(SessionRun, TakesAnAddressThatIsAlignedToItsDtypeOnly) {
  const Tensor wide = Tensor::empty(DType::Float32, {8 * 64 + 1});
  const Tensor input = recorded("mlp", "inputs").front();
  float* const address = wide.data_as<float>() + 1;
  std::copy_n(input.data_as<float>(), input.numel(), address);
  Session session(load_model("mlp"));
  const TensorView view(address, DType::Float32, {8, 64});
  expect_same(session.run({&view, 1}), recorded("mlp", "outputs"));
}

TEST(SessionRun, RefusesADeviceThatIsNotTheModels) {
  const Tensor x = ramp({8, 64});
  const Device cuda{DeviceType::Cuda, 0};
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "it is on cuda:0, the model on cpu"}, [&] {
    run_mlp(TensorView(x.view().data(), DType::Float32, {8, 64}, cuda));
  });
}

TEST(SessionRun, NamesTheKeywordOfAnInput) {
  Session session(load_model("shared"));
  const Tensor x = ramp({6, 9});
  const Tensor scale = ramp({2});
  const std::vector<TensorView> inputs{x.view(), x.view(), scale.view()};
  expect_refused(ErrorCode::InvalidArgument, {"arg2 (scale)", "float32[]", "it has 1 dimensions, not 0"},
                 [&] { session.run(inputs); });
}

TEST(SessionRun, GoesOnAfterARefusal) {
  Session session(load_model("mlp"));
  const Tensor bad = ramp({65, 64});
  const TensorView refused = bad.view();
  EXPECT_THROW(session.run({&refused, 1}), Error);
  expect_same(session.run(views_of(recorded("mlp", "inputs"))), recorded("mlp", "outputs"));
}

/// A library that does not check by itself which sizes go together must not be trusted to.
class SharedSizes : public ::testing::TestWithParam<const char*> {
 protected:
  void refuses(std::initializer_list<std::int64_t> x, std::initializer_list<std::int64_t> y,
               const std::string& part) {
    LoadOptions options;
    for (const auto checks : {GeneratedChecks::Auto, GeneratedChecks::Off}) {
      options.generated_checks = checks;
      Session session(Model::load(open_package("shared", GetParam()), options));
      const Tensor first = ramp(x);
      const Tensor second = ramp(y);
      const Tensor scale = ramp({}, 0.5F);
      const std::vector<TensorView> inputs{first.view(), second.view(), scale.view()};
      expect_refused(ErrorCode::InvalidArgument, {"input arg1:", part}, [&] { session.run(inputs); });
    }
  }
};

TEST_P(SharedSizes, AreRefusedWhereTheRowsDiffer) { refuses({6, 9}, {5, 9}, "dimension 0 is 5"); }
TEST_P(SharedSizes, AreRefusedWhereTheColumnsDiffer) { refuses({6, 9}, {6, 6}, "dimension 1 is 6"); }
TEST_P(SharedSizes, AreRefusedWhereTheyAreSwapped) { refuses({6, 9}, {9, 6}, "dimension 0 is 9"); }
TEST_P(SharedSizes, AreRefusedWhereOneInputHasNoRows) { refuses({6, 9}, {0, 9}, "dimension 0 is 0"); }

TEST_P(SharedSizes, AreTakenWhereTheyAgree) {
  Session session(load_model("shared", GetParam()));
  const Tensor scale = ramp({}, 2.0F);
  for (const auto& sizes : {std::array<std::int64_t, 2>{2, 2}, {64, 128}, {9, 6}, {5, 5}}) {
    Tensor x = Tensor::empty(DType::Float32, sizes);
    Tensor y = Tensor::empty(DType::Float32, sizes);
    std::fill_n(x.data_as<float>(), x.numel(), 1.0F);
    std::fill_n(y.data_as<float>(), y.numel(), 3.0F);
    const std::vector<TensorView> inputs{x.view(), y.view(), scale.view()};
    const std::vector<Tensor> results = session.run(inputs);
    EXPECT_EQ(numbers(results[0].view()), std::vector<double>(static_cast<std::size_t>(x.numel()), 7.0));
  }
}

INSTANTIATE_TEST_SUITE_P(Torch, SharedSizes, ::testing::Values("2.9", "2.11", "2.13", "2.15"),
                         [](const auto& given) { return std::string(given.param).replace(1, 1, "_"); });

TEST(SessionPrepare, TakesSizesThatTheModelTakes) {
  Session session(load_model("matmuls"));
  EXPECT_NO_THROW(session.prepare());
  PrepareOptions options;
  for (const Tensor& input : recorded("matmuls", "inputs")) options.shapes.push_back(sizes_of(input.view()));
  session.prepare(options);
  const std::uint64_t held = session.memory().held_bytes;
  EXPECT_GT(held, 0u);
  expect_same(session.run(views_of(recorded("matmuls", "inputs"))), recorded("matmuls", "outputs"));
  // What only the first, smaller run used has gone.
  EXPECT_LE(session.memory().held_bytes, held);
}

TEST(SessionPrepare, PreparesEveryPackageByItself) {
  for (const char* name :
       {"add", "mlp", "shared", "multi", "conv", "dtypes", "empty", "strided", "inplace", "fails"}) {
    SCOPED_TRACE(name);
    if (name == std::string_view("conv") && !has_onednn()) continue;
    Session session(load_model(name));
    EXPECT_NO_THROW(session.prepare());
    expect_same(session.run(views_of(recorded(name, "inputs"))), recorded(name, "outputs"));
  }
}

TEST(SessionPrepare, RefusesShapesThatTheModelDoesNotTake) {
  Session session(load_model("mlp"));
  expect_refused(ErrorCode::InvalidArgument, {"takes 1 inputs, 2 shapes were given"}, [&] {
    session.prepare({.shapes = {{8, 64}, {8, 64}}});
  });
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "dimension 0 is 65"}, [&] {
    session.prepare({.shapes = {{65, 64}}});
  });
  // Which no memory could hold.
  expect_refused(ErrorCode::InvalidArgument, {"mlp", "arg0", "dimension 0 is 1099511627776"}, [&] {
    session.prepare({.shapes = {{std::int64_t{1} << 40, 64}}});
  });
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "1 dimensions, not 2"},
                 [&] { session.prepare({.shapes = {{64}}}); });
  expect_refused(ErrorCode::InvalidArgument, {}, [&] { session.prepare({.shapes = {{-1, 64}}}); });
  expect_same(session.run(views_of(recorded("mlp", "inputs"))), recorded("mlp", "outputs"));
}

TEST(ModelInputs, SayWhatIsAccepted) {
  const Model mlp = load_model("mlp");
  ASSERT_EQ(mlp.inputs().size(), 1u);
  EXPECT_EQ(to_string(mlp.inputs()[0]), "float32[0..64, 64]");
  EXPECT_EQ(mlp.inputs()[0].name, "arg0");
  EXPECT_EQ(mlp.find_input("arg0"), 0u);
  EXPECT_EQ(mlp.find_input("arg1"), std::nullopt);
  EXPECT_EQ(mlp.find_input(""), std::nullopt);
  EXPECT_EQ(mlp.device(), Device{});

  const Model shared = load_model("shared");
  EXPECT_EQ(shared.find_input("scale"), 2u);
  EXPECT_EQ(shared.find_input("arg2"), 2u);
  EXPECT_FALSE(shared.inputs()[0].dims[0].symbol.empty());
  EXPECT_EQ(shared.inputs()[0].dims[0].symbol, shared.inputs()[1].dims[0].symbol);
  EXPECT_NE(shared.inputs()[0].dims[0].symbol, shared.inputs()[0].dims[1].symbol);
  EXPECT_NE(shared.call_spec_in().find("scale"), std::string::npos);
  EXPECT_NE(shared.call_spec_out().find(R"(\"b\")"), std::string::npos);
  EXPECT_EQ(std::vector<std::string>(shared.output_names().begin(), shared.output_names().end()),
            (std::vector<std::string>{"out0", "out1", "out2", "out3"}));
}

std::vector<std::string> specs_of(std::string_view name, std::string_view torch = "2.15") {
  const Model model = load_model(name, torch);
  std::vector<std::string> specs;
  for (const TensorSpec& spec : model.inputs()) specs.push_back(to_string(spec));
  return specs;
}

TEST(ModelInputs, AreFoundForEveryKindOfModel) {
  using Specs = std::vector<std::string>;
  for (const char* torch : {"2.9", "2.11", "2.13", "2.15"}) {
    SCOPED_TRACE(torch);
    EXPECT_EQ(specs_of("add", torch), (Specs{"float32[8, 64]", "float32[8, 64]"}));
    EXPECT_EQ(specs_of("mlp", torch), (Specs{"float32[0..64, 64]"}));
    EXPECT_EQ(specs_of("shared", torch),
              (Specs{"float32[0..64, 0..128]", "float32[0..64, 0..128]", "float32[]"}));
  }
  EXPECT_EQ(specs_of("conv"), (Specs{"float32[0..8, 3, 16, 16]"}));
  EXPECT_EQ(specs_of("multi"), Specs(4, "float32[3, 4]"));
  EXPECT_EQ(specs_of("matmuls64"),
            (Specs{"float64[0..64, 12]", "float64[12, 7]", "float64[0..64, 7]", "float64[0..16, 4, 6]",
                   "float64[0..16, 6, 8]", "float64[0..16, 4, 8]"}));
  EXPECT_EQ(specs_of("dtypes"),
            (Specs{"float32[4, 6]", "float64[4, 6]", "float16[4, 6]", "bfloat16[4, 6]", "int8[4, 6]",
                   "uint8[4, 6]", "int16[4, 6]", "int32[4, 6]", "int64[4, 6]", "bool[4, 6]"}));
  EXPECT_EQ(specs_of("empty"), (Specs{"float32[0..16, 4]"}));
  EXPECT_EQ(specs_of("fails"), (Specs{"float32[6, 8]", "int64[3]"}));
  const Model strided = load_model("strided");
  EXPECT_EQ(strided.inputs()[0].strides, (std::vector<std::int64_t>{1, 5}));
}

TEST(ModelInputs, ShareASymbolWhereTheirSizesMustBeEqual) {
  const Model model = load_model("matmuls");
  const auto symbol = [&](std::size_t input) { return model.inputs()[input].dims[0].symbol; };
  EXPECT_FALSE(symbol(0).empty());
  EXPECT_EQ(symbol(0), symbol(2));
  EXPECT_FALSE(symbol(3).empty());
  EXPECT_EQ(symbol(3), symbol(4));
  EXPECT_EQ(symbol(3), symbol(5));
  EXPECT_NE(symbol(0), symbol(3));
  EXPECT_TRUE(symbol(1).empty());
}

TEST(ModelConstants, AreThoseOfTheModule) {
  std::vector<std::string> names;
  std::uint64_t bytes = 0;
  const Model model = load_model("mlp");
  for (const ConstantInfo& constant : model.constants()) {
    names.push_back(constant.name);
    bytes += constant.bytes;
    EXPECT_EQ(constant.dtype, DType::Float32);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"0.bias", "0.weight", "2.bias", "2.weight"}));
  EXPECT_EQ(bytes, (64 * 32 + 32 + 32 * 10 + 10) * sizeof(float));
}

TEST(ModelInputs, AreCheckedWithoutARun) {
  const Model model = load_model("mlp");
  const Tensor good = ramp({8, 64});
  const TensorView view = good.view();
  EXPECT_NO_THROW(model.check_inputs({&view, 1}));
  // Of a tensor that is still to be made, too.
  const TensorView wanted(nullptr, DType::Float32, {8, 64});
  EXPECT_NO_THROW(model.check_inputs({&wanted, 1}));
  const TensorView wide(nullptr, DType::Float32, {8, std::int64_t{1} << 50});
  expect_refused(ErrorCode::InvalidArgument, {"mlp.pt2", "arg0", "dimension 1 is 1125899906842624", "64"},
                 [&] {
                   model.check_inputs({&wide, 1});
                 });
  const TensorView integers(nullptr, DType::Int64, {8, 64});
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "int64"}, [&] { model.check_inputs({&integers, 1}); });
  expect_refused(ErrorCode::InvalidArgument, {"takes 1 inputs, 0 were given"},
                 [&] { model.check_inputs({}); });
  // An address that is there has to be a good one.
  const TensorView odd(static_cast<std::byte*>(view.data()) + 1, DType::Float32, {4, 64});
  expect_refused(ErrorCode::InvalidArgument, {"aligned"}, [&] { model.check_inputs({&odd, 1}); });
}

TEST(ModelInputs, TellStridesAndSmallestSizes) {
  const Model strided = load_model("strided");
  EXPECT_EQ(strided.input_strides(0, std::vector<std::int64_t>{5, 6}), (std::vector<std::int64_t>{1, 5}));
  expect_refused(ErrorCode::NotFound, {"1 inputs", "no input 1"}, [&] {
    (void)strided.input_strides(1, std::vector<std::int64_t>{5, 6});
  });
  expect_refused(ErrorCode::InvalidArgument, {"arg0", "1 sizes"},
                 [&] { (void)strided.input_strides(0, std::vector<std::int64_t>{5}); });
  using Sizes = std::vector<std::vector<std::int64_t>>;
  EXPECT_EQ(load_model("shared").smallest_sizes(), (Sizes{{1, 1}, {1, 1}, {}}));
  EXPECT_EQ(load_model("narrow").smallest_sizes(), (Sizes{{1, 8}, {1, 8}, {1, 8}}));
}

TEST(SizeRanges, ThatTheCompilerNarrowedAreKeptToAndSaidToBeItsOwn) {
  Session session(load_model("narrowed", "2.15-calls"));
  expect_same(session.run(views_of(recorded("narrowed", "inputs", "2.15-calls"))),
              recorded("narrowed", "outputs", "2.15-calls"));
  expect_refused(ErrorCode::InvalidArgument,
                 {"dimension 0 is 40, the model takes 0 to 15", "may have narrowed", "--size-ranges ignored"},
                 [&] { session.run(views_of(recorded("narrowed.n40", "inputs", "2.15-calls"))); });
}

TEST(SizeRanges, BeginAtTwoWhereThePackagesOwnChecksHaveToStayOn) {
  const Model model = load_model("paired", "2.15-calls");
  EXPECT_EQ(to_string(model.inputs()[0]).substr(0, 13), "float32[2..64");
  Session session(model);
  expect_same(session.run(views_of(recorded("paired", "inputs", "2.15-calls"))),
              recorded("paired", "outputs", "2.15-calls"));
  session.prepare({.shapes = {{2, 4}}});
  const Tensor one = ramp({1, 8});
  expect_refused(ErrorCode::InvalidArgument,
                 {"dimension 0 is 1, the model takes 2 to 64", "--size-ranges ignored"}, [&] {
                   session.run({&one.view(), 1});
                 });
  Session anything(Model::load(open_package("paired", "2.15-calls"), {.size_ranges = SizeRanges::Ignored}));
  EXPECT_EQ(anything.run({&one.view(), 1})[0].sizes()[0], 1);
}

TEST(SizeRanges, AreIgnoredWhereThatIsAskedFor) {
  const Model model =
      Model::load(open_package("narrowed", "2.15-calls"), {.size_ranges = SizeRanges::Ignored});
  EXPECT_EQ(model.inputs()[0].dims[0].max, INT64_MAX);
  EXPECT_EQ(model.inputs()[0].dims[1].max, 3);
  Session session(model);
  for (const char* name : {"narrowed.n40", "narrowed"})
    expect_same(session.run(views_of(recorded(name, "inputs", "2.15-calls"))),
                recorded(name, "outputs", "2.15-calls"));
  for (const std::int64_t batch : {0, 1}) {
    const Tensor images = ramp({batch, 3, 16, 16});
    EXPECT_EQ(session.run({&images.view(), 1})[0].sizes()[0], batch);
  }
  const Tensor other = ramp({2, 3, 16, 17});
  expect_refused(ErrorCode::InvalidArgument, {"dimension 3 is 17, the model takes 16"}, [&] {
    session.run({&other.view(), 1});
  });
}

}  // namespace
}  // namespace penstock::testing
