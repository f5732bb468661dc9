#include "cuda/context.hpp"
#include "recorder.hpp"

#include <penstock/system.hpp>

namespace penstock::cuda {
namespace {

using testing::HasSubstr;

class CudaInfoOnRecorder : public OnRecorder {};

TEST_F(CudaInfoOnRecorder, DescribesEachDevice) {
  use({.devices = 2, .sm_count = 108, .least = 4, .step = 2, .memory_bytes = 1 << 20});
  const std::vector<CudaDevice> devices = cuda_devices();
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[1].index, 1);
  EXPECT_EQ(devices[1].name, "Recording GPU");
  EXPECT_EQ(devices[1].compute_major, 9);
  EXPECT_EQ(devices[1].compute_minor, 0);
  EXPECT_EQ(devices[1].sm_count, 108U);
  EXPECT_EQ(devices[1].memory_bytes, std::uint64_t{1} << 20);
  EXPECT_EQ(devices[1].least_partition_sm_count, 4U);
  EXPECT_EQ(devices[1].partition_step_sm_count, 2U);
  EXPECT_EQ(devices[1].no_partitions_because, "");
  EXPECT_EQ(alive(), recording::Alive{}) << "looking makes no context";
}

TEST_F(CudaInfoOnRecorder, TellsOfTheDriver) {
  const CudaInfo info = cuda_info();
  EXPECT_EQ(info.driver_version, 13000);
  EXPECT_THAT(info.driver_library, HasSubstr("penstock_recording_driver"));
  EXPECT_EQ(info.problem, "");
  EXPECT_EQ(info.devices.size(), 1U);
}

TEST_F(CudaInfoOnRecorder, SaysWhyADeviceHasNoPartitions) {
  penstock_recording_fail({.function = "cuDeviceGetDevResource", .result = kNotSupported});
  const CudaDevice device = cuda_devices()[0];
  EXPECT_THAT(device.no_partitions_because, HasSubstr("cuda:0: this GPU cannot be partitioned"));
  EXPECT_EQ(device.least_partition_sm_count, 0U);
  EXPECT_EQ(device.sm_count, 132U);
}

TEST_F(CudaInfoOnRecorder, TellsAnErrorAsAProblem) {
  penstock_recording_fail({.function = "cuDeviceGetName", .result = kUnknown});
  const CudaInfo info = cuda_info();
  EXPECT_THAT(info.problem, HasSubstr("cuda:0: cuDeviceGetName failed: CUDA_ERROR_UNKNOWN"));
  EXPECT_TRUE(info.devices.empty());
}

TEST_F(CudaInfoOnRecorder, SurvivesEachFault) {
  expect_each_fault_is_survived([] { static_cast<void>(cuda_devices()); });
}

}  // namespace
}  // namespace penstock::cuda
