#include "on_recorder.hpp"

#include <cstdint>
#include <cstring>

namespace penstock::testing {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

class KernelParameters : public OnRecorder {
 protected:
  /// The words that kernels of a package got in a run, and the inputs of it.
  static void run(std::string_view package, std::vector<std::uintptr_t>& words,
                  std::vector<std::uintptr_t>& inputs) {
    Session session(load(package));
    const std::vector<Tensor> tensors = inputs_of(package);
    std::vector<TensorView> views;
    for (const Tensor& each : tensors) {
      views.push_back(each.view());
      inputs.push_back(reinterpret_cast<std::uintptr_t>(each.view().data()));
    }
    penstock_recording_kernel("", [&](const recording::KernelLaunch& launch) {
      words.resize(launch.parameters.size() / sizeof(std::uintptr_t));
      std::memcpy(words.data(), launch.parameters.data(), words.size() * sizeof(std::uintptr_t));
    });
    session.run(views);
  }
};

// What tests of graphs rest on: that the stand-in for the driver reads what real compilers wrote.
TEST_F(KernelParameters, AreReadOfCubins) {
  std::vector<std::uintptr_t> words;
  std::vector<std::uintptr_t> inputs;
  run("add", words, inputs);
  // Three pointers, a count, and two for scratch memory.
  EXPECT_THAT(words, SizeIs(6));
  for (const std::uintptr_t input : inputs) EXPECT_THAT(words, Contains(input));
}

TEST_F(KernelParameters, AreReadOfFatBinaries) {
  std::vector<std::uintptr_t> words;
  std::vector<std::uintptr_t> inputs;
  run("fatbin", words, inputs);
  // After the first product the kernel is given its result, the bias, and how many elements there are: 8 rows
  // of 32.
  EXPECT_THAT(words, SizeIs(5));
  EXPECT_EQ(words.at(2), 8U * 32);
}

}  // namespace
}  // namespace penstock::testing
