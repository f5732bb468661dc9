// Prints what Session::enqueue asks of the driver for each kind of stream, as the stand-in for the driver
// wrote it down: for a machine without a GPU.
//
//     PENSTOCK_LIBCUDA=libpenstock_recording_driver.so penstock_show_policy PACKAGE.pt2 INPUTS.safetensors
#include "../recording_driver.hpp"

#include <penstock/penstock.hpp>

#include <algorithm>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace penstock;

/// The lines of the log that put something on a stream or wait for one: the rest asks and tells nothing.
void print_log(std::string_view log) {
  constexpr std::string_view kShown[]{"cuLaunchKernel", "cuGraphLaunch",  "cuMemcpy",
                                      "cuMemset",       "cuEventRecord",  "cuStreamWait",
                                      "cuGreenCtx",     "cuStreamCreate", "cuStreamSync"};
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    for (const std::string_view shown : kShown) {
      if (line.starts_with(shown)) std::cout << "    " << line << "\n";
    }
    log.remove_prefix(std::min(line.size() + 1, log.size()));
  }
}

struct Show {
  Session& session;
  const std::vector<TensorView>& views;

  void operator()(const char* what, StreamView stream) const {
    penstock_recording_clear_log();
    session.enqueue_borrowed(views, stream);
    std::cout << what << "\n";
    print_log(penstock_recording_log());
  }
};

void show(const char* package, const char* inputs_file) {
  const Model model = Model::load(Package::open(package), {.device = {DeviceType::Cuda}});
  std::vector<Tensor> inputs;
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : read_tensors(inputs_file)) {
    inputs.push_back(copy_to_device(tensor.view(), model.device()));
    views.push_back(inputs.back().view());
  }
  // Call by call at first, to see what a run consists of.
  Session session(model, {.graphs = {.mode = GraphMode::Off}});
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream green = partition.create_stream();
  // Memory and streams of the session's own are made in its first runs.
  session.enqueue_borrowed(views, StreamView::legacy_default());
  session.enqueue_borrowed(views, green);
  session.enqueue_borrowed(views, first);

  const Show enqueue{session, views};
  enqueue("a stream of one's own: the launch, and the event that ends the run", first);
  enqueue("another stream of the same GPU: one wait, as both runs use the same memory", second);
  enqueue("a stream of a partition of 32 SMs: nothing is added, the launch stays there", green);
  enqueue("the default stream: a stream of the session's own, fenced before and behind",
          StreamView::legacy_default());

  Session captured(model);
  captured.prepare({.stream = green});
  const Show replay{captured, views};
  replay(
      "by default, once prepared: one launch of a CUDA graph, and a fill that the device's synchronization "
      "sees",
      green);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument("usage: penstock_show_policy PACKAGE.pt2 INPUTS.safetensors");
  show(argv[1], argv[2]);
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
