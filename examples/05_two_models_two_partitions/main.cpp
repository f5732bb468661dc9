// Runs two models at once, each in half of the GPU, and prints their latencies alone and together:
//
//     example_05_two_models_two_partitions FIRST.pt2 FIRST.safetensors SECOND.pt2 SECOND.safetensors
#include <penstock/penstock.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>
#include <vector>

namespace {

constexpr int kRuns = 500;

struct Worker {
  Worker(const char* package, const char* inputs_file, const penstock::GreenContext& partition)
      : session(penstock::Model::load(penstock::Package::open(package),
                                      {.device = {penstock::DeviceType::Cuda}})),
        stream(partition.create_stream()) {
    for (const auto& [name, tensor] : penstock::read_tensors(inputs_file)) {
      inputs.push_back(penstock::copy_to_device(tensor.view(), session.model().device()));
      views.push_back(inputs.back().view());
    }
  }

  /// The median of many runs, in microseconds.
  double run() {
    std::vector<double> times;
    for (int i = 0; i < kRuns; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      session.enqueue_borrowed(views, stream);
      stream.view().synchronize();
      times.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
    }
    std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
    return times[kRuns / 2];
  }

  penstock::Session session;
  penstock::Stream stream;
  std::vector<penstock::Tensor> inputs;
  std::vector<penstock::TensorView> views;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5)
    throw std::invalid_argument("usage: FIRST.pt2 FIRST.safetensors SECOND.pt2 SECOND.safetensors");
  const auto halves = penstock::SmResource::of_device().split("50%,50%");
  Worker first(argv[1], argv[2], penstock::GreenContext::create(halves[0]));
  Worker second(argv[3], argv[4], penstock::GreenContext::create(halves[1]));
  std::cout << "partitions of " << halves[0].sm_count() << " and " << halves[1].sm_count() << " SMs\n";
  std::cout << "alone     " << first.run() << " us, " << second.run() << " us\n";
  double together = 0;
  std::thread other([&] { together = second.run(); });
  const double beside = first.run();
  other.join();
  std::cout << "together  " << beside << " us, " << together << " us\n";
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
