#include "activity/recording_cupti.hpp"
#include "on_recorder.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr AuditOptions kProcess{.level = AuditLevel::Process};

std::vector<AuditEntry> seen_by(const Audit& audit, AuditLevel level) {
  std::vector<AuditEntry> entries = audit.entries;
  std::erase_if(entries, [&](const AuditEntry& entry) { return entry.level != level; });
  return entries;
}

std::vector<std::string> names_of(const std::vector<AuditEntry>& entries) {
  std::vector<std::string> names;
  for (const AuditEntry& entry : entries) names.push_back(entry.name);
  return names;
}

/// `mlp`: two products with a kernel between them, in a partition of 32 SMs.
class ProcessAudit : public OnRecorder {
 protected:
  ProcessAudit() { penstock_recording_cupti_reset({}); }
  ~ProcessAudit() override { EXPECT_EQ(penstock_recording_cupti_in_use(), 0U); }

  [[nodiscard]] Audit audit() { return session.audit(views, stream, kProcess); }
  [[nodiscard]] Audit audit(const recording::ForeignKernel& kernel) {
    penstock_recording_cupti_add(kernel);
    return audit();
  }
  /// CUPTI's number of the partition's context, and of the stream.
  [[nodiscard]] std::uint32_t context_number() const {
    return penstock_recording_context(partition.context_handle());
  }
  [[nodiscard]] std::uint32_t stream_number() {
    return seen_by(audit(), AuditLevel::Process)[0].stream_number;
  }

  Model model = load("mlp");
  std::vector<Tensor> inputs = inputs_of("mlp");
  std::vector<TensorView> views = views_of(inputs);
  Session session{model, {.graphs = {.mode = GraphMode::Off}}};
  GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  Stream stream = partition.create_stream();
};

TEST_F(ProcessAudit, SeesTheKernelsOfLibrariesToo) {
  const Audit seen = audit();
  EXPECT_EQ(seen.level, AuditLevel::Process);
  EXPECT_TRUE(seen.stayed());
  EXPECT_EQ(seen.missing_count, 0U);
  EXPECT_EQ(seen.outside_count(), 0U);
  EXPECT_THAT(names_of(seen_by(seen, AuditLevel::Model)),
              ElementsAre("cublasLtMatmul", HasSubstr("triton"), "cublasLtMatmul"));
  EXPECT_THAT(names_of(seen_by(seen, AuditLevel::Process)),
              ElementsAre("product_of_cublaslt", HasSubstr("triton"), "product_of_cublaslt"));
  EXPECT_THAT(seen.entries,
              Each(AllOf(Field(&AuditEntry::of_run, true), Field(&AuditEntry::in_place, true),
                         Field(&AuditEntry::sm_count, 32U), Field(&AuditEntry::in_green_context, true),
                         Field(&AuditEntry::stream, stream.view().handle()))));
}

/// An input of one row is copied to memory that is longer.
TEST_F(ProcessAudit, NothingThatPenstockPutsOnTheDeviceIsUnknownToTheModelsLevel) {
  const Tensor host = ramp({1, 64});
  const std::vector<Tensor> row{copy_to_device(host.view(), {DeviceType::Cuda, 0})};
  const Audit seen = session.audit(views_of(row), stream, kProcess);
  EXPECT_EQ(seen.missing_count, 0U);
  for (const AuditEntry::Kind kind : {AuditEntry::Kind::Copy, AuditEntry::Kind::Fill}) {
    const auto count = [&](AuditLevel level) {
      return std::ranges::count(seen_by(seen, level), kind, &AuditEntry::kind);
    };
    EXPECT_EQ(count(AuditLevel::Model), count(AuditLevel::Process)) << to_string(kind);
    EXPECT_GT(count(AuditLevel::Model), 0) << to_string(kind);
  }
}

