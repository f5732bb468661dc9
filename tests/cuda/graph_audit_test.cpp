#include "on_recorder.hpp"

namespace penstock::testing {
namespace {

using recording::CapturedAs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr AuditOptions kGraph{.level = AuditLevel::Graph};

std::vector<AuditEntry> nodes_of(const Audit& audit) {
  std::vector<AuditEntry> entries = audit.entries;
  std::erase_if(entries, [](const AuditEntry& entry) { return entry.level != AuditLevel::Graph; });
  return entries;
}

/// The name of the one kernel of `add`.
std::string kernel_of_add(const Audit& audit) { return nodes_of(audit).at(0).name; }

class GraphAudit : public OnRecorder {
 protected:
  Model model = load("add");
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  Session session{model};
  GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  Stream stream = partition.create_stream();
};

TEST_F(GraphAudit, TellsEveryNodeOfTheGraphThatTheRunWasReplayedFrom) {
  const Audit seen = session.audit(views, stream, kGraph);
  EXPECT_TRUE(session.last_run().replayed);
  EXPECT_EQ(session.graph_statistics().captures, 1U);
  EXPECT_EQ(session.graph_statistics().replays, 1U);
  EXPECT_EQ(seen.level, AuditLevel::Graph);
  EXPECT_TRUE(seen.stayed());
  EXPECT_EQ(seen.missing_count, 0U);
  EXPECT_THAT(nodes_of(seen),
              ElementsAre(AllOf(Field(&AuditEntry::kind, AuditEntry::Kind::Kernel),
                                Field(&AuditEntry::name, HasSubstr("triton")),
                                Field(&AuditEntry::in_place, true), Field(&AuditEntry::place_known, true),
                                Field(&AuditEntry::sm_count, 32U), Field(&AuditEntry::in_green_context, true),
                                Field(&AuditEntry::stream, stream.view().handle()))));
}

TEST_F(GraphAudit, TellsWhatIsPutBehindTheGraphBesideIt) {
  const Audit seen = session.audit(views, stream, kGraph);
  ASSERT_THAT(seen.entries, SizeIs(2));
  EXPECT_EQ(seen.entries[0].kind, AuditEntry::Kind::Fill);
  EXPECT_EQ(seen.entries[0].level, AuditLevel::Model);
}

TEST_F(GraphAudit, OfARunThatIsCapturedAlreadyReplaysItOnce) {
  session.prepare({.stream = stream.view()});
  session.enqueue(views, stream);
  session.enqueue(views, stream);
  const GraphStatistics before = session.graph_statistics();
  EXPECT_TRUE(session.audit(views, stream, kGraph).stayed());
  EXPECT_EQ(session.graph_statistics().captures, before.captures);
  EXPECT_EQ(session.graph_statistics().replays, before.replays + 1);
}

TEST_F(GraphAudit, GraphsWithinTheGraphAreReadToo) {
  const std::string kernel = kernel_of_add(session.audit(views, stream, kGraph));
  penstock_recording_capture(kernel.c_str(), CapturedAs::Child);
  Session nested(model);
  const Audit seen = nested.audit(views, stream, kGraph);
  EXPECT_TRUE(seen.stayed());
  EXPECT_THAT(nodes_of(seen), ElementsAre(AllOf(Field(&AuditEntry::kind, AuditEntry::Kind::Kernel),
                                                Field(&AuditEntry::name, kernel))));
  penstock_recording_capture(kernel.c_str(), CapturedAs::ChildOfPrimary);
  Session left(model);
  EXPECT_FALSE(left.audit(views, stream, kGraph).stayed());
}

TEST_F(GraphAudit, AGraphWithAKernelOfAnotherContextTakesInputsOnlyWhereTheyLay) {
  penstock_recording_capture(kernel_of_add(session.audit(views, stream, kGraph)).c_str(),
                             CapturedAs::OfPrimary);
  Session left(model);
  std::vector<Tensor> kept;
  for (int i = 0; i < 4; ++i) {
    // Elsewhere each time.
    kept = inputs_of("add");
    left.enqueue(views_of(kept), stream);
  }
  for (int i = 0; i < 2; ++i) left.enqueue(views, stream);
  EXPECT_THAT(left.graph_statistics().fixed, HasSubstr("runs in another context than the run's stream"));
}

/// `mlp` of one row: a copy and a fill beside the kernels, since the row is given room around it.
class GraphAuditOfCopies : public GraphAudit {
 protected:
  GraphAuditOfCopies() {
    const Tensor host = ramp({1, 64});
    row.push_back(copy_to_device(host.view(), {DeviceType::Cuda, 0}));
    row_views = views_of(row);
  }
  std::vector<AuditEntry> of_kind(const Audit& audit, AuditEntry::Kind kind) {
    std::vector<AuditEntry> entries = nodes_of(audit);
    std::erase_if(entries, [&](const AuditEntry& entry) { return entry.kind != kind; });
    return entries;
  }

