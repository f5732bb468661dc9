#include "launch_gate.hpp"

#include "gpu/gpu.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;

constexpr AuditOptions kProcess{.level = AuditLevel::Process};

/// Nothing where this machine has no CUPTI, which skips the test.
std::optional<Audit> audit_process(Session& session, const std::vector<TensorView>& views,
                                   StreamView stream) {
  try {
    return session.audit(views, stream, kProcess);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
    [&] { GTEST_SKIP() << error.what(); }();
    return std::nullopt;
  }
}

std::vector<AuditEntry> of_run(const Audit& audit, AuditLevel level) {
  std::vector<AuditEntry> entries = audit.entries;
  std::erase_if(entries, [&](const AuditEntry& entry) { return entry.level != level || !entry.of_run; });
  return entries;
}

std::map<std::string, int> kernels_by_name(const std::vector<AuditEntry>& entries) {
  std::map<std::string, int> names;
  for (const AuditEntry& entry : entries) {
    if (entry.kind == AuditEntry::Kind::Kernel) ++names[entry.name];
  }
  return names;
}

int count_of(const std::vector<AuditEntry>& entries, AuditEntry::Kind kind) {
  return static_cast<int>(std::ranges::count(entries, kind, &AuditEntry::kind));
}

class EveryPackageAudited : public ::testing::TestWithParam<const char*> {
 protected:
  std::string name = GetParam();
  Session session{load_on_gpu(name)};
  std::vector<Tensor> inputs = inputs_of(name);
  std::vector<TensorView> views = views_of(inputs);
};

TEST_P(EveryPackageAudited, TheProcessHasAllThatTheModelHasAndTheKernelsOfLibraries) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  // cuDNN's handle is made here, which fills two small blocks on a stream of the primary context.
  session.enqueue(views, stream);
  stream.view().synchronize();
  const std::optional<Audit> audit = audit_process(session, views, stream);
  if (!audit) return;
  EXPECT_TRUE(audit->stayed());
  EXPECT_EQ(audit->missing_count, 0U);
  EXPECT_EQ(audit->outside_count(), 0U);
  const std::vector<AuditEntry> model = of_run(*audit, AuditLevel::Model);
  const std::vector<AuditEntry> process = of_run(*audit, AuditLevel::Process);
  const std::map<std::string, int> seen = kernels_by_name(process);
  for (const auto& [kernel, times] : kernels_by_name(model)) {
    EXPECT_THAT(seen, Contains(::testing::Pair(kernel, ::testing::Ge(times))));
  }
  const int kernels = count_of(process, AuditEntry::Kind::Kernel);
  EXPECT_GE(kernels, count_of(model, AuditEntry::Kind::Kernel) + count_of(model, AuditEntry::Kind::Library));
  EXPECT_THAT(audit->entries, Each(AllOf(Field(&AuditEntry::sm_count, partition.sm_count()),
                                         Field(&AuditEntry::in_green_context, true))));
  std::printf("%s: %d kernels of the run, %d of them within %d library calls\n", name.c_str(), kernels,
              kernels - count_of(model, AuditEntry::Kind::Kernel),
              count_of(model, AuditEntry::Kind::Library));
}

INSTANTIATE_TEST_SUITE_P(Sm90, EveryPackageAudited, ::testing::ValuesIn(kEveryPackage),
                         [](const auto& tested) { return std::string(tested.param); });

/// Products, convolution, attention, a recurrent layer.
class GraphAudited : public EveryPackageAudited {};

TEST_P(GraphAudited, TheGraphHasTheKernelsThatCuptiSeesOfTheRunCallByCall) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const Audit graph = session.audit(views, stream, {.level = AuditLevel::Graph});
  EXPECT_TRUE(session.last_run().replayed);
  EXPECT_TRUE(graph.stayed());
  const std::vector<AuditEntry> nodes = of_run(graph, AuditLevel::Graph);
  const auto is_there =
      AllOf(Field(&AuditEntry::in_place, true), Field(&AuditEntry::place_known, true),
            Field(&AuditEntry::sm_count, partition.sm_count()), Field(&AuditEntry::in_green_context, true));
  // The driver takes fills with either context.
  const auto is_untold_fill =
      AllOf(Field(&AuditEntry::kind, AuditEntry::Kind::Fill), Field(&AuditEntry::place_known, false));
  EXPECT_THAT(nodes, Each(::testing::AnyOf(is_there, is_untold_fill)));
  EXPECT_EQ(graph.missing_count, std::ranges::count(nodes, false, &AuditEntry::place_known));
  for (const AuditEntry& node : nodes)
    std::printf("%s: %s %s\n", name.c_str(), to_string(node.kind).c_str(), node.name.c_str());
  const std::optional<Audit> process = audit_process(session, views, stream);
  if (!process) return;
  const std::vector<AuditEntry> seen = of_run(*process, AuditLevel::Process);
  EXPECT_EQ(kernels_by_name(nodes), kernels_by_name(seen));
  for (const AuditEntry::Kind kind : {AuditEntry::Kind::Copy, AuditEntry::Kind::Fill})
    EXPECT_EQ(count_of(nodes, kind), count_of(seen, kind)) << to_string(kind);
}