TEST_F(ProcessAudit, PutsARunOnTheStreamCallByCallWhereOthersAreReplayed) {
  Session replaying(model);
  for (int i = 0; i < 4; ++i) replaying.enqueue(views, stream);
  ASSERT_TRUE(replaying.last_run().replayed);
  const Audit seen = replaying.audit(views, stream, kProcess);
  EXPECT_FALSE(replaying.last_run().replayed);
  EXPECT_TRUE(seen.stayed());
  EXPECT_THAT(seen_by(seen, AuditLevel::Process), SizeIs(3));
  for (const AuditLevel level : {AuditLevel::Model, AuditLevel::Process}) {
    EXPECT_THAT(replaying.audit(views, stream, {.level = level}).not_seen,
                Contains(HasSubstr("how a captured run is replayed")));
  }
}

TEST_F(ProcessAudit, AuditsTheWholeDeviceAndTheDefaultStreamToo) {
  const Stream whole = Stream::create();
  const Primary primary;
  const Current current(primary.handle());
  for (const StreamView on : {whole.view(), StreamView::legacy_default(), StreamView::per_thread_default()}) {
    const Audit seen = session.audit(views, on, kProcess);
    EXPECT_TRUE(seen.stayed());
    EXPECT_THAT(seen_by(seen, AuditLevel::Process),
                AllOf(SizeIs(3), Each(AllOf(Field(&AuditEntry::sm_count, 132U),
                                            Field(&AuditEntry::in_green_context, false)))));
  }
}

TEST_F(ProcessAudit, TheModelsLevelAsksNothingOfCupti) {
  penstock_recording_cupti_reset({.failing = "cuptiGetVersion"});
  const Audit seen = session.audit(views, stream);
  EXPECT_EQ(seen.level, AuditLevel::Model);
  EXPECT_THAT(seen.entries, Each(Field(&AuditEntry::level, AuditLevel::Model)));
  Calls::clear();
  const Audit again = session.audit(views, stream);
  EXPECT_THAT(Calls::of({"cuMemset"}), IsEmpty());
}

TEST_F(ProcessAudit, RunsThatAreNotAuditedPutNothingMoreOnTheStream) {
  static_cast<void>(audit());
  Calls::clear();
  session.enqueue(views, stream);
  EXPECT_THAT(Calls::of({"cuMemset"}), IsEmpty());
  Calls::clear();
  static_cast<void>(audit());
  EXPECT_THAT(Calls::of({"cuMemset"}), ElementsAre(HasSubstr("cuMemsetD8Async 1 bytes")));
}

TEST_F(ProcessAudit, AKernelOfTheRunOnAnotherStreamHasLeft) {
  const Audit seen =
      audit({.name = "stray", .of_run = true, .context = context_number(), .stream = stream_number() + 1});
  EXPECT_FALSE(seen.stayed());
  EXPECT_THAT(seen.entries,
              Contains(AllOf(Field(&AuditEntry::name, "stray"), Field(&AuditEntry::in_place, false),
                             Field(&AuditEntry::stream, nullptr), Field(&AuditEntry::sm_count, 32U))));
}

TEST_F(ProcessAudit, AKernelOfTheRunInAnotherContextHasLeft) {
  const Audit seen = audit({.name = "stray", .of_run = true, .context = 1, .stream = stream_number()});
  EXPECT_FALSE(seen.stayed());
  EXPECT_THAT(
      seen.entries,
      Contains(AllOf(Field(&AuditEntry::name, "stray"), Field(&AuditEntry::in_place, false),
                     Field(&AuditEntry::sm_count, 132U), Field(&AuditEntry::in_green_context, false))));
}

TEST_F(ProcessAudit, AKernelOfTheRunInAnotherPartitionOfTheSameSizeHasLeft) {
  const Audit seen = audit(
      {.name = "stray", .of_run = true, .context = 77, .stream = stream_number(), .green_sm_count = 32});
  EXPECT_FALSE(seen.stayed());
  EXPECT_THAT(seen.entries,
              Contains(AllOf(Field(&AuditEntry::name, "stray"), Field(&AuditEntry::in_place, false),
                             Field(&AuditEntry::sm_count, 32U), Field(&AuditEntry::in_green_context, true))));
}

/// The driver and CUPTI do not agree on what the run's own context is.
TEST_F(ProcessAudit, ARunHasLeftWhereCuptiSaysThatItsContextIsOfOtherSms) {
  penstock_recording_cupti_reset({.tells_contexts = false});
  EXPECT_FALSE(audit({.name = "wide", .context = context_number(), .green_sm_count = 64}).stayed());
}

