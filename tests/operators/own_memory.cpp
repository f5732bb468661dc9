#include <penstock/operators.hpp>

#include <algorithm>
#include <memory>

using namespace penstock;

namespace {

// Without std::make_shared, for which g++ never closes a library.
struct Holder : CustomObject {};

// Given back by code of this library.
void give_back(float* values) { delete[] values; }

void add_held(OperatorCall& call) {
  const TensorView x = call.tensor(1);
  const std::shared_ptr<float> memory(new float[static_cast<std::size_t>(x.numel())], give_back);
  std::copy_n(x.data_as<float>(), x.numel(), memory.get());
  call.give_result(0, Tensor::adopt(TensorView(memory.get(), DType::Float32, x.sizes()), memory));
}

}  // namespace

PENSTOCK_LIBRARY(registry) {
  registry.add(
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor",
       .run = add_held});
  registry.add(ClassDefinition{.name = "fixtures.Holder", .create = [](const Value&, const ObjectOrigin&) {
                                 return std::shared_ptr<Holder>(new Holder);
                               }});
}
