#include "cuda/driver.hpp"

#include "recorder.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <string>
#include <thread>

namespace penstock::cuda {
namespace {

using testing::HasSubstr;

TEST(DriverFunctions, FillEachPlaceOfTheTableOnce) {
  std::set<std::size_t> offsets;
  std::set<std::string> names;
  for (const DriverFunction& each : driver_functions()) {
    EXPECT_TRUE(offsets.insert(each.offset).second) << each.name;
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
    EXPECT_LT(each.offset, sizeof(Driver)) << each.name;
  }
  EXPECT_EQ(offsets.size() * sizeof(void*), sizeof(Driver));
}

TEST(OpenDriver, SaysWhereItLookedAndWhatToInstall) {
  const OpenedDriver opened = open_driver({"/nonexistent/libcuda.so.1"});
  EXPECT_EQ(opened.code, ErrorCode::NotFound);
  EXPECT_THAT(opened.problem, HasSubstr("/nonexistent/libcuda.so.1"));
  EXPECT_THAT(opened.problem, HasSubstr("install NVIDIA's driver of CUDA 12.0"));
  EXPECT_THAT(opened.problem, HasSubstr("PENSTOCK_LIBCUDA"));
  EXPECT_EQ(opened.path, "");
}

TEST(OpenDriver, RefusesALibraryThatIsNoDriver) {
  const OpenedDriver opened = open_driver({"libm.so.6"});
  EXPECT_EQ(opened.code, ErrorCode::Incompatible);
  EXPECT_THAT(opened.problem, HasSubstr("is no CUDA driver"));
  EXPECT_THAT(opened.problem, HasSubstr("libm.so.6"));
}

class DriverOnRecorder : public OnRecorder {};

TEST_F(DriverOnRecorder, HasEveryFunctionOfANewDriver) {
  const OpenedDriver opened = open_driver({PENSTOCK_RECORDING_DRIVER});
  EXPECT_EQ(opened.problem, "");
  EXPECT_EQ(opened.version, 13000);
  EXPECT_THAT(opened.path, HasSubstr("penstock_recording_driver"));
  for (const DriverFunction& each : driver_functions()) {
    void* address = nullptr;
    std::memcpy(&address, reinterpret_cast<const char*>(&opened.table) + each.offset, sizeof address);
    EXPECT_NE(address, nullptr) << each.name;
  }
}

TEST_F(DriverOnRecorder, LacksWhatAnOlderDriverLacks) {
  use({.driver_version = 12020});
  const OpenedDriver opened = open_driver({PENSTOCK_RECORDING_DRIVER});
  EXPECT_EQ(opened.problem, "");
  EXPECT_EQ(opened.table.green_ctx_create, nullptr);
  EXPECT_EQ(opened.table.stream_get_device, nullptr);
  EXPECT_NE(opened.table.stream_get_id, nullptr);
}

TEST_F(DriverOnRecorder, IsRefusedWhereItIsOlderThanCuda12) {
  use({.driver_version = 11080});
  const OpenedDriver opened = open_driver({PENSTOCK_RECORDING_DRIVER});
  EXPECT_EQ(opened.code, ErrorCode::Incompatible);
  EXPECT_THAT(opened.problem, HasSubstr("is a driver of CUDA 11.8; install one of CUDA 12.0 or later"));
}

TEST_F(DriverOnRecorder, SaysThatThereIsNoGpu) {
  use({.devices = 0});
  const OpenedDriver opened = open_driver({PENSTOCK_RECORDING_DRIVER});
  EXPECT_EQ(opened.code, ErrorCode::NotFound);
  EXPECT_EQ(opened.result, kNoDevice);
  EXPECT_THAT(opened.problem, HasSubstr("CUDA_VISIBLE_DEVICES"));
}

TEST_F(DriverOnRecorder, SaysWhyItCannotBeInitialized) {
  penstock_recording_fail({.function = "cuInit", .result = kUnknown});
  const OpenedDriver opened = open_driver({PENSTOCK_RECORDING_DRIVER});
  EXPECT_EQ(opened.code, ErrorCode::Cuda);
  EXPECT_EQ(opened.result, kUnknown);
  EXPECT_THAT(opened.problem, HasSubstr("cuInit failed: CUDA_ERROR_UNKNOWN (unknown error)"));
  EXPECT_THAT(opened.problem, HasSubstr("forked"));
}

TEST_F(DriverOnRecorder, IsFilledByNameWhereThereIsNoCuGetProcAddress) {
  // That library has functions of its own by the same names, and so a machine of its own.
  const OpenedDriver opened = open_driver({PENSTOCK_RECORDING_DRIVER_BY_NAME});
  EXPECT_EQ(opened.problem, "");
  for (const DriverFunction& each : driver_functions()) {
    void* address = nullptr;
    std::memcpy(&address, reinterpret_cast<const char*>(&opened.table) + each.offset, sizeof address);
    EXPECT_NE(address, nullptr) << each.name;
  }
  EXPECT_NE(opened.table.init, driver().init);
}

TEST_F(DriverOnRecorder, IsOpenedOnce) {
  const Driver* other = nullptr;
  std::thread([&] { other = &driver(); }).join();
  EXPECT_EQ(&driver(), other);
  EXPECT_TRUE(has_driver());
  EXPECT_EQ(driver_version(), 13000);
  EXPECT_TRUE(may_call_driver());
  EXPECT_FALSE(is_forked_child());
}

/// True where `work` says so in a child of this process.
template <class Work>
bool in_forked_child(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = -1;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(DriverOnRecorder, IsRefusedInAForkedChild) {
  EXPECT_TRUE(in_forked_child([] {
    try {
      driver();
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::Cuda &&
             std::string(error.what()).find("fork before the first use of CUDA") != std::string::npos;
    }
  }));
  EXPECT_TRUE(in_forked_child([] { return is_forked_child() && !has_driver() && !may_call_driver(); }));
}

TEST_F(DriverOnRecorder, NamesErrors) {
  EXPECT_EQ(error_text(kNotReady), "CUDA_ERROR_NOT_READY (device not ready)");
  EXPECT_EQ(error_text(12345), "CUresult 12345");
}

TEST_F(DriverOnRecorder, ChecksResults) {
  EXPECT_NO_THROW(check(kSuccess, "cuCall", "it"));
  const Error error = error_of([] { check(kInvalidHandle, "cuStreamQuery", "stream 0x5"); });
  EXPECT_EQ(error.code(), ErrorCode::Cuda);
  EXPECT_EQ(error.cuda_result(), kInvalidHandle);
  EXPECT_STREQ(error.what(),
               "stream 0x5: cuStreamQuery failed: CUDA_ERROR_INVALID_HANDLE (invalid resource handle)");
  EXPECT_EQ(error_of([] { check(kOutOfMemory, "cuMemAlloc", "8 bytes"); }).code(), ErrorCode::OutOfMemory);
}

TEST_F(DriverOnRecorder, NamesStickyErrors) {
  EXPECT_FALSE(is_sticky(kInvalidHandle));
  EXPECT_FALSE(is_sticky(kOutOfMemory));
  for (const Result sticky : {214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721}) {
    EXPECT_TRUE(is_sticky(sticky)) << sticky;
  }
  const Error error = error_of([] { check(kIllegalAddress, "cuStreamSynchronize", "stream 0x5"); });
  EXPECT_THAT(error.what(), HasSubstr("start the process again"));
}

}  // namespace
}  // namespace penstock::cuda