TEST_F(ProcessAudit, AKernelOfOthersOnTheWholeDeviceIsOutsideAndTheRunHasNotLeft) {
  const Audit seen = audit({.name = "storm", .context = 1, .stream = 7});
  EXPECT_TRUE(seen.stayed());
  EXPECT_EQ(seen.outside_count(), 1U);
  EXPECT_THAT(seen.entries,
              Contains(AllOf(Field(&AuditEntry::name, "storm"), Field(&AuditEntry::of_run, false),
                             Field(&AuditEntry::in_place, false), Field(&AuditEntry::sm_count, 132U))));
}

TEST_F(ProcessAudit, AKernelOfOthersInAPartitionIsNot) {
  const Audit seen = audit({.name = "calm", .context = context_number(), .stream = 7});
  EXPECT_EQ(seen.outside_count(), 0U);
  EXPECT_THAT(seen.entries,
              Contains(AllOf(Field(&AuditEntry::name, "calm"), Field(&AuditEntry::of_run, false),
                             Field(&AuditEntry::in_place, true))));
}

TEST_F(ProcessAudit, AKernelOfOthersInAContextThatIsNotToldIsOutside) {
  const Audit seen = audit({.name = "unknown", .context = 77, .stream = 7});
  EXPECT_EQ(seen.outside_count(), 1U);
  EXPECT_THAT(seen.entries,
              Contains(AllOf(Field(&AuditEntry::name, "unknown"), Field(&AuditEntry::sm_count, 0U))));
}

TEST_F(ProcessAudit, AKernelOnAnotherDeviceDisturbsNobody) {
  penstock_recording_cupti_add({.name = "elsewhere", .device = 1, .context = 2});
  const Audit seen = audit();
  EXPECT_EQ(seen.outside_count(), 0U);
  EXPECT_THAT(seen.entries, Contains(Field(&AuditEntry::device, (Device{DeviceType::Cuda, 1}))));
}

TEST_F(ProcessAudit, WhatAnotherThreadPutsOnAStreamIsOfOthers) {
  const Stream other = Stream::create();
  Session session_of_other(model, {.graphs = {.mode = GraphMode::Off}});
  session_of_other.enqueue(views, other);
  const std::jthread thread([&](const std::stop_token& over) {
    while (!over.stop_requested()) session_of_other.enqueue(views, other);
  });
  std::size_t outside = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (outside == 0 && std::chrono::steady_clock::now() < end) {
    const Audit seen = audit();
    EXPECT_TRUE(seen.stayed());
    EXPECT_THAT(seen_by(seen, AuditLevel::Process), Contains(Field(&AuditEntry::of_run, true)).Times(3));
    outside = seen.outside_count();
  }
  EXPECT_GT(outside, 0U);
}

TEST_F(ProcessAudit, WhatWasOverBeforeIsNotOfIt) {
  const Audit seen = audit({.name = "old", .is_old = true});
  EXPECT_THAT(seen.entries, Not(Contains(Field(&AuditEntry::name, "old"))));
  EXPECT_EQ(seen.outside_count(), 0U);
}

TEST_F(ProcessAudit, TellsOfThePartitionByTheDriverWhereCuptiDoesNot) {
  penstock_recording_cupti_reset({.tells_contexts = false});
  const Audit seen = audit({.name = "storm", .context = 1});
  EXPECT_TRUE(seen.stayed());
  EXPECT_THAT(seen.entries,
              Contains(AllOf(Field(&AuditEntry::name, "storm"), Field(&AuditEntry::sm_count, 132U))));
  EXPECT_EQ(seen.entries[0].sm_count, 32U);
}

TEST_F(ProcessAudit, NamesKernelsAsTheyWereLaunched) {
  penstock_recording_cupti_reset({.stale = "of_an_unloaded_package"});
  const Audit seen = audit();
  EXPECT_EQ(seen.missing_count, 0U);
  EXPECT_THAT(names_of(seen_by(seen, AuditLevel::Process)),
              ElementsAre("product_of_cublaslt", HasSubstr("triton"), "product_of_cublaslt"));
}

