#include "recorder.hpp"

#include <cstdlib>

namespace penstock::recording {

void PrintTo(const Alive& alive, std::ostream* out) {
  *out << alive.streams << " streams, " << alive.events << " events, " << alive.green_contexts
       << " green contexts, " << alive.primary_contexts << " primary contexts, " << alive.modules
       << " modules, " << alive.graphs << " graphs, " << alive.graph_execs << " executable graphs, "
       << alive.user_objects << " user objects, " << alive.device_bytes << " bytes, " << alive.host_bytes
       << " bytes of the host";
}

}  // namespace penstock::recording

namespace penstock::cuda {
namespace {

// Before the first test asks for the driver, which is opened once.
const bool recorder_is_used = ::setenv("PENSTOCK_LIBCUDA", PENSTOCK_RECORDING_DRIVER, 1) == 0;

}  // namespace

OnRecorder::OnRecorder() {
  EXPECT_TRUE(recorder_is_used);
  static_cast<void>(driver());
  use({});
}

void OnRecorder::TearDown() {
  EXPECT_EQ(alive(), recording::Alive{}) << log();
  ContextHandle context = nullptr;
  EXPECT_EQ(driver().ctx_get_current(&context), kSuccess);
  EXPECT_EQ(context, nullptr);
  if (!may_violate_) {
    EXPECT_STREQ(penstock_recording_violations(), "");
  }
}

}  // namespace penstock::cuda
