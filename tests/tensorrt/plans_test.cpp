#include "e2e/cli_command.hpp"
#include "on_double.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

// Plans without a package.
namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// y = 2 x + 1, for 1 to 8 and 9 to 16 rows; an auxiliary stream.
constexpr std::string_view kAffine = R"({"aux_streams": 1, "device_memory": 4096,
  "tensors": [
    {"name": "x", "mode": "input", "shape": [-1, 4],
     "profiles": [{"min": [1, 4], "opt": [2, 4], "max": [8, 4]}, {"min": [9, 4], "opt": [9, 4], "max": [16, 4]}]},
    {"name": "y", "mode": "output", "shape": [-1, 4]}],
  "layers": [{"kind": "affine", "inputs": ["x"], "output": "y", "stream": 1, "scale": 2, "bias": 1}]})";

std::string text_of(std::string_view plan) { return "penstock-double\n" + std::string(plan); }

std::string file_of(std::string_view plan, std::string_view name = "model.plan") {
  const std::string path = e2e::scratch_file(name);
  e2e::write_text(path, text_of(plan));
  return path;
}

class Plans : public OnDouble11 {
 protected:
  [[nodiscard]] EngineOptions options() const {
    EngineOptions made;
    made.tensorrt = {flavor_.library};
    return made;
  }
  [[nodiscard]] Model load(std::string_view plan) const {
    return Model::load_engine(file_of(plan), options());
  }

  static std::vector<float> numbers(const Tensor& tensor) {
    const Tensor host = copy_to_host(tensor.view());
    const auto* const data = host.view().data_as<float>();
    return {data, data + host.numel()};
  }
  static std::vector<Tensor> run(Session& session, const std::vector<Tensor>& inputs, StreamView stream) {
    std::vector<TensorView> views;
    for (const Tensor& input : inputs) views.push_back(input.view());
    auto outputs = session.enqueue(views, stream);
    stream.synchronize();
    return outputs;
  }
  static Tensor rows(std::int64_t count, float value) {
    return on_device({count, 4}, std::vector<float>(static_cast<std::size_t>(count * 4), value));
  }
};

class PlansOf : public OnDouble, public ::testing::WithParamInterface<Flavor> {
 protected:
  PlansOf() : OnDouble(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Each, PlansOf, ::testing::ValuesIn(flavors()),
                         [](const ::testing::TestParamInfo<Flavor>& flavor) { return flavor.param.name; });

TEST_P(PlansOf, AreModels) {
  EngineOptions options;
  options.tensorrt = {flavor_.library};
  const Model model = Model::load_engine(file_of(kAffine), options);
  ASSERT_THAT(model.inputs(), SizeIs(1));
  EXPECT_EQ(to_string(model.inputs()[0]), "float32[1..16, 4]");
  EXPECT_EQ(model.inputs()[0].name, "x");
  EXPECT_EQ(model.find_input("x"), 0U);
  EXPECT_THAT(model.output_names(), ElementsAre("y"));
  EXPECT_EQ(model.device(), (Device{DeviceType::Cuda, 0}));
  EXPECT_TRUE(model.constants().empty());
  Session session(model);
  const Stream stream = Stream::create();
  const Tensor x = on_device({1, 4}, {1, 2, 3, 4});
  const std::array<TensorView, 1> inputs{x.view()};
  const auto outputs = session.enqueue(inputs, stream);
  stream.view().synchronize();
  const Tensor host = copy_to_host(outputs[0].view());
  const auto* const data = host.view().data_as<float>();
  EXPECT_THAT(std::vector<float>(data, data + 4), ElementsAre(3, 5, 7, 9));
}

TEST_F(Plans, OfMemoryAreCopied) {
  std::string text = text_of(kAffine);
  const Model model = Model::load_engine(std::as_bytes(std::span(text)), options());
  std::ranges::fill(text, 'x');
  // Built anew of the plan.
  EXPECT_EQ(model.custom_objects().at("engine").state().bytes().size(), text.size());
  EXPECT_EQ(std::memcmp(model.custom_objects().at("engine").state().bytes().data(), "penstock", 8), 0);
}

TEST_F(Plans, TakeTheProfileThatFitsAndRefuseWhatNoneTakes) {
  const Model model = load(kAffine);
  Session session(model);
  const Stream stream = Stream::create();
  for (const std::int64_t count : {1, 16, 8})
    EXPECT_EQ(numbers(run(session, {rows(count, 3)}, stream)[0]),
              std::vector<float>(static_cast<std::size_t>(count * 4), 7));
  const Error error = error_of([&] { run(session, {rows(17, 3)}, stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), AllOf(StartsWith("model.plan: "), HasSubstr("x"), HasSubstr("1..16")));
  const auto engine = object_cast<TensorRTEngine>(model.custom_objects().at("engine"));
  engine->set_profile(0);
  EXPECT_THAT(error_of([&] { run(session, {rows(16, 3)}, stream); }).what(),
              AllOf(StartsWith("model.plan: "), HasSubstr("profile 0")));
}

TEST_F(Plans, AreCapturedWithTheProfileThatTheyRanWithThoughOthersFitToo) {
  const Model model = load(R"({"tensors": [
      {"name": "x", "mode": "input", "shape": [-1, 4],
       "profiles": [{"min": [1, 4], "opt": [2, 4], "max": [8, 4]}, {"min": [4, 4], "opt": [9, 4], "max": [16, 4]}]},
      {"name": "y", "mode": "output", "shape": [-1, 4]}],
    "layers": [{"kind": "affine", "inputs": ["x"], "output": "y", "scale": 2, "bias": 1}]})");
  Session session(model);
  const Stream stream = Stream::create();
  std::vector<Tensor> kept;
  for (const std::int64_t count : {6, 12, 6, 6, 12, 6}) {
    const Tensor& x = kept.emplace_back(rows(count, 3));
    EXPECT_EQ(numbers(run(session, {x}, stream)[0]),
              std::vector<float>(static_cast<std::size_t>(count * 4), 7));
    EXPECT_EQ(session.last_run().replayed, kept.size() > 2) << session.last_run().reason;
  }
}

