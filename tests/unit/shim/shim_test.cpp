#include "shim_helpers.hpp"

#include "system/dynamic_library.hpp"

#include <penstock/log.hpp>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <ostream>
#include <stdexcept>

namespace penstock::shim::testing {
namespace {

template <class T>
void expect_item(std::string_view name, DType dtype, T value) {
  const auto item = function<AOTITorchError(AtenTensorHandle, T*)>("aoti_torch_item_" + std::string(name));
  const auto to_tensor =
      function<AOTITorchError(T, AtenTensorHandle*)>("aoti_torch_scalar_to_tensor_" + std::string(name));
  Handle tensor;
  ASSERT_EQ(to_tensor(value, tensor.out()), 0);
  EXPECT_EQ(tensor->dtype, dtype);
  EXPECT_EQ(tensor->rank, 0);
  T read{};
  ASSERT_EQ(item(tensor.get(), &read), 0);
  EXPECT_EQ(read, value);
  Handle two;
  const std::int64_t size = 2;
  const std::int64_t stride = 1;
  ASSERT_EQ(penstock_empty_strided(1, &size, &stride, static_cast<std::int32_t>(dtype), 0, 0, two.out()), 0);
  expect_failure(ErrorCode::InvalidArgument, "2 elements", [&] { return item(two.get(), &read); });
}

template <class T, class To>
To item_of(std::string_view from, T value, std::string_view to, AOTITorchError wanted = 0) {
  Handle tensor;
  EXPECT_EQ(function<AOTITorchError(T, AtenTensorHandle*)>("aoti_torch_scalar_to_tensor_" +
                                                           std::string(from))(value, tensor.out()),
            0);
  To read{};
  EXPECT_EQ(function<AOTITorchError(AtenTensorHandle, To*)>("aoti_torch_item_" + std::string(to))(
                tensor.get(), &read),
            wanted);
  return read;
}

TEST(Scalars, AreReadAsOtherTypes) {
  // The predicate of a torch.cond.
  EXPECT_EQ((item_of<bool, std::int64_t>("bool", true, "int64")), 1);
  EXPECT_EQ((item_of<float, std::int64_t>("float32", -2.75F, "int64")), -2);
  EXPECT_EQ((item_of<std::int64_t, double>("int64", 7, "float64")), 7.0);
  EXPECT_EQ((item_of<double, bool>("float64", 0.5, "bool")), true);
  EXPECT_EQ((item_of<std::int32_t, std::uint8_t>("int32", 255, "uint8")), 255);
  item_of<double, std::int64_t>("float64", 1e30, "int64", 1);
  item_of<std::int32_t, std::int8_t>("int32", 128, "int8", 1);
}

TEST(ShimScalars, GoIntoTensorsAndOut) {
  expect_item<float>("float32", DType::Float32, 1.5F);
  expect_item<double>("float64", DType::Float64, -2.25);
  expect_item<std::uint8_t>("uint8", DType::UInt8, 255);
  expect_item<std::uint16_t>("uint16", DType::UInt16, 65535);
  expect_item<std::uint32_t>("uint32", DType::UInt32, UINT32_MAX);
  expect_item<std::uint64_t>("uint64", DType::UInt64, UINT64_MAX);
  expect_item<std::int8_t>("int8", DType::Int8, -128);
  expect_item<std::int16_t>("int16", DType::Int16, -32768);
  expect_item<std::int32_t>("int32", DType::Int32, INT32_MIN);
  expect_item<std::int64_t>("int64", DType::Int64, INT64_MIN);
  expect_item<bool>("bool", DType::Bool, true);
  expect_item<std::complex<float>>("complex64", DType::Complex64, {1, -2});
}

TEST(ShimCheck, ThatHoldsDoesNothing) {
  CallContext context;
  const ContextScope scope(context);
  EXPECT_NO_THROW(penstock_check(true, "f", "file.cpp", 1, "never"));
  EXPECT_FALSE(context.failure.has_value());
}

TEST(ShimCheck, ThatDoesNotHoldThrowsAndKeepsItsMessage) {
  CallContext context;
  const ContextScope scope(context);
  EXPECT_THROW(penstock_check(false, "kernel", "file.cpp", 42, "index out of bounds: 6"), std::runtime_error);
  ASSERT_TRUE(context.failure.has_value());
  EXPECT_EQ(context.failure->code, ErrorCode::Internal);
  for (const char* part : {"index out of bounds: 6", "kernel", "file.cpp", "42"}) {
    EXPECT_NE(context.failure->message.find(part), std::string::npos) << context.failure->message;
  }
  // The first failure is the one that counts.
  EXPECT_THROW(penstock_check(false, nullptr, nullptr, 0, nullptr), std::runtime_error);
  EXPECT_NE(context.failure->message.find("index out of bounds: 6"), std::string::npos);
}

TEST(ShimCheck, ThrowsOutsideOfACallToo) {
  EXPECT_THROW(penstock_check(false, nullptr, nullptr, 0, nullptr), std::runtime_error);
}

TEST(ShimCheck, FindsInfiniteValues) {
  std::array<float, 3> values{1, 2, 3};
  const Handle tensor = over(values.data(), {3}, {1});
  EXPECT_EQ(penstock_check_inf_and_nan("buf0", tensor.get()), 0);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    values[1] = bad;
    expect_failure(ErrorCode::Internal, "buf0",
                   [&] { return penstock_check_inf_and_nan("buf0", tensor.get()); });
  }
}

TEST(ShimWarn, GoesToTheLog) {
  static std::string heard;
  set_log_callback([](LogLevel level, std::string_view text) {
    if (level == LogLevel::Warning) heard = text;
  });
  penstock_warn("f", "file.cpp", 1, "be careful");
  penstock_warn("f", "file.cpp", 1, nullptr);
  set_log_callback({});
  EXPECT_EQ(heard, "be careful");
}

TEST(ShimGuard, GradientsAreOff) {
  EXPECT_FALSE(penstock_grad_mode_is_enabled());
  penstock_grad_mode_set_enabled(true);
  EXPECT_FALSE(penstock_grad_mode_is_enabled());
}

TEST(ShimContext, IsThatOfTheInnermostCallAndRestored) {
  EXPECT_EQ(current_context(), nullptr);
  CallContext outer;
  {
    const ContextScope scope(outer);
    EXPECT_EQ(current_context(), &outer);
    try {
      CallContext inner;
      const ContextScope inner_scope(inner);
      EXPECT_EQ(current_context(), &inner);
      throw std::runtime_error("out of the scope");
    } catch (const std::runtime_error&) {
      EXPECT_EQ(current_context(), &outer);
    }
  }
  EXPECT_EQ(current_context(), nullptr);
}

TEST(ShimContext, KeepsTheFirstFailureWithItsCode) {
  CallContext context;
  const ContextScope scope(context);
  EXPECT_EQ(guarded([] {}), 0);
  EXPECT_FALSE(context.failure.has_value());
  EXPECT_EQ(guarded([] { throw std::bad_alloc(); }), 1);
  EXPECT_EQ(context.failure->code, ErrorCode::OutOfMemory);
  EXPECT_EQ(guarded([] { throw std::runtime_error("later"); }), 1);
  EXPECT_EQ(context.failure->code, ErrorCode::OutOfMemory);
  context.failure.reset();
  EXPECT_EQ(guarded([] { throw Error(ErrorCode::Unsupported, "of ours"); }), 1);
  EXPECT_EQ(context.failure->code, ErrorCode::Unsupported);
  EXPECT_EQ(context.failure->message, "of ours");
  context.failure.reset();
  EXPECT_EQ(guarded([] { throw 42; }), 1);
  EXPECT_EQ(context.failure->code, ErrorCode::Internal);
}

TEST(ShimContext, LetsNoWorkHappenWhileInputsAreProbed) {
  std::array<float, 4> values{1, 2, 3, 4};
  const Handle tensor = over(values.data(), {4}, {1});
  CallContext context;
  context.purpose = CallContext::Purpose::Probe;
  context.addressable_once = {tensor.get()};
  const ContextScope scope(context);
  const std::int64_t four = 4;
  const std::int64_t one = 1;
  Handle made;
  void* address = nullptr;
  const auto refused = [&](AOTITorchError status) {
    EXPECT_EQ(status, 1);
    ASSERT_TRUE(context.failure.has_value());
    EXPECT_EQ(context.failure->code, ErrorCode::Cancelled);
    context.failure.reset();
  };
  EXPECT_EQ(penstock_get_data_ptr(tensor.get(), &address), 0);
  refused(penstock_get_data_ptr(tensor.get(), &address));
  refused(penstock_empty_strided(1, &four, &one, kFloat, 0, 0, made.out()));
  refused(penstock_reinterpret_tensor(tensor.get(), 1, &four, &one, 0, made.out()));
  refused(penstock_clone(tensor.get(), made.out()));
  refused(penstock_clone_preserve_strides(tensor.get(), made.out()));
  refused(penstock_zero_(tensor.get()));
  refused(penstock_tensor_copy_(tensor.get(), tensor.get()));
  refused(penstock_check_inf_and_nan("x", tensor.get()));
  float value = 0;
  refused(
      function<AOTITorchError(AtenTensorHandle, float*)>("aoti_torch_item_float32")(tensor.get(), &value));
  EXPECT_EQ(values, (std::array<float, 4>{1, 2, 3, 4}));
}

TEST(ShimImports, AreOursOrTheSystemsOrMissing) {
  for (const char* name : {"aoti_torch_get_sizes", "aoti_torch_cpu_addmm_out", "getenv",
                           "__cxa_thread_atexit", "_ZSt4cerr", "memcpy", "aoti_torch_dtype_float32"}) {
    const Import import = resolve_import(name, {});
    EXPECT_EQ(import.kind, ImportKind::Ours) << name;
    EXPECT_NE(import.address, nullptr) << name;
  }
  for (const char* name : {"malloc", "mmap", "_ZNSt13runtime_errorC1EPKc", "expf", "pthread_mutex_lock"}) {
    EXPECT_EQ(resolve_import(name, {}).kind, ImportKind::System) << name;
  }
  for (const char* name : {"aoti_torch_cpu_geqrf", "aoti_torch_no_such_function"}) {
    const Import import = resolve_import(name, {});
    EXPECT_EQ(import.kind, ImportKind::Missing) << name;
    EXPECT_EQ(import.provider, "Penstock") << name;
  }
}

TEST(ShimImports, HasOnlyFunctionsThatItAnswers) {
  EXPECT_TRUE(has_shim_function("aoti_torch_get_sizes"));
  EXPECT_FALSE(has_shim_function("aoti_torch_cpu_geqrf"));
  EXPECT_FALSE(has_shim_function("malloc"));
  EXPECT_FALSE(has_shim_function(""));
  EXPECT_FALSE(has_shim_function("aoti_torch_get_size_"));
}

TEST(ShimImports, OfMathComeFromSleef) {
  if (!system::sleef().is_open()) GTEST_SKIP() << "needs SLEEF";
  EXPECT_EQ(resolve_import("Sleef_expf8_u10", {}).kind, ImportKind::Ours);
  const Import missing = resolve_import("Sleef_no_such_function", {});
  EXPECT_EQ(missing.kind, ImportKind::Missing);
  EXPECT_EQ(missing.provider, "SLEEF");
}

TEST(ShimImports, AnswerTheEnvironmentByOptions) {
  using GetEnv = char*(const char*);
  const auto with = reinterpret_cast<GetEnv*>(resolve_import("getenv", {.generated_checks = true}).address);
  const auto without =
      reinterpret_cast<GetEnv*>(resolve_import("getenv", {.generated_checks = false}).address);
  EXPECT_STREQ(with("AOTI_RUNTIME_CHECK_INPUTS"), "1");
  EXPECT_EQ(with("PATH"), nullptr);
  EXPECT_EQ(with(nullptr), nullptr);
  EXPECT_EQ(without("AOTI_RUNTIME_CHECK_INPUTS"), nullptr);
  EXPECT_EQ(without("PATH"), nullptr);
}

TEST(ShimImports, WhatIsPrintedStaysWithTheCall) {
  auto* const stream = static_cast<std::ostream*>(resolve_import("_ZSt4cerr", {}).address);
  CallContext context;
  {
    const ContextScope scope(context);
    *stream << "Error: " << 42 << std::endl;
    stream->put('x');
  }
  *stream << "to nobody";
  EXPECT_EQ(context.printed, "Error: 42\nx");
  const ContextScope scope(context);
  for (int i = 0; i < 10000; ++i) *stream << "a message that is printed again and again";
  EXPECT_LE(context.printed.size(), std::size_t{1} << 16);
}

/// How many threads a region had.
void count_threads(void* data) { static_cast<std::atomic<unsigned>*>(data)->fetch_add(1); }

unsigned team_of(unsigned wanted, int limit) {
  using Parallel = void(void (*)(void*), void*, unsigned, unsigned);
  const auto parallel = function<Parallel>("GOMP_parallel");
  CallContext context;
  context.threads = limit;
  std::atomic<unsigned> threads{0};
  const ContextScope scope(context);
  parallel(count_threads, &threads, wanted, 0);
  return threads.load();
}

TEST(ShimOpenMp, TeamsAreNeverLargerThanTheCallAllows) {
  if (!system::libgomp().is_open()) GTEST_SKIP() << "needs libgomp";
  EXPECT_EQ(team_of(8, 2), 2u);
  EXPECT_EQ(team_of(0, 2), 2u);
  EXPECT_EQ(team_of(2, 8), 2u);
  EXPECT_EQ(team_of(1, 8), 1u);
  EXPECT_EQ(team_of(8, 1), 1u);
  EXPECT_EQ(team_of(8, 0), 1u);
  EXPECT_EQ(team_of(0, 3), 3u);
}

TEST(ShimOpenMp, ModelsAreToldTheLimitAndDoNotChangeIt) {
  if (!system::libgomp().is_open()) GTEST_SKIP() << "needs libgomp";
  const auto most = function<int()>("omp_get_max_threads");
  EXPECT_EQ(most(), 1);
  CallContext context;
  context.threads = 3;
  const ContextScope scope(context);
  EXPECT_EQ(most(), 3);
  function<void(int)>("omp_set_num_threads")(16);
  EXPECT_EQ(most(), 3);
  EXPECT_EQ(function<int()>("omp_get_num_procs")(), 3);
}

TEST(ShimOpenMp, OtherWaysToStartATeamAreMissing) {
  if (!system::libgomp().is_open()) GTEST_SKIP() << "needs libgomp";
  for (const char* name :
       {"GOMP_parallel_loop_dynamic", "GOMP_parallel_sections", "GOMP_teams4", "GOMP_parallel_reductions"}) {
    EXPECT_EQ(resolve_import(name, {}).kind, ImportKind::Missing) << name;
  }
  EXPECT_EQ(resolve_import("GOMP_barrier", {}).kind, ImportKind::Ours);
  EXPECT_EQ(resolve_import("omp_get_thread_num", {}).kind, ImportKind::Ours);
}

}  // namespace
}  // namespace penstock::shim::testing