INSTANTIATE_TEST_SUITE_P(Sm90, GraphAudited, ::testing::Values("mlp", "conv", "attention", "gpt", "lstm"),
                         [](const auto& tested) { return std::string(tested.param); });

class ProcessAudit : public ::testing::Test {
 protected:
  Model model = load_on_gpu("mlp");
  Session session{model};
  std::vector<Tensor> inputs = inputs_of("mlp");
  std::vector<TensorView> views = views_of(inputs);
  std::vector<SmResource> parts = SmResource::of_device().split("32,rest");
  GreenContext partition = GreenContext::create(parts[0]);
  Stream stream = partition.create_stream();

  /// Audits while another thread runs the model on `other`, until something of that is seen.
  std::optional<Audit> audit_beside(StreamView other) {
    const std::jthread thread([&](const std::stop_token& over) {
      Session own(model, {.graphs = {.mode = GraphMode::Off}});
      while (!over.stop_requested()) {
        own.enqueue(views, other);
        other.synchronize();
      }
    });
    std::optional<Audit> audit;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      audit = audit_process(session, views, stream);
      if (!audit || std::ranges::count(audit->entries, false, &AuditEntry::of_run) != 0) break;
    }
    return audit;
  }
};

TEST_F(ProcessAudit, TellsOfTheWholeDevice) {
  const Stream whole = Stream::create();
  const std::optional<Audit> audit = audit_process(session, views, whole);
  if (!audit) return;
  EXPECT_TRUE(audit->stayed());
  EXPECT_THAT(audit->entries, Each(AllOf(Field(&AuditEntry::sm_count, SmResource::of_device().sm_count()),
                                         Field(&AuditEntry::in_green_context, false))));
}

TEST_F(ProcessAudit, OthersOnAnOrdinaryStreamAreOutside) {
  const Stream other = Stream::create();
  const std::optional<Audit> audit = audit_beside(other);
  if (!audit) return;
  EXPECT_TRUE(audit->stayed());
  EXPECT_GT(audit->outside_count(), 0U);
  EXPECT_THAT(audit->entries,
              Contains(AllOf(Field(&AuditEntry::of_run, false), Field(&AuditEntry::in_place, false),
                             Field(&AuditEntry::sm_count, SmResource::of_device().sm_count()))));
}

/// Its green context is there before the audit begins.
TEST_F(ProcessAudit, OthersInAnotherPartitionAreNotWhereCuptiTellsOfIt) {
  const GreenContext rest = GreenContext::create(parts[1]);
  const Stream other = rest.create_stream();
  const std::optional<Audit> audit = audit_beside(other);
  if (!audit) return;
  EXPECT_TRUE(audit->stayed());
  std::vector<AuditEntry> others = audit->entries;
  std::erase_if(others, &AuditEntry::of_run);
  ASSERT_FALSE(others.empty());
  const auto is_told = Field(&AuditEntry::in_green_context, true);
  EXPECT_THAT(others, Each(::testing::AnyOf(AllOf(is_told, Field(&AuditEntry::sm_count, rest.sm_count())),
                                            Field(&AuditEntry::sm_count, 0U))));
  EXPECT_EQ(audit->outside_count(), std::ranges::count(others, 0U, &AuditEntry::sm_count));
}

TEST_F(ProcessAudit, IsRefusedWhileAnotherToolUsesCuptiAndWorksAgainBehindIt) {
  if (!audit_process(session, views, stream)) return;
  {
    const LaunchGate other([] {}, [] {});
    const Error error = error_of([&] { static_cast<void>(session.audit(views, stream, kProcess)); });
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_THAT(error.what(), HasSubstr("another tool uses CUPTI"));
  }
  EXPECT_TRUE(session.audit(views, stream, kProcess).stayed());
}

TEST_F(ProcessAudit, LeavesAnswersAsTheyAre) {
  if (!audit_process(session, views, stream)) return;
  const std::vector<Tensor> outputs = session.enqueue(views, stream);
  stream.view().synchronize();
  expect_recorded("mlp", outputs);
}

}  // namespace
}  // namespace penstock::testing
