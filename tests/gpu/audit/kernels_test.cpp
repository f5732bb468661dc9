#include "launch_gate.hpp"

#include "gpu/gpu.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string_view>
#include <vector>

namespace penstock::testing {
namespace {

using Clock = std::chrono::steady_clock;

/// A kernel of these packages that could run would be done by then.
constexpr std::chrono::milliseconds kLongEnough{10};

/// Kernels of a run, one by one: each is launched while so many blocks hold SMs of the partition and all
/// others are free. Gives how many of them were done in time.
class OneByOne {
 public:
  OneByOne(const Stream& stream, const Stream& occupied)
      : stream_(stream), held_(occupied), occupied_(occupied) {}

  struct Count {
    unsigned launched = 0;
    unsigned done = 0;
  };

  template <class Run>
  Count while_held(unsigned blocks, unsigned threads, Run&& run) {
    Count count;
    LaunchGate gate([&] { take(blocks, threads); }, [&] { count.done += is_done_in_time() ? 1 : 0; });
    run();
    count.launched = gate.launches();
    return count;
  }

 private:
  void take(unsigned blocks, unsigned threads) {
    stream_.view().synchronize();
    held_.hold(blocks, threads);
    held_.wait_until_running();
  }

  bool is_done_in_time() {
    const auto end = Clock::now() + kLongEnough;
    bool done = stream_.view().is_done();
    while (!done && Clock::now() < end) done = stream_.view().is_done();
    EXPECT_FALSE(occupied_.view().is_done());
    held_.let_go();
    occupied_.view().synchronize();
    stream_.view().synchronize();
    return done;
  }

  const Stream& stream_;
  Held held_;
  const Stream& occupied_;
};

class EveryKernelInItsPartition : public ::testing::TestWithParam<const char*> {};

/// A kernel that any SM outside of the partition were open to would be done there. That one is not done is
/// for want of SMs alone: with one small block on the same stream as before, it is.
TEST_P(EveryKernelInItsPartition, WaitsForThePartitionsSms) {
  const std::string name = GetParam();
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  Session session(load_on_gpu(name), {.graphs = {.mode = GraphMode::Off}});
  // Plans are made, memory is taken, kernels of libraries are loaded.
  session.enqueue(views_of(inputs_of(name)), stream);
  stream.view().synchronize();
  const std::vector<Tensor> inputs = inputs_of(name);
  std::size_t kernels = 0;
  try {
    const Audit audit = session.audit(views_of(inputs), stream, {.level = AuditLevel::Process});
    kernels = static_cast<std::size_t>(std::ranges::count_if(audit.entries, [](const AuditEntry& entry) {
      return entry.level == AuditLevel::Process && entry.of_run && entry.kind == AuditEntry::Kind::Kernel;
    }));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
    GTEST_SKIP() << error.what();
  }
  const Stream occupied = partition.create_stream();
  OneByOne kernels_of_run(stream, occupied);
  const auto run = [&] { session.enqueue(views_of(inputs), stream); };
  const OneByOne::Count all_taken = kernels_of_run.while_held(2 * partition.sm_count(), 1024, run);
  EXPECT_EQ(all_taken.launched, kernels) << "launches that go by CUPTI's callbacks are not tested";
  EXPECT_EQ(all_taken.done, 0U) << "of " << all_taken.launched;
  const OneByOne::Count one_warp = kernels_of_run.while_held(1, 32, run);
  EXPECT_EQ(one_warp.done, one_warp.launched);
}

/// All but those with auxiliary streams: the test asks the run's stream whether a kernel is done.
const std::vector<const char*> kOneStreamPackages = [] {
  std::vector<const char*> names(std::begin(kEveryPackage), std::end(kEveryPackage));
  std::erase_if(names, [](std::string_view name) { return name == "spread" || name == "everything"; });
  return names;
}();

INSTANTIATE_TEST_SUITE_P(Sm90, EveryKernelInItsPartition, ::testing::ValuesIn(kOneStreamPackages),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace penstock::testing
