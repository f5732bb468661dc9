#include "on_double.hpp"

#include <dlfcn.h>

#include <sstream>

namespace penstock::testing {
namespace {

template <class Function>
void find(Function*& function, const char* library, const char* name) {
  // Stays open, as the product keeps it.
  void* const handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(::dlerror());
  function = reinterpret_cast<Function*>(::dlsym(handle, name));
  if (function == nullptr) throw std::runtime_error(std::string("the double has no ") + name);
}

}  // namespace

const std::vector<Flavor>& flavors() {
  static const std::vector<Flavor> all{{"TensorRT10", PENSTOCK_DOUBLE_10, "TensorRT 10."},
                                       {"TensorRT11", PENSTOCK_DOUBLE_11, "TensorRT 11."},
                                       {"RTX", PENSTOCK_DOUBLE_RTX, "TensorRT-RTX 1."}};
  return all;
}

Double::Double(const char* library) {
  find(calls_, library, "penstock_double_calls");
  find(clear_, library, "penstock_double_clear");
  find(fail_, library, "penstock_double_fail");
  find(alive_, library, "penstock_double_alive");
}

std::vector<std::string> Double::calls() const {
  std::istringstream log(calls_());
  std::vector<std::string> lines;
  for (std::string line; std::getline(log, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> Double::calls(std::string_view begin) const {
  std::vector<std::string> found = calls();
  std::erase_if(found, [&](const std::string& line) { return !line.starts_with(begin); });
  return found;
}

OnDouble::OnDouble(const Flavor& flavor) : flavor_(flavor), double_(flavor.library) {
  trt_double::add_kernel_actions();
  double_.clear();
}

OnDouble::~OnDouble() {
  const PenstockDoubleAlive alive = double_.alive();
  EXPECT_EQ(alive.engines, 0U);
  EXPECT_EQ(alive.contexts, 0U);
  EXPECT_EQ(alive.bytes, 0U);
  EXPECT_THAT(double_.calls("violation"), ::testing::IsEmpty());
}

Model OnDouble::load_engines(std::string_view package) const {
  LoadOptions options;
  options.device = {DeviceType::Cuda, 0};
  options.tensorrt = {flavor_.library};
  return Model::load(open_package(package, kEnginePackages), options);
}

std::vector<Tensor> OnDouble::engine_inputs(std::string_view package) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : recorded(package, "inputs", kEnginePackages))
    inputs.push_back(copy_to_device(input.view(), {DeviceType::Cuda, 0}));
  return inputs;
}

void OnDouble::expect_answer(std::string_view package, const std::vector<Tensor>& given, std::size_t from) {
  const std::vector<Tensor> expected = recorded(package, "outputs", kEnginePackages);
  std::vector<Tensor> on_host;
  for (const Tensor& each : given) on_host.push_back(copy_to_host(each.view()));
  ASSERT_EQ(on_host.size(), expected.size());
  expect_same(std::vector<Tensor>(on_host.begin() + static_cast<std::ptrdiff_t>(from), on_host.end()),
              std::vector<Tensor>(expected.begin() + static_cast<std::ptrdiff_t>(from), expected.end()));
}

std::shared_ptr<TensorRTEngine> OnDouble::engine_of(const Model& model, std::size_t number) {
  const ObjectMap objects = model.custom_objects();
  const auto found = objects.find("_torchbind_obj" + std::to_string(number));
  if (found == objects.end()) throw std::runtime_error("no such object");
  return object_cast<TensorRTEngine>(found->second);
}

std::string address_text(const void* handle) {
  std::ostringstream text;
  text << handle;
  return text.str();
}

Tensor on_device(const std::vector<std::int64_t>& sizes, const std::vector<float>& values) {
  const TensorView view(const_cast<float*>(values.data()), DType::Float32, sizes);
  return copy_to_device(view, {DeviceType::Cuda, 0});
}

}  // namespace penstock::testing