TEST_F(ProcessAudit, SaysWhatHasNoRecord) {
  // The marker is first, a product second, the package's kernel third.
  penstock_recording_cupti_reset({.forgotten = 3});
  const Audit seen = audit();
  EXPECT_EQ(seen.missing_count, 1U);
  EXPECT_THAT(seen.not_seen, Contains(HasSubstr("1 of the kernels, copies and fills")));
  penstock_recording_cupti_reset({.dropped = 4});
  const Audit less = audit();
  EXPECT_EQ(less.missing_count, 4U);
  EXPECT_THAT(less.not_seen, Contains("4 records that CUPTI dropped"));
  penstock_recording_cupti_reset({});
  EXPECT_THAT(audit().not_seen, Not(Contains(HasSubstr("record"))));
}

TEST_F(ProcessAudit, FailsWhereNothingIsToldOfTheStream) {
  penstock_recording_cupti_reset({.taken_over = true});
  const Error error = error_of([&] { static_cast<void>(audit()); });
  EXPECT_EQ(error.code(), ErrorCode::Internal);
  EXPECT_THAT(error.what(), HasSubstr("no record of a fill"));
}

TEST_F(ProcessAudit, IsRefusedWhereAnotherToolUsesCupti) {
  penstock_recording_cupti_reset({.in_use = true});
  const Error error = error_of([&] { static_cast<void>(audit()); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), HasSubstr("another tool uses CUPTI"));
}

TEST_F(ProcessAudit, TakesTheVersionsThatItKnowsAndRefusesOthersByName) {
  for (const std::uint32_t version : {23U, 28U, 130000U, 130599U}) {
    penstock_recording_cupti_reset({.version = version});
    EXPECT_TRUE(audit().stayed()) << version;
  }
  for (const std::uint32_t version : {18U, 22U, 29U, 120900U, 130600U, 140000U}) {
    penstock_recording_cupti_reset({.version = version});
    const Error error = error_of([&] { static_cast<void>(audit()); });
    EXPECT_EQ(error.code(), ErrorCode::Incompatible);
    EXPECT_THAT(error.what(), HasSubstr("API version " + std::to_string(version)));
  }
}

TEST_F(ProcessAudit, AFunctionOfCuptiThatFailsIsNamedAndLeavesNothingBehind) {
  for (const char* function :
       {"cuptiGetVersion", "cuptiSubscribe", "cuptiActivityRegisterCallbacks", "cuptiGetTimestamp",
        "cuptiActivityEnable", "cuptiActivityEnableAndDump", "cuptiActivityFlushAll"}) {
    penstock_recording_cupti_reset({.failing = function});
    const Error error = error_of([&] { static_cast<void>(audit()); });
    const bool serves = std::string_view(function) != "cuptiSubscribe";
    EXPECT_EQ(error.code(), serves ? ErrorCode::Cuda : ErrorCode::Unsupported) << function;
    EXPECT_THAT(error.what(), HasSubstr(std::string(function) + " failed: CUPTI_ERROR_UNKNOWN"));
    EXPECT_EQ(penstock_recording_cupti_in_use(), 0U) << function;
  }
  penstock_recording_cupti_reset({});
  EXPECT_TRUE(audit().stayed());
}

TEST_F(ProcessAudit, ARunThatFailsEndsTheAuditToo) {
  EXPECT_THROW(static_cast<void>(session.audit({}, stream, kProcess)), Error);
  penstock_recording_fail({.function = "cuLaunchKernel"});
  EXPECT_THROW(static_cast<void>(audit()), Error);
  EXPECT_EQ(penstock_recording_cupti_in_use(), 0U);
  penstock_recording_clear_faults();
  EXPECT_TRUE(audit().stayed());
}

TEST_F(ProcessAudit, AuditsOfTwoThreadsTakeTurns) {
  const auto work = [&] {
    Session own(model);
    const Stream on = Stream::create();
    for (int i = 0; i < 20; ++i) {
      const Audit seen = own.audit(views, on, kProcess);
      EXPECT_TRUE(seen.stayed());
      EXPECT_EQ(seen.missing_count, 0U);
    }
  };
  std::thread first(work);
  std::thread second(work);
  first.join();
  second.join();
}

}  // namespace
}  // namespace penstock::testing
