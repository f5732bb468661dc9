#include "gpu/ops/harness.hpp"

#include <iostream>

namespace {

penstock::gpu::GpuMachine* made = nullptr;

/// Fails the test after which bytes beside a tensor are not what they were, and says with which.
class MarginCheck final : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo& info) override {
    const std::string damage = made->pool().take_damage();
    if (!damage.empty()) ADD_FAILURE() << info.name() << ": " << damage;
  }
};

}  // namespace

penstock::gpu::GpuMachine& penstock::gpu::gpu() { return *made; }

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  try {
    penstock::gpu::GpuMachine machine;
    made = &machine;
    penstock::contract::use_machine(machine);
    std::cout << "on " << machine.name() << ", recordings of " << penstock::contract::recordings_folder()
              << std::endl;
    machine.prepare_all();
    testing::UnitTest::GetInstance()->listeners().Append(new MarginCheck);
    return RUN_ALL_TESTS();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
