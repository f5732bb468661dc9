#include "package/text_hints.hpp"

#include "package_builder.hpp"

namespace penstock::package::test {
namespace {

TextHints hints_of(const std::string& package) {
  return read_text_hints(real_entry(package, ".wrapper.cpp"), real_entry(package, ".kernel.cpp"));
}

std::string one_input(const std::string& lines) {
  return "    : AOTInductorModelBase(1,\n 2,\n 0,\n    inputs_info_[0].name = \"arg3_1\";\n"
         "    int32_t arg3_1_expected_dtype = aoti_torch_dtype_float16();\n" +
         lines;
}

ThreadHints threads_of(const std::string& kernel) { return read_thread_hints("", kernel); }

TEST(TextHints, ReadsEveryDtype) {
  const TextHints hints = hints_of("torch-2.15/dtypes.pt2");
  const std::vector<DType> expected = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16,
                                       DType::Int8,    DType::UInt8,   DType::Int16,   DType::Int32,
                                       DType::Int64,   DType::Bool};
  ASSERT_EQ(hints.inputs.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(hints.inputs[i].dtype, expected[i]);
  EXPECT_EQ(hints.march, "x86-64-v3");
  EXPECT_EQ(hints.input_count, 10U);
  EXPECT_EQ(hints.output_count, 10U);
  EXPECT_EQ(hints.constant_count, 0U);
}

TEST(TextHints, ReadsStridesAndConstants) {
  EXPECT_EQ(hints_of("torch-2.15/strided.pt2").inputs.at(0).strides, (std::vector<std::int64_t>{1, 5}));
  const TextHints mlp = hints_of("torch-2.15/mlp.pt2");
  EXPECT_EQ(mlp.constant_count, 4U);
  EXPECT_EQ(mlp.constants_bytes, 9664U);
  ASSERT_EQ(mlp.weights.size(), 4U);
  EXPECT_EQ(mlp.weights.at("2.weight").sizes, (std::vector<std::int64_t>{10, 32}));
  EXPECT_EQ(mlp.weights.at("2.weight").strides, (std::vector<std::int64_t>{32, 1}));
  EXPECT_EQ(hints_of("torch-2.15/native.pt2").march, "native");
}

TEST(TextHints, ReadsChecksOfOneInput) {
  const TextHints hints = read_text_hints(
      one_input("if (arg3_1_size[0] < 2) {\nif (arg3_1_size[0] > 9) {\nif (7 != arg3_1_size[1]) {\n"
                "if (1 != arg3_1_stride[1]) {\nint32_t arg3_1_expected_device_type = 1;\n"
                "int64_t s5 = arg3_1_size[0];\n"),
      "");
  ASSERT_EQ(hints.inputs.size(), 1U);
  const TensorSpec& input = hints.inputs[0];
  EXPECT_EQ(input.name, "arg0");
  EXPECT_EQ(input.dtype, DType::Float16);
  EXPECT_EQ(input.device.type, DeviceType::Cuda);
  ASSERT_EQ(input.dims.size(), 2U);
  EXPECT_EQ(input.dims[0].min, 0);
  EXPECT_EQ(input.dims[0].max, 9);
  EXPECT_EQ(input.dims[0].symbol, "s5");
  EXPECT_EQ(input.dims[1].min, 7);
  EXPECT_EQ(input.strides, (std::vector<std::int64_t>{-1, 1}));
}

TEST(TextHints, GivesASymbolOnlyWhereOneHasTheRange) {
  const std::string checks =
      "if (arg3_1_size[0] < 2) {\nif (arg3_1_size[1] < 2) {\nif (arg3_1_size[2] < 2) {\nint64_t s5 = "
      "arg3_1_size[0];\n";
  EXPECT_EQ(read_text_hints(one_input(checks), "").inputs.at(0).dims.at(2).symbol, "s5");
  const TextHints two = read_text_hints(one_input(checks + "int64_t s6 = arg3_1_size[1];\n"), "");
  EXPECT_EQ(two.inputs.at(0).dims.at(2).symbol, "");
  EXPECT_EQ(two.inputs.at(0).dims.at(1).symbol, "s6");
}

TEST(TextHints, TakesAliasesAndWholeShapes) {
  const TextHints hints = read_text_hints(
      one_input("int64_t s5 = arg3_1_size[1];\nint64_t s6 = s5;\n"
                "    assert_size_stride(arg3_1, {s6, 2L*s5, 4L}, {s5, 1L, 9L}, \"input\");\n"),
      "");
  const auto& dims = hints.inputs.at(0).dims;
  ASSERT_EQ(dims.size(), 3U);
  EXPECT_EQ(dims[0].symbol, "s5");
  EXPECT_EQ(dims[1].symbol, "");
  EXPECT_EQ(dims[2].max, 4);
  EXPECT_EQ(hints.inputs[0].strides, (std::vector<std::int64_t>{-1, 1, 9}));
}

TEST(TextHints, LeavesOutInputsThatItCannotReadAll) {
  EXPECT_TRUE(
      read_text_hints(": AOTInductorModelBase(2, 1, 0,\n inputs_info_[0].name = \"a\";", "").inputs.empty());
  EXPECT_TRUE(
      read_text_hints(": AOTInductorModelBase(1, 1, 0,\n inputs_info_[0].name = \"a\";", "").inputs.empty());
  EXPECT_TRUE(read_text_hints("", "").inputs.empty());
  EXPECT_EQ(read_text_hints(": AOTInductorModelBase(99999999, 1, 0,", "").input_count, std::nullopt);
  EXPECT_TRUE(read_text_hints(one_input("if (1 != arg3_1_size[99999]) {"), "").inputs.at(0).dims.empty());
}

TEST(TextHints, JoinsRawStrings) {
  EXPECT_EQ(read_text_hints(" in_spec_ = R\"([1, )\"\n R\"({})\";", "").call_spec_in, "[1, {}");
  EXPECT_EQ(read_text_hints(" in_spec_ = R\"([1, ", "").call_spec_in, "");
}

TEST(TextHints, NoticesCompileCommandsThatDiffer) {
  EXPECT_EQ(read_text_hints("// g++ -march=native\n", "// g++ -march=x86-64-v3 -O3").march, "mixed");
  EXPECT_EQ(read_text_hints("", "").march, "");
}

TEST(ThreadHints, FindsTheLeastCountOfAnyForm) {
  EXPECT_EQ(threads_of("for (int i = 0; i < 4; i++) {}\n").at_most, 1);
  EXPECT_EQ(threads_of("  #pragma omp parallel num_threads(6)\n").at_most, 6);
  EXPECT_EQ(threads_of("#pragma omp parallel\nfloat tmp_acc0_arr[4];\n").at_most, 4);
  EXPECT_EQ(threads_of("#pragma omp parallel num_threads(6)\nfor (int tid = 0; tid < 3; tid++)\n").at_most,
            3);
  EXPECT_EQ(threads_of("// #pragma omp parallel num_threads(6)\nx();\n").at_most, 1);
}

TEST(ThreadHints, KnowsCodeThatAnyTeamMayRun) {
  EXPECT_EQ(threads_of("#pragma omp parallel\nint tid = omp_get_thread_num();\n#pragma omp for\n").at_most,
            kAnyThreads);
  EXPECT_EQ(
      threads_of("int max_threads = omp_get_max_threads();\nfloat a_arr[max_threads];\n#pragma omp parallel\n"
                 "int tid = omp_get_thread_num();\na_arr[tid] = 1;\n"
                 "for (int tid = 0; tid < max_threads; tid++)\n{\n x += a_arr[tid];\n}\n")
          .at_most,
      kAnyThreads);
}

TEST(ThreadHints, DoesNotKnowOtherUsesOfTheThreadNumber) {
  EXPECT_EQ(
      threads_of("#pragma omp parallel\nint tid = omp_get_thread_num();\nbuffer[tid * 8] = 1;\n").at_most,
      std::nullopt);
  EXPECT_EQ(threads_of("#pragma omp parallel\nint ompIdx = omp_get_thread_num();\n").at_most, std::nullopt);
  EXPECT_EQ(threads_of("").at_most, std::nullopt);
}

TEST(ThreadHints, NoticesWorkSplitByAFixedCount) {
  const ThreadHints hints = threads_of(
      "constexpr int64_t num_threads = 4;\n#pragma omp parallel num_threads(4)\n"
      "const int64_t group = tid / 2;\n");
  EXPECT_EQ(hints.at_most, 4);
  EXPECT_TRUE(hints.exact);
  EXPECT_FALSE(threads_of("#pragma omp parallel num_threads(4)\n").exact);
}

}  // namespace
}  // namespace penstock::package::test
