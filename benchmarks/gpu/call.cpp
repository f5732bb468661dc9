// penstock_gpu_call PACKAGE RESULT BLOCKS off|auto INPUT...: writes the first output of one run, as raw
// bytes, then times runs on a stream, without CUDA graphs or with them. With them it first writes, behind the
// other, that of a replayed run for each place that inputs lie in, and also times runs on inputs that lie
// elsewhere each time, and what the GPU needs. With 0 blocks it ends after the outputs, which is what a start
// is measured by.
#include "../common/inputs.hpp"
#include "timing.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/penstock.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace {

/// The first output of a run that is done, behind what the file has.
void append(std::ofstream& file, const std::vector<penstock::Tensor>& outputs) {
  const penstock::Tensor host = penstock::copy_to_host(outputs.at(0).view());
  file.write(static_cast<const char*>(host.view().data()),
             static_cast<std::streamsize>(host.view().storage_bytes()));
  if (!file.flush()) throw std::runtime_error("cannot write the result");
}

constexpr penstock::Device kGpu{penstock::DeviceType::Cuda, 0};

/// Of the same values, each in memory of its own.
constexpr int kInputSets = 4;

/// Inputs on the GPU.
struct Inputs {
  explicit Inputs(const std::vector<bench::Input>& given) {
    for (const bench::Input& each : given) {
      const penstock::TensorView host(const_cast<char*>(each.bytes.data()),
                                      penstock::dtype_from_name(each.dtype).value(), each.sizes);
      tensors.push_back(penstock::copy_to_device(host, kGpu));
      views.push_back(tensors.back().view());
    }
  }
  std::vector<penstock::Tensor> tensors;
  std::vector<penstock::TensorView> views;
};

/// One replayed run for each set of inputs, all of which have the same values.
void write_replayed(std::ofstream& file, penstock::Session& session, const penstock::Stream& stream,
                    const std::vector<Inputs>& sets) {
  for (const Inputs& set : sets) {
    const std::vector<penstock::Tensor> outputs = session.enqueue(set.views, stream);
    stream.view().synchronize();
    if (!session.last_run().replayed)
      throw std::runtime_error("a run is not replayed: " + session.last_run().reason);
    append(file, outputs);
  }
}

/// Of runs that are replayed: what the GPU needs, and calls with inputs at other addresses each time.
void time_graphs(int blocks, penstock::Session& session, const penstock::Stream& stream,
                 const std::vector<Inputs>& sets) {
  const penstock::Event before = penstock::Event::create({.timing = true});
  const penstock::Event behind = penstock::Event::create({.timing = true});
  const std::vector<double> gpu = bench::gpu_times(blocks, [&](int calls) {
    before.record(stream);
    for (int i = 0; i < calls; ++i) session.enqueue_borrowed(sets[0].views, stream);
    behind.record(stream);
    behind.synchronize();
    return penstock::Event::milliseconds_between(before, behind);
  });
  std::vector<double> moving;
  for (int i = 0; i < blocks * bench::kCalls; ++i) {
    const auto begin = bench::Clock::now();
    static_cast<void>(session.enqueue(sets[static_cast<std::size_t>(i) % sets.size()].views, stream));
    stream.view().synchronize();
    moving.push_back(bench::microseconds(bench::Clock::now() - begin));
  }
  const penstock::GraphStatistics graphs = session.graph_statistics();
  std::printf("{");
  bench::print_list("gpu_us", gpu);
  std::printf(", ");
  bench::print_list("moving_us", moving);
  std::printf(", \"captures\": %llu, \"replays\": %llu, \"fixed\": \"%s\"}\n",
              static_cast<unsigned long long>(graphs.captures),
              static_cast<unsigned long long>(graphs.replays), graphs.fixed.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<bench::Input> given;
    for (int i = 5; i < argc; ++i) given.push_back(bench::read_input(argv[i]));
    const bool replays = std::string_view(argv[4]) == "auto";
    std::vector<Inputs> sets;
    for (int i = 0; i < (replays ? kInputSets : 1); ++i) sets.emplace_back(given);
    const std::vector<penstock::TensorView>& views = sets[0].views;
    penstock::LoadOptions options;
    options.device = kGpu;
    const penstock::Model model = penstock::Model::load(penstock::Package::open(argv[1]), options);
    penstock::Session session(
        model, {.graphs = {.mode = replays ? penstock::GraphMode::Auto : penstock::GraphMode::Off}});
    const penstock::Stream stream = penstock::Stream::create();
    const std::vector<penstock::Tensor> first = session.enqueue(views, stream);
    stream.view().synchronize();
    std::ofstream result(argv[2], std::ios::binary);
    append(result, first);
    bench::tell_first_output();
    if (replays) write_replayed(result, session, stream, sets);
    if (const int blocks = std::atoi(argv[3]); blocks > 0) {
      bench::time_calls(
          blocks, [&] { static_cast<void>(session.enqueue(views, stream)); },
          [&] { stream.view().synchronize(); });
      if (replays) time_graphs(blocks, session, stream, sets);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
