#include "device.hpp"

#include "emulated_device.hpp"

#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

#include <ucontext.h>

#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

EmulatedIndex threadIdx;
EmulatedIndex blockIdx;
EmulatedIndex blockDim;
EmulatedIndex gridDim;

namespace penstock::emulation {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} << 10U;

std::map<std::string, Launcher>& kernels() {
  static std::map<std::string, Launcher> all;
  return all;
}

/// One thread of a block.
struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  bool has_ended = false;
};

/// The block that runs.
struct Block {
  ucontext_t scheduler{};
  std::vector<Fiber> fibers;
  Launcher launcher = nullptr;
  void** arguments = nullptr;
  Fiber* running = nullptr;
};

Block& block() {
  static Block one;
  return one;
}

void run_thread() {
  block().launcher(block().arguments);
  block().running->has_ended = true;
}

/// Runs every thread up to the next barrier, or to its end. What depends on which of them comes first is a
/// mistake, so that changes from block to block.
void run_block(unsigned threads, bool backwards) {
  Block& one = block();
  if (one.fibers.size() < threads) one.fibers = std::vector<Fiber>(threads);
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = one.fibers[i];
    fiber.has_ended = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &one.scheduler;
    makecontext(&fiber.context, &run_thread, 0);
  }
  for (bool is_done = false; !is_done;) {
    is_done = true;
    for (unsigned i = 0; i < threads; ++i) {
      const unsigned thread = backwards ? threads - 1 - i : i;
      Fiber& fiber = one.fibers[thread];
      if (fiber.has_ended) continue;
      one.running = &fiber;
      threadIdx = {thread, 0, 0};
      swapcontext(&one.scheduler, &fiber.context);
      is_done = is_done && fiber.has_ended;
    }
  }
}

}  // namespace

void add_kernel(const char* name, Launcher launcher) { kernels().emplace(name, launcher); }

bool has_kernel(const std::string& name) { return kernels().count(name) != 0; }

void run_kernel(const std::string& name, unsigned blocks, unsigned threads, void** arguments) {
  block().launcher = kernels().at(name);
  block().arguments = arguments;
  gridDim = {blocks, 1, 1};
  blockDim = {threads, 1, 1};
  for (unsigned i = 0; i < blocks; ++i) {
    blockIdx = {i, 0, 0};
    run_block(threads, i % 2 == 1);
  }
}

}  // namespace penstock::emulation

void __syncthreads() {
  auto& one = penstock::emulation::block();
  swapcontext(&one.running->context, &one.scheduler);
}

float __shfl_xor_sync(unsigned, float value, int bits) {
  static std::array<float, 1024> values;
  values[threadIdx.x] = value;
  __syncthreads();
  const float other = values[threadIdx.x ^ static_cast<unsigned>(bits)];
  __syncthreads();
  return other;
}

namespace penstock::kernels {

float float_of_half(std::uint16_t bits) {
  return static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(bits));
}
std::uint16_t half_of_float(float value) {
  return Eigen::numext::bit_cast<std::uint16_t>(Eigen::half(value));
}
float float_of_bfloat16(std::uint16_t bits) {
  return static_cast<float>(Eigen::numext::bit_cast<Eigen::bfloat16>(bits));
}
std::uint16_t bfloat16_of_float(float value) {
  return Eigen::numext::bit_cast<std::uint16_t>(Eigen::bfloat16(value));
}

}  // namespace penstock::kernels
