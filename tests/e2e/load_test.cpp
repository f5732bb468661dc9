#include "support.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <stdexcept>

namespace penstock::testing {
namespace {

TEST(LoadProgress, TellsTheStagesInOrder) {
  std::vector<std::string> stages;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  LoadOptions options;
  options.progress = [&](const LoadProgress& progress) {
    stages.emplace_back(progress.stage);
    EXPECT_GE(progress.done, last);
    EXPECT_LE(progress.done, progress.total);
    last = progress.done;
    total = progress.total;
    return true;
  };
  const Package package = open_package("add");
  Model::load(package, options);
  EXPECT_EQ(stages, (std::vector<std::string>{"reading", "loading", "inputs", "ready"}));
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, package.model().library_bytes);
}

class LoadCancelled : public ::testing::TestWithParam<const char*> {};

TEST_P(LoadCancelled, LeavesNothingBehind) {
  const Package package = open_package("mlp");
  LoadOptions options;
  options.progress = [](const LoadProgress& progress) { return progress.stage != GetParam(); };
  const auto cancel = [&] {
    expect_refused(ErrorCode::Cancelled, {"mlp.pt2", "cancelled"}, [&] { Model::load(package, options); });
  };
  EXPECT_EQ(growth_of(cancel, 100), "");
  // And the package can still be loaded.
  Session session(Model::load(package));
  expect_same(session.run(views_of(recorded("mlp", "inputs"))), recorded("mlp", "outputs"));
}

TEST_P(LoadCancelled, PassesOnWhatTheCallbackThrows) {
  const Package package = open_package("mlp");
  LoadOptions options;
  options.progress = [](const LoadProgress& progress) {
    if (progress.stage == GetParam()) throw std::out_of_range("of the callback");
    return true;
  };
  const Holdings before = Holdings::now();
  EXPECT_THROW(Model::load(package, options), std::out_of_range);
  EXPECT_EQ(Holdings::now().library_mappings, before.library_mappings);
  EXPECT_EQ(Holdings::now().descriptors, before.descriptors);
}

INSTANTIATE_TEST_SUITE_P(Stage, LoadCancelled, ::testing::Values("reading", "loading", "inputs", "ready"),
                         [](const auto& given) { return std::string(given.param); });

Model load_with(GeneratedChecks checks, std::string_view name, std::string_view torch) {
  LoadOptions options;
  options.generated_checks = checks;
  return Model::load(open_package(name, torch), options);
}

class Checks : public ::testing::TestWithParam<const char*> {};

TEST_P(Checks, OfTheLibraryRefuseOneRowWhereTheyAreOn) {
  Session session(load_with(GeneratedChecks::On, "mlp", GetParam()));
  const Tensor one = ramp({1, 64});
  const TensorView input = one.view();
  expect_refused(ErrorCode::InvalidArgument, {"mlp.pt2", "input_handles[0]", "too small"}, [&] {
    session.run({&input, 1});
  });
  // And nothing else.
  expect_same(session.run(views_of(recorded("mlp", "inputs", GetParam()))),
              recorded("mlp", "outputs", GetParam()));
}

TEST_P(Checks, OfTheLibraryAreSilentWhereTheyAreOff) {
  for (const auto checks : {GeneratedChecks::Off, GeneratedChecks::Auto}) {
    Session session(load_with(checks, "mlp", GetParam()));
    const Tensor one = ramp({1, 64});
    const TensorView input = one.view();
    EXPECT_EQ(sizes_of(session.run({&input, 1})[0].view()), (std::vector<std::int64_t>{1, 10}));
  }
}

TEST_P(Checks, OfOursStayWhateverTheOption) {
  for (const auto checks : {GeneratedChecks::On, GeneratedChecks::Off, GeneratedChecks::Auto}) {
    Session session(load_with(checks, "mlp", GetParam()));
    const Tensor wide = ramp({8, 65});
    const TensorView input = wide.view();
    expect_refused(ErrorCode::InvalidArgument, {"arg0", "dimension 1 is 65, the model takes 64"}, [&] {
      session.run({&input, 1});
    });
  }
}

TEST_P(Checks, DoNotChangeWhatIsDeclared) {
  const std::string wanted = to_string(load_with(GeneratedChecks::On, "shared", GetParam()).inputs()[1]);
  EXPECT_EQ(to_string(load_with(GeneratedChecks::Off, "shared", GetParam()).inputs()[1]), wanted);
  EXPECT_EQ(to_string(load_with(GeneratedChecks::Auto, "shared", GetParam()).inputs()[1]), wanted);
}

TEST_P(Checks, OfTheLibraryLeaveNothingWhereTheyRefuse) {
  // Inputs are handed to the library, which gives back what it refuses.
  Session session(load_with(GeneratedChecks::On, "mlp", GetParam()));
  const Tensor one = ramp({1, 64});
  const TensorView input = one.view();
  const auto refuse = [&] { EXPECT_THROW(session.run({&input, 1}), Error); };
  EXPECT_EQ(growth_of(refuse, 100), "");
}

INSTANTIATE_TEST_SUITE_P(Torch, Checks, ::testing::Values("2.9", "2.11", "2.13", "2.15"),
                         [](const auto& given) { return std::string(given.param).replace(1, 1, "_"); });

TEST(Checks, AreNotSwitchedByTheEnvironment) {
  ASSERT_EQ(::setenv("AOTI_RUNTIME_CHECK_INPUTS", "1", 1), 0);
  Session session(load_model("mlp"));
  ::unsetenv("AOTI_RUNTIME_CHECK_INPUTS");
  const Tensor one = ramp({1, 64});
  const TensorView input = one.view();
  EXPECT_NO_THROW(session.run({&input, 1}));
}

/// Loads and runs `package` in a child process that may map so many pages more than it does, and gives
/// what became of it: 0 a result, 1 an Error, others a defect.
int outcome_with_pages(const Package& package, long pages) {
  const pid_t child = ::fork();
  if (child == 0) {
    long mapped = 0;
    std::ifstream("/proc/self/statm") >> mapped;
    const auto bytes = static_cast<rlim_t>(mapped + pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    const rlimit limit{bytes, bytes};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(2);
    try {
      Session(Model::load(package)).prepare();
    } catch (const Error&) {
      ::_exit(1);
    } catch (...) {
      ::_exit(3);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(OutOfMemory, IsAnErrorWhereverItStrikes) {
  if (kSanitized) GTEST_SKIP() << "needs a build without sanitizers, which reserve terabytes of addresses";
  const Package package = open_package("mlp");
  // What is opened once is there before memory is short.
  Session(Model::load(package)).prepare();
  // From one block of memory on, glibc gives none without a system call.
  ::mallopt(M_TOP_PAD, 0);
  ::malloc_trim(0);
  std::array<int, 2> seen{};
  for (long pages = 0; pages < 1200; pages += 7) {
    const int outcome = outcome_with_pages(package, pages);
    ASSERT_TRUE(outcome == 0 || outcome == 1) << "outcome " << outcome << " with " << pages << " pages";
    ++seen[static_cast<std::size_t>(outcome)];
  }
  EXPECT_GT(seen[0], 0);
  EXPECT_GT(seen[1], 0);
}

TEST(FailedRun, NamesTheModelsOwnWordsAndTheSessionGoesOn) {
  const Model model = load_model("fails");
  Session session(model);
  const std::vector<Tensor> good = recorded("fails", "inputs");
  const std::vector<Tensor> bad = recorded("fails.bad", "inputs");
  const auto fail_once = [&] {
    expect_refused(ErrorCode::Internal, {"fails.pt2", "index out of bounds"},
                   [&] { session.run(views_of(bad)); });
  };
  for (int warm_up = 0; warm_up < 5; ++warm_up) {
    fail_once();
    expect_same(session.run(views_of(good)), recorded("fails", "outputs"));
  }
  const std::uint64_t arena = session.memory().held_bytes;
  EXPECT_EQ(growth_of(fail_once, 100), "");
  EXPECT_EQ(session.memory().held_bytes, arena);
  expect_same(session.run(views_of(good)), recorded("fails", "outputs"));
}

TEST(FailedRun, IsNoneWhereOnednnIsMissingWhichTheLoadSays) {
  if (has_onednn()) GTEST_SKIP() << "needs a process without oneDNN; FailedRun.WithoutOnednn runs this";
  expect_refused(ErrorCode::Incompatible, {"conv.pt2", "oneDNN", "PENSTOCK_ONEDNN"},
                 [] { load_model("conv"); });
}

TEST(FailedRun, LeavesOtherSessionsAlone) {
  const Model model = load_model("fails");
  Session failing(model);
  Session other(model);
  EXPECT_THROW(failing.run(views_of(recorded("fails.bad", "inputs"))), Error);
  expect_same(other.run(views_of(recorded("fails", "inputs"))), recorded("fails", "outputs"));
}

}  // namespace
}  // namespace penstock::testing
