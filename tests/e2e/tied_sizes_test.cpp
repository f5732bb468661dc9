#include "support.hpp"

// Sizes that go together, in models whose own checks of them are easily missed at load.
namespace penstock::testing {
namespace {

std::vector<Tensor> run(std::string_view name, const std::vector<Tensor>& inputs) {
  Session session(load_model(name));
  return session.run(views_of(inputs));
}

TEST(TiedSizes, AreCheckedForInputsThatAreUsedAfterOtherWork) {
  const Model model = load_model("late");
  EXPECT_EQ(model.inputs()[0].dims[0].symbol, model.inputs()[1].dims[0].symbol);
  EXPECT_EQ(run("late", {ramp({3, 8}), ramp({3, 8})}).front().sizes()[0], 3);
  expect_refused(ErrorCode::InvalidArgument, {"arg1", "dimension 0 is 2"}, [] {
    run("late", {ramp({500, 8}), ramp({2, 8})});
  });
}

TEST(TiedSizes, AreToldApartInNarrowRanges) {
  EXPECT_EQ(run("narrow", {ramp({5, 8}), ramp({2, 8}), ramp({2, 8})}).size(), 2U);
  EXPECT_EQ(run("narrow", {ramp({3, 8}), ramp({2, 8}), ramp({2, 8})}).size(), 2U);
  expect_refused(ErrorCode::InvalidArgument, {"arg2", "dimension 0 is 2"}, [] {
    run("narrow", {ramp({5, 8}), ramp({3, 8}), ramp({2, 8})});
  });
  expect_refused(ErrorCode::InvalidArgument, {"arg2", "dimension 0 is 3"}, [] {
    run("narrow", {ramp({3, 8}), ramp({2, 8}), ramp({3, 8})});
  });
}

TEST(TiedSizes, AreFixedWhereTheCompilerLeftOneValue) {
  EXPECT_EQ(load_model("one_or_two").inputs()[0].dims[0].min, 2);
  expect_refused(ErrorCode::InvalidArgument, {"arg1", "dimension 0 is 1"}, [] {
    run("one_or_two", {ramp({2, 8}), ramp({1, 8})});
  });
}

TEST(ModelLoad, LeavesBuffersAsTheyWere) {
  // The buffer starts at 0, and each run adds 1 to it before it is added to the input.
  Session session(load_model("counter"));
  const std::vector<Tensor> inputs = recorded("counter", "inputs");
  expect_same(session.run(views_of(inputs)), recorded("counter", "outputs"));
  EXPECT_EQ(session.run(views_of(inputs)).front().data_as<float>()[0], 2.0F);
}

}  // namespace
}  // namespace penstock::testing