TEST_F(Plans, KeepTheirOrderThoughTheirNamesEndInNumbers) {
  const Model model = load(R"({"tensors": [
      {"name": "image_1", "mode": "input", "shape": [2]}, {"name": "mask_0", "mode": "input", "shape": [2]},
      {"name": "boxes_2", "mode": "output", "shape": [2]}, {"name": "scores_1", "mode": "output", "shape": [2]}],
    "layers": [{"kind": "affine", "inputs": ["image_1"], "output": "boxes_2"},
               {"kind": "affine", "inputs": ["mask_0"], "output": "scores_1"}]})");
  EXPECT_EQ(model.inputs()[0].name, "image_1");
  EXPECT_THAT(model.output_names(), ElementsAre("boxes_2", "scores_1"));
}

TEST_F(Plans, StayInAPartitionAndAreReplayed) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32")[0]);
  const Model model = load(kAffine);
  Session session(model);
  const Stream stream = partition.create_stream();
  std::vector<Tensor> kept;
  for (float value = 0; value < 4; ++value) {
    const Tensor& x = kept.emplace_back(rows(2, value));
    EXPECT_EQ(numbers(run(session, {x}, stream)[0]), std::vector<float>(8, 2 * value + 1));
  }
  EXPECT_EQ(session.graph_statistics().captures, 1U);
  EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  const Tensor x = rows(2, 5);
  const std::array<TensorView, 1> inputs{x.view()};
  const Audit audit = session.audit(inputs, stream);
  EXPECT_TRUE(audit.stayed());
  EXPECT_FALSE(audit.entries.empty());
}

TEST_F(Plans, TakeTheValuesOfShapesInHostMemory) {
  const Model model = load(R"({"tensors": [
      {"name": "s", "mode": "input", "dtype": "int64", "shape": [2], "location": "host", "shape_input": true,
       "profiles": [{"min": [1, 1], "opt": [2, 3], "max": [8, 8]}]},
      {"name": "y", "mode": "output", "shape": [-1, -1]}],
    "layers": [{"kind": "resize", "inputs": ["s"], "output": "y", "bias": 5}]})");
  EXPECT_EQ(to_string(model.inputs()[0]), "int64[2]");
  Session session(model);
  const Stream stream = Stream::create();
  std::array<std::int64_t, 2> values{2, 3};
  const std::array<std::int64_t, 1> sizes{2};
  const TensorView view(values.data(), DType::Int64, sizes);
  const std::array<TensorView, 1> inputs{view};
  for (int times = 0; times < 2; ++times) {
    const auto outputs = session.enqueue(inputs, stream);
    stream.view().synchronize();
    EXPECT_THAT(outputs[0].sizes(), ElementsAre(2, 3));
    EXPECT_EQ(numbers(outputs[0]), std::vector<float>(6, 5));
  }
  EXPECT_THAT(session.last_run().reason, HasSubstr("s is read in host memory"));
}