  Session mlp{load("mlp")};
  std::vector<Tensor> row;
  std::vector<TensorView> row_views;
};

TEST_F(GraphAuditOfCopies, FindsWhereCopiesAndFillsRun) {
  const Audit seen = mlp.audit(row_views, stream, kGraph);
  EXPECT_TRUE(seen.stayed());
  EXPECT_EQ(seen.missing_count, 0U);
  EXPECT_THAT(of_kind(seen, AuditEntry::Kind::Copy), Not(IsEmpty()));
  for (const AuditEntry& node : nodes_of(seen)) {
    EXPECT_TRUE(node.in_place && node.place_known && node.sm_count == 32U) << node.name;
  }
}

/// It works in memory between the products, so that a replay has nothing to tell it.
TEST_F(GraphAuditOfCopies, AKernelOfAnotherContextHasLeft) {
  const std::vector<AuditEntry> kernels =
      of_kind(mlp.audit(row_views, stream, kGraph), AuditEntry::Kind::Kernel);
  ASSERT_THAT(kernels, SizeIs(1));
  penstock_recording_capture(kernels[0].name.c_str(), CapturedAs::OfPrimary);
  Session other(mlp.model());
  const Audit seen = other.audit(row_views, stream, kGraph);
  EXPECT_FALSE(seen.stayed());
  EXPECT_THAT(of_kind(seen, AuditEntry::Kind::Kernel),
              ElementsAre(AllOf(Field(&AuditEntry::in_place, false), Field(&AuditEntry::sm_count, 132U),
                                Field(&AuditEntry::in_green_context, false))));
}

TEST_F(GraphAuditOfCopies, ACopyOfAnotherContextHasLeft) {
  penstock_recording_capture("cuMemcpyDtoDAsync", CapturedAs::OfPrimary);
  const Audit seen = mlp.audit(row_views, stream, kGraph);
  EXPECT_FALSE(seen.stayed());
  EXPECT_THAT(of_kind(seen, AuditEntry::Kind::Copy),
              Each(AllOf(Field(&AuditEntry::in_place, false), Field(&AuditEntry::sm_count, 132U))));
}

TEST_F(GraphAuditOfCopies, WhatTheDriverDoesNotTellIsCountedAndNeitherStayedNorLeft) {
  penstock_recording_capture("cuMemcpyDtoDAsync", CapturedAs::Child);
  const Audit seen = mlp.audit(row_views, stream, kGraph);
  EXPECT_TRUE(seen.stayed());
  EXPECT_EQ(seen.missing_count, of_kind(seen, AuditEntry::Kind::Copy).size());
  EXPECT_THAT(of_kind(seen, AuditEntry::Kind::Copy),
              AllOf(Not(IsEmpty()), Each(Field(&AuditEntry::place_known, false))));
  EXPECT_THAT(seen.not_seen, Contains(HasSubstr("of the nodes ran, whose context the driver does not tell")));
}

TEST_F(GraphAuditOfCopies, LeavesTheGraphAsItWas) {
  const recording::Alive before = [&] {
    mlp.audit(row_views, stream, kGraph);
    return alive();
  }();
  Calls::clear();
  EXPECT_TRUE(mlp.audit(row_views, stream, kGraph).stayed());
  EXPECT_EQ(alive(), before);
  mlp.enqueue(row_views, stream);
  EXPECT_TRUE(mlp.last_run().replayed);
  EXPECT_THAT(Calls::of({"cuGraphLaunch"}), SizeIs(2));
  EXPECT_EQ(mlp.graph_statistics().captures, 1U);
}

TEST_F(GraphAudit, OfTheWholeDevice) {
  const Stream whole = Stream::create();
  const Audit seen = session.audit(views, whole, kGraph);
  EXPECT_TRUE(seen.stayed());
  EXPECT_THAT(nodes_of(seen),
              Each(AllOf(Field(&AuditEntry::sm_count, 132U), Field(&AuditEntry::in_green_context, false))));
}

TEST_F(GraphAudit, IsRefusedWithTheReasonWhereRunsAreNotReplayed) {
  Session item(load("item"));
  const std::vector<Tensor> given = inputs_of("item");
  const Error read = error_of([&] { return item.audit(views_of(given), stream, kGraph); });
  EXPECT_EQ(read.code(), ErrorCode::Unsupported);
  EXPECT_THAT(read.what(),
              HasSubstr("an audit of the graph, but the run was put on the stream call by call: item"));
  Session off(model, call_by_call());
  EXPECT_THAT(error_of([&] { return off.audit(views, stream, kGraph); }).what(), HasSubstr("graphs are off"));
  EXPECT_TRUE(session.audit(views, stream, kGraph).stayed());
}

}  // namespace
}  // namespace penstock::testing
