// penstock_gpu_engine PACKAGE TENSORRT BLOCKS: what a call of `tensorrt::execute_engine` costs the host above
// the enqueue of the engine itself, and with a stream of the engine's own. The package calls one engine of
// two inputs. Prints microseconds a call of every block, by turns, once the answers of all three agree.
#include "timing.hpp"

#include "tensorrt/engine_impl.hpp"
#include "tensorrt/execute.hpp"
#include "tensorrt/execution_context.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/penstock.hpp>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace {

using namespace penstock;

constexpr Device kGpu{DeviceType::Cuda, 0};
/// Fewer than a stream takes before the host has to wait.
constexpr int kBlockCalls = 100;

Tensor ones(std::span<const std::int64_t> sizes, float value) {
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) count *= size;
  std::vector<float> values(static_cast<std::size_t>(count), value);
  return copy_to_device(TensorView(values.data(), DType::Float32, sizes), kGpu);
}

/// The engine as TensorRT alone would run it: all is set once.
class Own {
 public:
  Own(std::shared_ptr<const tensorrt::BuiltEngine> engine, const std::vector<Tensor>& inputs,
      const Stream& stream)
      : context_(std::move(engine), false), stream_(cuda::handle_of(stream.view())) {
    std::vector<tensorrt::EngineInput> taken(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      taken[i].data = inputs[i].view().data();
      taken[i].sizes.assign(inputs[i].view().sizes().begin(), inputs[i].view().sizes().end());
    }
    context_.set(0, taken, stream_);
    const std::int64_t bytes[]{context_.engine().context_bytes() / 4 + 1024};
    memory_ = ones(bytes, 0);
    context_.set_memory(memory_.view().data(), context_.engine().context_bytes());
    for (std::size_t i = 0; i < inputs.size(); ++i) context_.set_input_address(i, taken[i].data);
    for (std::size_t i = 0; i < context_.engine().outputs().size(); ++i) {
      outputs.push_back(ones(context_.output_sizes(i), 0));
      context_.set_output_address(i, outputs.back().view().data());
    }
  }
  void run() { context_.enqueue(stream_); }
  std::vector<Tensor> outputs;

 private:
  tensorrt::ExecutionContext context_;
  cuda::StreamHandle stream_;
  Tensor memory_;
};

void require_same(const std::vector<Tensor>& given, const std::vector<Tensor>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Tensor left = copy_to_host(given.at(i).view());
    const Tensor right = copy_to_host(expected[i].view());
    if (std::memcmp(left.view().data(), right.view().data(), right.view().storage_bytes()) != 0)
      throw std::runtime_error("the answers differ");
  }
}

int measure(const char* package, const char* library, int blocks) {
  double spent = 0;
  LoadOptions options;
  options.device = kGpu;
  options.tensorrt = {library};
  options.registry.add(OperatorDefinition{.schema =
                                              "tensorrt::execute_engine(Tensor[] input_tensors, "
                                              "__torch__.torch.classes.tensorrt.Engine engine) -> Tensor[]",
                                          .run =
                                              [&spent](OperatorCall& call) {
                                                const auto begin = bench::Clock::now();
                                                tensorrt::execute_engine(call);
                                                spent += bench::microseconds(bench::Clock::now() - begin);
                                              },
                                          .capture = Capture::Allowed});
  const Model model = Model::load(Package::open(package), options);
  const auto engine = object_cast<TensorRTEngine>(model.custom_objects().begin()->second);
  const Stream stream = Stream::create();
  const Stream other = Stream::create();
  std::vector<Tensor> inputs;
  std::vector<TensorView> views;
  for (const TensorRTTensor& input : engine->inputs()) inputs.push_back(ones(input.sizes, 1.5F));
  for (const Tensor& input : inputs) views.push_back(input.view());
  SessionOptions call_by_call;
  call_by_call.graphs.mode = GraphMode::Off;
  Session session(model, call_by_call);

  const cuda::ContextScope context(*engine->impl().built()->source().context);
  Own own(engine->impl().built(), inputs, stream);
  own.run();
  const auto in_package = [&] {
    const auto outputs = session.enqueue(views, stream);
    stream.view().synchronize();
    require_same(outputs, own.outputs);
  };
  in_package();
  engine->set_stream(other.view());
  in_package();

  const auto time_package = [&] {
    session.enqueue(views, stream);
    spent = 0;
    for (int i = 0; i < kBlockCalls; ++i) session.enqueue_borrowed(views, stream);
    stream.view().synchronize();
    return spent / kBlockCalls;
  };
  std::vector<double> times[3];
  for (int block = 0; block < blocks; ++block) {
    const auto begin = bench::Clock::now();
    for (int i = 0; i < kBlockCalls; ++i) own.run();
    times[0].push_back(bench::microseconds(bench::Clock::now() - begin) / kBlockCalls);
    stream.view().synchronize();
    engine->set_stream(std::nullopt);
    times[1].push_back(time_package());
    engine->set_stream(other.view());
    times[2].push_back(time_package());
  }
  const char* const names[]{"own", "call", "forked"};
  for (int i = 0; i < 3; ++i) {
    std::cout << (i == 0 ? "{" : ", ") << '"' << names[i] << "\": [";
    for (std::size_t k = 0; k < times[i].size(); ++k) std::cout << (k == 0 ? "" : ", ") << times[i][k];
    std::cout << "]";
  }
  std::cout << "}\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw std::runtime_error("usage: penstock_gpu_engine PACKAGE TENSORRT BLOCKS");
    return measure(argv[1], argv[2], std::atoi(argv[3]));
  } catch (const std::exception& error) {
    std::cerr << "penstock_gpu_engine: " << error.what() << "\n";
    return 1;
  }
}