TEST_F(Plans, GiveOutputsWhoseSizesTheDataDecideAndCachesThatTheyChange) {
  const Model sized = load(R"({"tensors": [
      {"name": "x", "mode": "input", "shape": [4]}, {"name": "y", "mode": "output", "shape": [-1]}],
    "layers": [{"kind": "nonzero", "inputs": ["x"], "output": "y"}]})");
  Session session(sized);
  const Stream stream = Stream::create();
  EXPECT_EQ(numbers(run(session, {on_device({4}, {0, 7, 0, 8})}, stream)[0]), (std::vector<float>{7, 8}));

  const Model cache = load(R"({"tensors": [
      {"name": "cache", "mode": "input", "shape": [2]}, {"name": "x", "mode": "input", "shape": [2]},
      {"name": "y", "mode": "output", "shape": [2], "alias": "cache"}],
    "layers": [{"kind": "append", "inputs": ["cache", "x"], "output": "y"}]})");
  Session second(cache);
  const Tensor kept = on_device({2}, {1, 2});
  const auto outputs = run(second, {kept, on_device({2}, {10, 20})}, stream);
  EXPECT_EQ(numbers(kept), (std::vector<float>{11, 22}));
  EXPECT_EQ(outputs[0].view().data(), kept.view().data());
}

TEST_F(Plans, AreBuiltAnewWithAnotherBudget) {
  const Model model = load(R"({"streamable_weights": 1000, "least_budget": 100, "tensors": [
      {"name": "x", "mode": "input", "shape": [2]}, {"name": "y", "mode": "output", "shape": [2]}],
    "layers": [{"kind": "affine", "inputs": ["x"], "output": "y", "scale": 3}]})");
  const auto engine = object_cast<TensorRTEngine>(model.custom_objects().at("engine"));
  engine->set_weight_budget(500);
  EXPECT_EQ(engine->weight_budget(), 500);
  Session session(model);
  const Stream stream = Stream::create();
  EXPECT_EQ(numbers(run(session, {on_device({2}, {1, 2})}, stream)[0]), (std::vector<float>{3, 6}));
}

TEST_F(Plans, ThatCannotBeLoadedSayWhy) {
  const auto refused = [&](const std::string& path, const EngineOptions& with) {
    return error_of([&] { static_cast<void>(Model::load_engine(path, with)); });
  };
  EXPECT_EQ(refused("/nowhere/model.plan", options()).code(), ErrorCode::NotFound);
  const std::string junk = e2e::scratch_file("junk.plan");
  e2e::write_text(junk, "no plan");
  const Error error = refused(junk, options());
  EXPECT_EQ(error.code(), ErrorCode::Incompatible);
  EXPECT_THAT(error.what(),
              AllOf(StartsWith("junk.plan: "), HasSubstr("plan of 7 bytes"), HasSubstr("refuses it")));
  EngineOptions cpu = options();
  cpu.device = {};
  EXPECT_THAT(refused(file_of(kAffine), cpu).what(), HasSubstr("run on CUDA"));
  EngineOptions digest = options();
  digest.sha256 = std::string(64, '0');
  EXPECT_EQ(refused(file_of(kAffine), digest).code(), ErrorCode::InvalidArgument);
  EngineOptions nothing = options();
  nothing.tensorrt = {"/nowhere/libnvinfer.so.11"};
  EXPECT_EQ(refused(file_of(kAffine), nothing).code(), ErrorCode::NotFound);
  EXPECT_EQ(refused(file_of(R"({"tensors": [{"name": "x", "mode": "input", "shape": [4]},
                              {"name": "y", "mode": "output", "shape": [4], "location": "host"}],
                     "layers": [{"kind": "affine", "inputs": ["x"], "output": "y"}]})"),
                    options())
                .code(),
            ErrorCode::Unsupported);
}

