#include "system/vendor_library.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace penstock::system {
namespace {

namespace fs = std::filesystem;

class VendorFolders : public testing::Test {
 protected:
  VendorFolders() : root_(fs::path(testing::TempDir()) / ("vendor_folders_" + std::to_string(::getpid()))) {
    // Nothing of this machine.
    around_.toolkits = (root_ / "no").string();
  }
  ~VendorFolders() override { fs::remove_all(root_); }

  std::string make(const std::string& folder) {
    fs::create_directories(root_ / folder);
    return (root_ / folder).string();
  }

  [[nodiscard]] std::ptrdiff_t place(const std::string& folder) const {
    const auto folders = vendor_folders(around_);
    const auto at = std::find(folders.begin(), folders.end(), folder);
    return at == folders.end() ? -1 : at - folders.begin();
  }

  fs::path root_;
  Surroundings around_;
};

TEST_F(VendorFolders, AreNoneInBareSurroundings) { EXPECT_TRUE(vendor_folders(around_).empty()); }

TEST_F(VendorFolders, AreThatOfPenstockAndTheOneInItOrAroundIt) {
  const std::string inner = make("lib/penstock");
  const std::string outer = make("lib");
  around_.own_folder = outer;
  EXPECT_EQ(place(outer), 0);
  EXPECT_EQ(place(inner), 1);
  around_.own_folder = inner;
  EXPECT_EQ(place(inner), 0);
  EXPECT_EQ(place(outer), 1);
}

TEST_F(VendorFolders, AreTheWheelsOfTensorRT) {
  around_.virtual_env = (root_ / "env").string();
  const std::string lean = make("env/lib/python3.11/site-packages/tensorrt_lean_libs");
  const std::string bindings = make("env/lib/python3.11/site-packages/tensorrt_rtx_bindings");
  EXPECT_GE(place(lean), 0);
  EXPECT_EQ(place(bindings), -1);
}

TEST_F(VendorFolders, AreTheWheelsBesidePenstockInAPythonEnvironment) {
  around_.own_folder = make("env/lib/python3.11/site-packages/penstock/lib");
  const std::string wheel = make("env/lib/python3.11/site-packages/nvidia/cudnn/lib");
  EXPECT_GE(place(wheel), 0);
}

TEST_F(VendorFolders, AreTheWheelsOfTheActiveEnvironmentAndOfTheFirstPython) {
  const std::string active = make("active/lib/python3.12/site-packages/nvidia/cublas/lib");
  around_.virtual_env = (root_ / "active").string();
  const std::string first = make("first/lib/python3.11/dist-packages/nvidia/cu13/lib");
  const std::string second = make("second/lib/python3.11/site-packages/nvidia/cu13/lib");
  for (const char* prefix : {"first", "second"})
    std::ofstream(fs::path(make(std::string(prefix) + "/bin")) / "python3");
  around_.path = (root_ / "none").string() + ":" + make("first/bin") + ":" + make("second/bin");
  EXPECT_GE(place(active), 0);
  EXPECT_GT(place(first), place(active));
  EXPECT_EQ(place(second), -1);
}

TEST_F(VendorFolders, AreThoseOfToolkitsNewestFirstAndLast) {
  around_.toolkits = make("local");
  const std::string older = make("local/cuda-12.8/lib64");
  const std::string newer = make("local/cuda-13.0/lib64");
  around_.own_folder = make("own");
  EXPECT_GE(place(newer), 1);
  EXPECT_GT(place(older), place(newer));
}

TEST_F(VendorFolders, AreWhereInstallersOfToolkitsPutCupti) {
  around_.toolkits = make("local");
  const std::string lib = make("local/cuda-12.8/lib64");
  const std::string cupti = make("local/cuda-12.8/extras/CUPTI/lib64");
  EXPECT_EQ(place(cupti), place(lib) + 1);
  around_.cuda_path = (root_ / "path").string();
  EXPECT_EQ(place(make("path/extras/CUPTI/lib64")), 0);
}

}  // namespace
}  // namespace penstock::system
