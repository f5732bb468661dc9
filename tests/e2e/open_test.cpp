#include "support.hpp"

#include <algorithm>
#include <memory>

namespace penstock::testing {
namespace {

void expect_add_runs(const Package& package) {
  Session session(Model::load(package));
  expect_same(session.run(views_of(recorded("add", "inputs"))), recorded("add", "outputs"));
}

TEST(PackageOpen, TakesAnyTopFolder) {
  const Package package = open_package("other_root");
  EXPECT_EQ(package.models().size(), 1u);
  expect_add_runs(package);
}

TEST(PackageOpen, TakesAnyFileName) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "renamed.bin";
  std::filesystem::copy_file(package_path("add"), path);
  const Package package = Package::open(path);
  EXPECT_EQ(package.name(), path.string());
  EXPECT_EQ(package.bytes(), std::filesystem::file_size(path));
  EXPECT_EQ(package.archive_version(), "0");
  expect_add_runs(package);
}

TEST(PackageOpen, HoldsTheFileThatIsReplacedOrRemoved) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "add.pt2";
  std::filesystem::copy_file(package_path("add"), path);
  const Package package = Package::open(path);
  std::filesystem::remove(path);
  expect_add_runs(package);
}

TEST(PackageOpenMemory, KeepsTheOwnerAsLongAsItsBytesAreNeeded) {
  auto owner = std::make_shared<std::vector<std::byte>>(file_bytes(package_path("mlp")));
  const std::weak_ptr<std::vector<std::byte>> watched = owner;
  std::optional<Package> package = Package::open_memory(*owner, owner, "from memory");
  owner.reset();
  EXPECT_FALSE(watched.expired());
  EXPECT_EQ(package->name(), "from memory");
  std::optional<Model> model = Model::load(*package);
  package.reset();
  Session session(*model);
  model.reset();
  expect_same(session.run(views_of(recorded("mlp", "inputs"))), recorded("mlp", "outputs"));
  session = Session(load_model("add"));
  EXPECT_TRUE(watched.expired());
}

TEST(PackageOpen, TakesAnUnpackedFolder) {
  const TemporaryFolder folder;
  unpack_package("add", folder.path());
  expect_add_runs(Package::open(folder.path()));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    expect_add_runs(Package::open(entry.path()));
  }
  expect_refused(ErrorCode::InvalidArgument, {"folder", "SHA-256"},
                 [&] { Package::open(folder.path(), {.sha256 = std::string(64, 'a')}); });
}

TEST(PackageModels, AreListedByName) {
  const Package package = open_package("two_models");
  ASSERT_EQ(package.models().size(), 2u);
  EXPECT_EQ(package.models()[0].name, "first");
  EXPECT_EQ(package.models()[1].name, "second");
  EXPECT_EQ(package.model("second").name, "second");
}

TEST(PackageModels, SayWhatTheyNeedAndNothingRuns) {
  const Holdings before = Holdings::now();
  const ModelInfo info = open_package("mlp").model();
  EXPECT_EQ(Holdings::now().library_mappings, before.library_mappings);
  EXPECT_EQ(info.name, "model");
  EXPECT_EQ(info.device, DeviceType::Cpu);
  EXPECT_EQ(info.weights_form, WeightsForm::Embedded);
  EXPECT_EQ(info.needs.architecture, "x86_64");
  EXPECT_TRUE(info.needs.missing_functions.empty());
  EXPECT_TRUE(std::ranges::binary_search(info.needs.shim_functions, std::string("aoti_torch_cpu_addmm_out")));
  EXPECT_EQ(info.compiled_threads, 1);
}

}  // namespace
}  // namespace penstock::testing
