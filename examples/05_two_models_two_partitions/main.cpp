// Runs two models at once, each in half of the GPU, and prints their latencies alone and together:
//
//     example_05_two_models_two_partitions FIRST.pt2 FIRST.safetensors SECOND.pt2 SECOND.safetensors
#include <penstock/penstock.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace penstock;
using Clock = std::chrono::steady_clock;
struct Worker {
  Worker(const char* package, const char* inputs_file, const GreenContext& partition)
      : session(Model::load(Package::open(package), {.device = {DeviceType::Cuda}})),
        stream(partition.create_stream()) {
    for (const auto& [name, tensor] : read_tensors(inputs_file)) {
      inputs.push_back(copy_to_device(tensor.view(), session.model().device()));
      views.push_back(inputs.back().view());
    }
  }

  /// The median of many runs, in microseconds.
  double run() {
    std::vector<double> times(500);
    for (double& time : times) {
      const auto begin = Clock::now();
      session.enqueue_borrowed(views, stream);
      stream.view().synchronize();
      time = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    }
    std::nth_element(times.begin(), times.begin() + 250, times.end());
    return times[250];
  }
  Session session;
  Stream stream;
  std::vector<Tensor> inputs;
  std::vector<TensorView> views;
};
int main(int argc, char** argv) try {
  if (argc != 5)
    throw std::invalid_argument("give FIRST.pt2 FIRST.safetensors SECOND.pt2 SECOND.safetensors");
  const auto halves = SmResource::of_device().split("50%,50%");
  Worker first(argv[1], argv[2], GreenContext::create(halves[0]));
  Worker second(argv[3], argv[4], GreenContext::create(halves[1]));
  std::cout << "partitions of " << halves[0].sm_count() << " and " << halves[1].sm_count() << " SMs\n";
  std::cout << "alone     " << first.run() << " us, " << second.run() << " us\n";
  double beside = 0;
  std::thread other([&] { beside = second.run(); });
  const double together = first.run();
  other.join();
  std::cout << "together  " << together << " us, " << beside << " us\n";
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
