// penstock_gpu_isolation SETTING off|auto CALLS MODEL STORM INPUT... -- STORM_INPUT...: prints microseconds
// of each call of the model, without CUDA graphs or with them, as a JSON list, in one of these settings:
//   alone       in a partition of 64 SMs, the rest idle
//   partitions  in that partition, the storm in the rest
//   streams     on an ordinary stream, the storm on another one
//   turns       in two partitions of 64 SMs by turns, no storm
#include "../common/inputs.hpp"
#include "timing.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/partition.hpp>
#include <penstock/penstock.hpp>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

namespace {

using penstock::GreenContext;
using penstock::Stream;

constexpr penstock::Device kGpu{penstock::DeviceType::Cuda, 0};

/// A model, its inputs on the GPU, and the stream that it runs on.
struct Runner {
  Runner(const char* package, const std::vector<std::string>& given, Stream on, penstock::GraphMode graphs)
      : stream(std::move(on)) {
    for (const std::string& text : given) {
      bench::Input input = bench::read_input(text);
      const penstock::TensorView host(input.bytes.data(), penstock::dtype_from_name(input.dtype).value(),
                                      input.sizes);
      inputs.push_back(penstock::copy_to_device(host, kGpu));
      views.push_back(inputs.back().view());
    }
    penstock::LoadOptions options;
    options.device = kGpu;
    session.emplace(penstock::Model::load(penstock::Package::open(package), options),
                    penstock::SessionOptions{.graphs = {.mode = graphs}});
    run();
  }
  void enqueue() { static_cast<void>(session->enqueue_borrowed(views, stream)); }
  void run() {
    enqueue();
    stream.view().synchronize();
    if (other) std::swap(stream, *other);
  }

  Stream stream;
  std::optional<Stream> other;  ///< That the next run is on, where runs take turns.
  std::vector<penstock::Tensor> inputs;
  std::vector<penstock::TensorView> views;
  std::optional<penstock::Session> session;
};

std::vector<double> latencies(Runner& runner, int calls) {
  const auto start = bench::Clock::now();
  while (bench::microseconds(bench::Clock::now() - start) < 5e5) runner.run();
  std::vector<double> samples;
  for (int i = 0; i < calls; ++i) {
    const auto begin = bench::Clock::now();
    runner.run();
    samples.push_back(bench::microseconds(bench::Clock::now() - begin));
  }
  return samples;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string setting = argv[1];
    std::vector<std::string> inputs;
    std::vector<std::string> storm_inputs;
    const auto graphs =
        std::strcmp(argv[2], "auto") == 0 ? penstock::GraphMode::Auto : penstock::GraphMode::Off;
    for (int i = 6, behind = 0; i < argc; ++i) {
      if (std::strcmp(argv[i], "--") == 0) {
        behind = 1;
      } else {
        (behind != 0 ? storm_inputs : inputs).emplace_back(argv[i]);
      }
    }
    const bool parts = setting != "streams";
    std::vector<GreenContext> partitions;
    if (parts) {
      // 64 SMs twice, so that each call in turns is as one alone.
      const char* const split = setting == "turns" ? "64,64" : "64,rest";
      for (const auto& part : penstock::SmResource::of_device().split(split)) {
        partitions.push_back(GreenContext::create(part));
      }
    }
    Runner model(argv[4], inputs, parts ? partitions[0].create_stream() : Stream::create(), graphs);
    if (setting == "turns") model.other = partitions[1].create_stream();
    std::atomic<bool> stop = false;
    std::thread storm;
    if (setting == "partitions" || setting == "streams") {
      storm = std::thread([&] {
        Runner products(argv[5], storm_inputs, parts ? partitions[1].create_stream() : Stream::create(),
                        penstock::GraphMode::Auto);
        // Two at once keep the GPU busy without a gap between them.
        const penstock::Event event = penstock::Event::create();
        while (!stop) {
          event.synchronize();
          products.enqueue();
          event.record(products.stream);
          products.enqueue();
        }
        products.stream.view().synchronize();
      });
    }
    const std::vector<double> samples = latencies(model, std::atoi(argv[3]));
    stop = true;
    if (storm.joinable()) storm.join();
    std::printf("{");
    bench::print_list("latency_us", samples);
    std::printf(", \"captures\": %llu}\n",
                static_cast<unsigned long long>(model.session->graph_statistics().captures));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
