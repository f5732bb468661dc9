#include "contract/recording.hpp"
#include "gpu/ops/harness.hpp"

namespace penstock::gpu {
namespace {

using Dims = std::vector<std::int64_t>;
using Handle = AtenTensorHandle;
using tensor::TensorObjectPtr;
using Mm = AOTITorchError(Handle, Handle, Handle);
using Addmm = AOTITorchError(Handle, Handle, Handle, Handle, double, double);

/// A matrix product with its tensors on the GPU.
struct Product {
  std::string op;
  TensorObjectPtr mat1 = {};
  TensorObjectPtr mat2 = {};
  TensorObjectPtr self = {};
  TensorObjectPtr out = {};
  double beta = 1;
  double alpha = 1;

  /// What went wrong; empty: nothing.
  [[nodiscard]] std::string run() const {
    return run_on_gpu([&] {
      if (op == "mm" || op == "bmm") return gpu_function<Mm>(op + "_out")(out.get(), mat1.get(), mat2.get());
      return gpu_function<Addmm>(op + "_out")(out.get(), self.get(), mat1.get(), mat2.get(), beta, alpha);
    });
  }
};

Product make_product(const nlohmann::json& one) {
  const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
  const auto& tensors = one.at("tensors");
  Product product;
  product.op = one.at("op").get<std::string>();
  product.mat1 = to_gpu(contract::make_input(tensors.at("mat1"), dtype));
  product.mat2 = to_gpu(contract::make_input(tensors.at("mat2"), dtype));
  if (tensors.contains("self")) {
    product.self = to_gpu(contract::make_input(tensors.at("self"), dtype, one.at("self_is_nan").get<bool>()));
  }
  product.out = to_gpu(contract::make_output(tensors.at("out").at("sizes").get<Dims>(),
                                             tensors.at("out").at("strides").get<Dims>(), dtype));
  product.beta = one.at("beta").get<double>();
  product.alpha = one.at("alpha").get<double>();
  return product;
}

bool is_floating(const Product& product) {
  const DType dtype = product.out->dtype;
  return dtype == DType::Float16 || dtype == DType::BFloat16 || dtype == DType::Float32 ||
         dtype == DType::Float64;
}

void run_recorded() {
  const contract::Recording recording = contract::read_recording("linear_algebra");
  ASSERT_FALSE(recording.cases.empty());
  for (const auto& one : recording.cases) {
    const Product product = make_product(one);
    if (!is_floating(product)) {
      EXPECT_NE(product.run().find("no products of"), std::string::npos) << one.dump();
      continue;
    }
    // A second time for what is kept from the first.
    for (int round = 0; round < 2; ++round) {
      ASSERT_EQ(product.run(), "") << one.dump();
    }
    const std::vector<double> actual = gpu_values(*product.out);
    contract::expect_values(actual, contract::recorded_values(recording, one, actual.size()),
                            product.out->dtype, one.dump());
  }
}

TEST(GpuLinearAlgebra, AnswersAsLibtorch) { run_recorded(); }

TEST(GpuLinearAlgebra, AnswersAsLibtorchInPartition) {
  const unsigned whole = gpu().call.sm_count;
  gpu().call.sm_count = 16;
  gpu().reset_lane();
  run_recorded();
  gpu().call.sm_count = whole;
  gpu().reset_lane();
}

TEST(GpuLinearAlgebra, AddsABiasInTheProduct) {
  Product product{.op = "addmm", .mat1 = gpu_tensor({64, 32}, std::vector<float>(64 * 32, 0.5F))};
  product.mat2 = gpu_tensor({32, 48}, std::vector<float>(32 * 48, 2));
  product.self = gpu_tensor({48}, std::vector<float>(48, 7));
  product.out = gpu_tensor({64, 48}, std::vector<float>(64 * 48));
  ASSERT_EQ(product.run(), "");
  gpu().observer.names.clear();
  ASSERT_EQ(product.run(), "");
  EXPECT_EQ(gpu().observer.names, std::vector<std::string>{"cublasLtMatmul"});
  EXPECT_EQ(gpu_values(*product.out), std::vector<double>(64 * 48, 39));
}

TEST(GpuLinearAlgebra, AddsToTheResultItself) {
  Product product{.op = "addmm", .mat1 = gpu_tensor({3, 2}, {1, 2, 3, 4, 5, 6})};
  product.mat2 = gpu_tensor({2, 2}, {1, 0, 0, 1});
  product.out = gpu_tensor({3, 2}, {10, 20, 30, 40, 50, 60});
  product.self = view(*product.out, {3, 2}, {2, 1});
  ASSERT_EQ(product.run(), "");
  EXPECT_EQ(gpu_values(*product.out), (std::vector<double>{11, 22, 33, 44, 55, 66}));
}

TEST(GpuLinearAlgebra, MultipliesMatricesThatLieAtAnyElement) {
  const auto whole = gpu_tensor({1 + 9 * 7}, std::vector<float>(1 + 9 * 7, 2));
  Product product{.op = "mm", .mat1 = view(*whole, {9, 7}, {7, 1}, 1)};
  product.mat2 = view(*whole, {7, 9}, {1, 7}, 1);
  product.out = gpu_tensor({9, 9}, std::vector<float>(81));
  ASSERT_EQ(product.run(), "");
  EXPECT_EQ(gpu_values(*product.out), std::vector<double>(81, 28));
}

/// TF32 keeps 10 bits behind the point, too few for this number.
constexpr float kFine = 1.0F + 1.0F / 4096;

Product fine_product() {
  constexpr std::int64_t kSize = 256;
  std::vector<float> identity(kSize * kSize);
  for (std::int64_t i = 0; i < kSize; ++i) identity[static_cast<std::size_t>(i * (kSize + 1))] = 1;
  Product product{.op = "mm", .mat1 = gpu_tensor({kSize, kSize}, std::vector<float>(kSize * kSize, kFine))};
  product.mat2 = gpu_tensor({kSize, kSize}, identity);
  product.out = gpu_tensor({kSize, kSize}, std::vector<float>(kSize * kSize));
  return product;
}

TEST(GpuLinearAlgebra, KeepsAllOfFloat32UnlessTf32IsAllowed) {
  const Product product = fine_product();
  ASSERT_EQ(product.run(), "");
  EXPECT_EQ(gpu_values(*product.out), std::vector<double>(256 * 256, kFine));
  gpu().call.numerics.tf32_matmul = true;
  EXPECT_EQ(product.run(), "");
  gpu().call.numerics.tf32_matmul = false;
  EXPECT_EQ(gpu_values(*product.out), std::vector<double>(256 * 256, 1));
}

TEST(GpuLinearAlgebra, MultipliesComplexNumbers) {
  // (1 + 2i) * (3 - i) = 5 + 5i
  const auto left = gpu_tensor({1, 2}, {1, 2});
  const auto right = gpu_tensor({1, 2}, {3, -1});
  const auto result = gpu_tensor({1, 2}, {0, 0});
  const auto complex = [](const tensor::TensorObject& pair) {
    return TensorObjectPtr(tensor::make_tensor(
        pair.storage, {.dtype = DType::Complex64, .sizes = Dims{1, 1}, .strides = Dims{1, 1}}));
  };
  const Product product{
      .op = "mm", .mat1 = complex(*left), .mat2 = complex(*right), .self = {}, .out = complex(*result)};
  ASSERT_EQ(product.run(), "");
  EXPECT_EQ(gpu_values(*result), (std::vector<double>{5, 5}));
}

TEST(GpuLinearAlgebra, IsSteady) {
  for (const char* op : {"addmm", "baddbmm"}) {
    const bool batched = std::string(op) == "baddbmm";
    const Dims lead = batched ? Dims{3} : Dims{};
    const auto sized = [&](std::int64_t rows, std::int64_t columns) {
      Dims sizes = lead;
      sizes.insert(sizes.end(), {rows, columns});
      const auto count = static_cast<std::size_t>((batched ? 3 : 1) * rows * columns);
      return gpu_tensor(sizes, std::vector<float>(count, 1));
    };
    Product product{.op = op, .mat1 = sized(200, 300)};
    product.mat2 = sized(300, 100);
    product.self = sized(200, 100);
    product.out = sized(200, 100);
    ASSERT_EQ(product.run(), "");
    expect_steady(op, [&] { return product.run(); });
  }
}

TEST(GpuLinearAlgebra, RefusesSizesThatDoNotGoTogether) {
  Product product{.op = "mm", .mat1 = gpu_tensor({2, 3}, std::vector<float>(6))};
  product.mat2 = gpu_tensor({2, 3}, std::vector<float>(6));
  product.out = gpu_tensor({2, 3}, std::vector<float>(6));
  EXPECT_NE(product.run().find("mm: sizes [2, 3] and [2, 3] do not give [2, 3]"), std::string::npos);
}

}  // namespace
}  // namespace penstock::gpu
