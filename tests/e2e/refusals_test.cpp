#include "support.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace penstock::testing {
namespace {

TEST(ModelLoad, NamesAllMissingFunctionsAtOnce) {
  const Package package = open_package("unsupported_ops");
  const std::vector<std::string>& missing = package.model().needs.missing_functions;
  EXPECT_GE(missing.size(), 3u);
  std::vector<std::string> parts{"unsupported_ops.pt2"};
  parts.insert(parts.end(), missing.begin(), missing.end());
  for (const char* name : {"geqrf", "ormqr", "cholesky_solve"}) parts.emplace_back(name);
  const Holdings before = Holdings::now();
  expect_refused(ErrorCode::Unsupported, parts, [&] { Model::load(package); });
  EXPECT_EQ(Holdings::now().library_mappings, before.library_mappings);
}

TEST(ModelLoad, RefusesAPackageThatWasCompiledForCuda) {
  const Package package = open_package("cuda_meta");
  EXPECT_EQ(package.model().device, DeviceType::Cuda);
  EXPECT_FALSE(package.model().obstacles.empty());
  expect_refused(ErrorCode::Incompatible, {"cuda_meta.pt2", "CUDA", "cpu"}, [&] { Model::load(package); });
}

TEST(ModelLoad, RefusesADeviceThatThePackageIsNotFor) {
  LoadOptions options;
  options.device = Device{DeviceType::Cuda, 0};
  expect_refused(ErrorCode::Incompatible, {"add.pt2", "was compiled for the CPU", "--device cpu"},
                 [&] { Model::load(open_package("add"), options); });
}

TEST(ModelLoad, RefusesInstructionsThatThisMachineLacks) {
  const Package package = open_package("native");
  if (package.model().obstacles.empty()) GTEST_SKIP() << "needs a machine without AVX-512";
  expect_refused(ErrorCode::Incompatible, {"native.pt2", "AVX512", "x86-64-v3"},
                 [&] { Model::load(package); });
}

TEST(ModelLoad, RefusesALibraryForAnotherMachine) {
  const TemporaryFolder folder;
  unpack_package("add", folder.path());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (entry.path().extension() != ".so") continue;
    std::fstream library(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    library.seekp(18);  // e_machine
    library.write("\xb7\0", 2);
  }
  const Package package = Package::open(folder.path());
  EXPECT_EQ(package.model().needs.architecture, "aarch64");
  ASSERT_EQ(package.model().obstacles.size(), 1U);
  expect_refused(ErrorCode::Incompatible, {folder.path().string(), "is for aarch64", "x86_64"},
                 [&] { Model::load(package); });
}

TEST(ModelLoad, NamesTheModelsThatThereAre) {
  const Package pair = open_package("two_models");
  LoadOptions options;
  options.model = "third";
  expect_refused(ErrorCode::NotFound, {"two_models.pt2", "\"third\"", "first, second"},
                 [&] { Model::load(pair, options); });
  expect_refused(ErrorCode::NotFound, {"first, second"}, [&] { Model::load(pair); });
  options.model = "mode";
  expect_refused(ErrorCode::NotFound, {"\"mode\"", "model"},
                 [&] { Model::load(open_package("add"), options); });
}

TEST(ModelLoad, RefusesALibraryThatIsDamaged) {
  // A byte of the library's first page, after which the archive's checksum does not hold any more.
  std::vector<std::byte> bytes = file_bytes(package_path("add"));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t library = text.find(
      "\x7f"
      "ELF");
  ASSERT_NE(library, std::string_view::npos);
  bytes[library + 4096] ^= std::byte{1};
  expect_refused(ErrorCode::Corrupt, {"damaged"},
                 [&] { Model::load(Package::open_memory(bytes, nullptr, "damaged")); });
}

TEST(PackageOpen, RefusesWhatIsNotThere) {
  expect_refused(ErrorCode::NotFound, {"no_such_file.pt2"}, [] { open_package("no_such_file"); });
}

TEST(PackageOpen, RefusesAFileThatIsCutShort) {
  std::vector<std::byte> bytes = file_bytes(package_path("add"));
  bytes.resize(bytes.size() / 2);
  expect_refused(ErrorCode::Corrupt, {"half"}, [&] { Package::open_memory(bytes, nullptr, "half"); });
  expect_refused(ErrorCode::Corrupt, {}, [&] { Package::open_memory({}, nullptr, "nothing"); });
}

std::string sha256_of(const std::filesystem::path& path) {
  const std::string command = "sha256sum '" + path.string() + "'";
  std::array<char, 65> text{};
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("no sha256sum");
  const std::size_t read = std::fread(text.data(), 1, 64, pipe);
  ::pclose(pipe);
  return std::string(text.data(), read);
}

TEST(PackageDigest, IsCompared) {
  const std::filesystem::path path = package_path("add");
  std::string digest = sha256_of(path);
  ASSERT_EQ(digest.size(), 64u);
  EXPECT_NO_THROW(Package::open(path, {.sha256 = digest}));
  // Nothing else is looked at before.
  const std::filesystem::path cut = std::filesystem::path(::testing::TempDir()) / "cut_for_digest.pt2";
  std::filesystem::copy_file(path, cut, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(cut, 1000);
  expect_refused(ErrorCode::InvalidArgument, {"is not the file that was expected"},
                 [&] { Package::open(cut, {.sha256 = digest}); });
  std::filesystem::remove(cut);
  std::string upper = digest;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  EXPECT_NO_THROW(Package::open(path, {.sha256 = upper}));
  const std::vector<std::byte> bytes = file_bytes(path);
  EXPECT_NO_THROW(Package::open_memory(bytes, nullptr, "bytes", {.sha256 = digest}));

  digest[0] = digest[0] == '0' ? '1' : '0';
  expect_refused(ErrorCode::InvalidArgument, {"add.pt2", digest},
                 [&] { Package::open(path, {.sha256 = digest}); });
  expect_refused(ErrorCode::InvalidArgument, {"bytes", digest},
                 [&] { Package::open_memory(bytes, nullptr, "bytes", {.sha256 = digest}); });
}

TEST(PackageDigest, IsRefusedWhereItIsNone) {
  const std::filesystem::path path = package_path("add");
  for (const std::string& text :
       {std::string("abc"), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'g')}) {
    expect_refused(ErrorCode::InvalidArgument, {"64 hexadecimal digits"},
                   [&] { Package::open(path, {.sha256 = text}); });
  }
}

}  // namespace
}  // namespace penstock::testing