/// A library of its own file, which says that it is of another version than it is.
Error error_of_version(const char* library, const char* major) {
  const std::string copy = e2e::scratch_file("libnvinfer.so." + std::string(major));
  std::filesystem::copy_file(library, copy, std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(::setenv("PENSTOCK_DOUBLE_MAJOR", major, 1), 0);
  EngineOptions options;
  options.tensorrt = {copy};
  Error error = error_of([&] { static_cast<void>(Model::load_engine(file_of(kAffine), options)); });
  // The words are the same a second time.
  EXPECT_STREQ(error_of([&] { static_cast<void>(Model::load_engine(file_of(kAffine), options)); }).what(),
               error.what());
  EXPECT_EQ(::unsetenv("PENSTOCK_DOUBLE_MAJOR"), 0);
  return error;
}

TEST_F(Plans, AreGivenToNoLibraryWhoseFunctionsAreNotKnown) {
  const Error later = error_of_version(flavors()[1].library, "12");
  EXPECT_EQ(later.code(), ErrorCode::Incompatible);
  EXPECT_THAT(later.what(), HasSubstr("Penstock knows TensorRT 10 and 11 and TensorRT-RTX 1"));
  const Error other = error_of_version(flavors()[0].library, "11");
  EXPECT_EQ(other.code(), ErrorCode::Incompatible);
  EXPECT_THAT(other.what(), HasSubstr("its functions are not where those of"));
}

TEST_F(Plans, HaveNoWeightsToUpdate) {
  Model model = load(kAffine);
  const Tensor given = rows(1, 0);
  const std::array<NamedWeight, 1> weights{NamedWeight{.name = "w", .view = given.view()}};
  EXPECT_EQ(error_of([&] { model.update_weights(weights); }).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(error_of([&] { model.update_weights({}); }).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(error_of([&] { static_cast<void>(model.weight("w")); }).code(), ErrorCode::NotFound);
}

TEST_F(Plans, AreInspectedRunAndMeasuredByTheCommand) {
  const std::string plan = file_of(kAffine);
  const std::string library = flavor_.library;
  const auto inspected = e2e::penstock_command({"inspect", plan, "--tensorrt", library});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_THAT(inspected.out,
              AllOf(StartsWith("model.plan\n"), HasSubstr("inputs        x  float32[-1, 4]"),
                    HasSubstr("profile 0     x 1x4 2x4 8x4"), HasSubstr("profile 1     x 9x4 9x4 16x4"),
                    HasSubstr("outputs       y  float32[-1, 4]"), HasSubstr("aux streams   1"),
                    HasSubstr("can run here  yes")));
  const auto json = e2e::penstock_command({"inspect", plan, "--tensorrt", library, "--json"});
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"can_run_here\": true"), HasSubstr("\"most\"")));

  const auto run = e2e::penstock_command({"run", plan, "--tensorrt", library, "--shapes", "x:3x4"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("y  float32[3, 4]"));
  const auto other =
      e2e::penstock_command({"run", plan, "--tensorrt", library, "--shapes", "x:3x4", "--use-profile", "1"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("profile 1"));
  const auto bench = e2e::penstock_command({"bench", plan, "--tensorrt", library, "--shapes=x:2x4",
                                            "--warmUp=0", "--iterations=3", "--duration=0"});
  EXPECT_EQ(bench.exit_code, 0) << bench.err;
  EXPECT_THAT(bench.out, HasSubstr("x float32[2, 4]"));
}

TEST_F(Plans, AreToldByTheCommandAlsoWhereTheyCannotRun) {
  // As TensorRT's own begin, with the version at bytes 24 to 27.
  const std::string path = e2e::scratch_file("other.bin");
  std::string header =
      "ftrt" + std::string(20, '\0') + std::string("\x0b\x01\x00\x07", 4) + std::string(40, '\0');
  e2e::write_text(path, header);
  const auto inspected = e2e::penstock_command({"inspect", path, "--tensorrt", flavor_.library});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_THAT(inspected.out,
              AllOf(HasSubstr("built by      TensorRT 11.1.0.7"), HasSubstr("can run here  no"),
                    HasSubstr("refuses it"), Not(HasSubstr("aux streams"))));
  EXPECT_EQ(e2e::penstock_command({"run", path, "--tensorrt", flavor_.library}).exit_code, 3);
  EXPECT_EQ(e2e::penstock_command({"run", path, "--model", "a"}).exit_code, 2);
  EXPECT_EQ(e2e::penstock_command({"run", "/nowhere/a.plan"}).exit_code, 3);
  EXPECT_EQ(e2e::penstock_command({"inspect", "/nowhere/a.plan"}).exit_code, 3);
  const auto package = e2e::penstock_command(
      {"run", std::string(PENSTOCK_TEST_PACKAGES) + "/torch-2.15-engines/alone.pt2", "--use-profile", "1"});
  EXPECT_EQ(package.exit_code, 2);
}

}  // namespace
}  // namespace penstock::testing
