#include "fixtures.hpp"

#include <penstock/device_memory.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>

namespace penstock::fixtures {
namespace {

/// All elements in row-major order of the sizes, of whatever device.
std::vector<float> elements(const TensorView& view) {
  const Tensor copy = view.device() == Device{} ? Tensor::copy_of(view) : copy_to_host(view);
  const float* const data = copy.data_as<float>();
  return {data, data + copy.numel()};
}

/// A tensor that is to be given.
struct Made {
  DType dtype = DType::Float32;
  std::span<const std::int64_t> sizes;
};

void fill(const TensorView& view, const std::vector<float>& values) {
  if (view.dtype() == DType::Float64) {
    std::copy(values.begin(), values.end(), view.data_as<double>());
  } else {
    std::copy(values.begin(), values.end(), view.data_as<float>());
  }
}

void give(OperatorCall& call, std::size_t result, const Made& made, const std::vector<float>& values,
          std::size_t item = 0) {
  if (call.device() == Device{}) return fill(call.make_result(result, made.dtype, made.sizes, item), values);
  const Tensor on_host = Tensor::empty(made.dtype, made.sizes);
  fill(on_host.view(), values);
  call.give_result(result, copy_to_device(on_host.view(), call.device()), item);
}

/// A result of the sizes of `like`.
void give(OperatorCall& call, std::size_t result, const TensorView& like, const std::vector<float>& values,
          std::size_t item = 0) {
  give(call, result, {.sizes = like.sizes()}, values, item);
}

/// On CUDA these functions compute on the host: they wait for the work that comes before them.
std::function<void(OperatorCall&)> after_the_stream(std::function<void(OperatorCall&)> run) {
  return [run = std::move(run)](OperatorCall& call) {
    if (call.device() != Device{}) call.stream().synchronize();
    run(call);
  };
}

template <class Function>
std::vector<float> mapped(std::vector<float> values, Function&& function) {
  std::transform(values.begin(), values.end(), values.begin(), function);
  return values;
}

std::vector<float> multiplied(const std::vector<float>& values, double factor) {
  return mapped(values, [factor](float value) { return static_cast<float>(value * factor); });
}

std::vector<float> added(std::vector<float> values, const std::vector<float>& more, double factor = 1) {
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(values[i] + more[i] * factor);
  return values;
}

double sum_of(const OperatorCall& call, std::size_t argument) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < call.count(argument); ++i) sum = sum * 3 + call.integer(argument, i);
  return static_cast<double>(sum);
}

double letters(std::string_view text) {
  double sum = 0;
  for (const char letter : text) sum += letter;
  return sum;
}

void takes_foo(OperatorCall& call) {
  const auto& foo = call.state<FooState>(0);
  const TensorView x = call.tensor(1);
  give(call, 0, x, multiplied(elements(x), static_cast<double>(foo.x + foo.y)));
}

void takes_foo_list(OperatorCall& call) {
  const auto& foo = call.state<FooState>(0);
  const TensorView x = call.tensor(1);
  std::vector<float> values = elements(x);
  for (std::size_t item = 0; item < call.result_count(0); ++item) {
    values = multiplied(values, static_cast<double>(foo.x + foo.y));
    give(call, 0, x, values, item);
  }
}

void takes_foo_pair(OperatorCall& call) {
  const auto& foo = call.state<FooState>(0);
  const TensorView x = call.tensor(1);
  const std::vector<float> first = multiplied(elements(x), static_cast<double>(foo.x + foo.y));
  give(call, 0, x, first);
  give(call, 1, x, multiplied(first, static_cast<double>(foo.x + foo.y)));
}

void combination(OperatorCall& call) {
  const auto& foo = call.state<FooState>(0);
  const TensorView a = call.tensor(1);
  const auto factor = static_cast<double>(foo.x * call.integer(2));
  const double more = static_cast<double>(foo.y) * call.number(3);
  give(call, 0, a,
       mapped(elements(a), [=](float value) { return static_cast<float>(value * factor + more); }));
}

void add_held(OperatorCall& call) {
  const TensorView x = call.tensor(1);
  give(call, 0, x, added(elements(x), elements(call.state<Tensor>(0).view())));
}

void scale_mixed(OperatorCall& call) {
  const auto& state = call.state<Value>(0);
  const TensorView x = call.tensor(1);
  const Value& tensors = state.items()[7];
  std::vector<float> values = multiplied(elements(x), state.items()[1].number());
  for (const char* name : {"a", "b"}) values = added(values, elements(tensors.find(name)->tensor().view()));
  give(call, 0, x, values);
}

void execute_engine(OperatorCall& call) {
  const auto& info = call.state<std::vector<std::string>>(1);
  const TensorView first = call.tensor(0, 0);
  give(call, 0, first, added(elements(first), elements(call.tensor(0, 1))), 0);
  give(call, 0, first, multiplied(elements(first), static_cast<double>(info.at(3).size())), 1);
}

/// What the arguments of every_kind that are no tensors add up to.
double kinds_total(const OperatorCall& call) {
  double total = static_cast<double>(call.integer(4)) + 10.0 * static_cast<double>(call.integer(5));
  total += 100.0 * sum_of(call, 6);
  for (std::size_t i = 0; i < call.count(7); ++i) total += static_cast<double>(call.integer(7, i));
  total += call.has(8) ? 1e6 : 0.5;
  for (std::size_t i = 0; i < call.count(10); ++i) total += call.number(10, i) * call.number(9);
  total += call.has(11) ? call.number(11) : 1e6;
  if (call.boolean(12)) total += 3;
  for (std::size_t i = 0; i < call.count(13); ++i) total += call.boolean(13, i) ? 1 << i : 0;
  total += letters(call.text(14));
  for (std::size_t i = 0; i < call.count(15); ++i)
    total += 1000.0 * static_cast<double>(call.text(15, i).size());
  total += call.number(16) * call.number(17);
  total += 10.0 * static_cast<double>(call.dtype(18)) + 100.0 * static_cast<double>(call.integer(19)) +
           1000.0 * static_cast<double>(call.integer(20));
  total += call.device(21) == Device{} ? 7 : 1e6;
  const auto& foo = call.state<FooState>(22);
  total +=
      0.25 * static_cast<double>(foo.x - foo.y) + static_cast<double>(call.integer(23)) + call.number(24);
  total += call.boolean(25) ? 1e6 : 0.125;
  total += call.has(26) ? 1e6 : 0.0625;
  return total + letters(call.text(27));
}

void every_kind(OperatorCall& call) {
  const TensorView x = call.tensor(0);
  const double total = kinds_total(call);
  std::vector<float> result = added(elements(x), elements(call.tensor(1, 0)), 2);
  result = added(result, elements(call.tensor(1, 1)), 3);
  result = mapped(result, [total](float value) { return static_cast<float>(value + total); });
  if (call.has(2)) result = added(result, elements(call.tensor(2)), 5);
  for (std::size_t i = 0; i < call.count(3); ++i) {
    if (call.has(3, i)) result = added(result, elements(call.tensor(3, i)), static_cast<double>(7 + i));
  }
  give(call, 0, x, result);
  const std::vector<float> values = elements(x);
  give(call, 1, x, multiplied(values, 2), 0);
  const auto columns = static_cast<std::size_t>(x.sizes()[1]);
  std::vector<float> sums(columns, 0);
  for (std::size_t i = 0; i < values.size(); ++i) sums[i % columns] += values[i];
  give(call, 1, {.sizes = x.sizes().subspan(1)}, sums, 1);
}

void defaults(OperatorCall& call) {
  const TensorView x = call.tensor(0);
  const double more = static_cast<double>(call.integer(1)) * sum_of(call, 5) + (call.boolean(3) ? 1 : 0);
  const double factor = call.text(4) == "twice" ? 2 : 1;
  const double scale = call.number(2);
  const std::vector<float> values =
      mapped(elements(x), [=](float value) { return static_cast<float>((value * scale + more) * factor); });
  give(call, 0, {.dtype = call.has(6) ? call.dtype(6) : DType::Float32, .sizes = x.sizes()}, values);
}

void with_generator(OperatorCall& call) {
  const TensorView x = call.tensor(0);
  const double scale = call.number(2);
  const double more = call.has(1) ? 1 : 2;
  give(call, 0, x,
       mapped(elements(x), [=](float value) { return static_cast<float>(value * scale + more); }));
}

void add_one(OperatorCall& call) {
  const TensorView x = call.tensor(0);
  for (float* value = x.data_as<float>(); value != x.data_as<float>() + x.numel(); ++value) *value += 1;
}

void counted(OperatorCall& call) {
  const TensorView x = call.tensor(0);
  give(call, 0, x, mapped(elements(x), [](float value) { return value + 1; }));
  call.give_integer(1, static_cast<std::int64_t>(x.rank()));
}

Value foo_state(const CustomObject& object) {
  const auto state = static_cast<const Foo&>(object).state();
  return Value::tuple({Value(state->x), Value(state->y)});
}

ClassDefinition foo_class() {
  return {
      .name = "fixtures.Foo",
      .create =
          [](const Value& state, const ObjectOrigin&) {
            if (state.items().size() != 2) throw std::invalid_argument("its state is no pair");
            return std::make_shared<Foo>(FooState{state.items()[0].integer(), state.items()[1].integer()});
          },
      .state = foo_state,
      .methods = {{.schema = "add_tensor(Tensor z) -> Tensor", .run = takes_foo},
                  {.schema = "combination(Tensor a, int count, float scale) -> Tensor", .run = combination}}};
}

ClassDefinition queue_class() {
  return {.name = "fixtures.Queue",
          .create =
              [](const Value& state, const ObjectOrigin&) {
                std::vector<Tensor> items;
                for (const Value& item : state.items()) items.push_back(item.tensor());
                return std::make_shared<Queue>(std::move(items));
              },
          .state =
              [](const CustomObject& object) {
                std::vector<Value> items;
                for (const Tensor& item : static_cast<const Queue&>(object).items()) items.emplace_back(item);
                return Value::list(std::move(items));
              },
          .methods = {{.schema = "push(Tensor item) -> ()",
                       .run = [](OperatorCall& call) { call.object<Queue>(0).push(call.tensor(1)); }},
                      {.schema = "pop() -> Tensor",
                       .run = [](OperatorCall& call) { call.give_result(0, call.object<Queue>(0).pop()); }}}};
}

}  // namespace

void Queue::push(const TensorView& item) {
  const Tensor copy = Tensor::copy_of(item);
  const std::lock_guard lock(mutex_);
  items_.push_back(copy);
  changed();
}

Tensor Queue::pop() {
  const std::lock_guard lock(mutex_);
  if (items_.empty()) throw std::runtime_error("the queue is empty");
  Tensor item = items_.front();
  items_.pop_front();
  changed();
  return item;
}

std::vector<Tensor> Queue::items() const {
  const std::lock_guard lock(mutex_);
  return {items_.begin(), items_.end()};
}

std::vector<OperatorDefinition> operators() {
  const std::string foo = "__torch__.torch.classes.fixtures.Foo foo";
  std::vector<OperatorDefinition> all = {
      {.schema = "fixtures::takes_foo(" + foo + ", Tensor x) -> Tensor", .run = takes_foo},
      {.schema = "fixtures::takes_foo_list(" + foo + ", Tensor x) -> Tensor[]", .run = takes_foo_list},
      {.schema = "fixtures::takes_foo_pair(" + foo + ", Tensor x) -> (Tensor, Tensor)",
       .run = takes_foo_pair},
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor",
       .run = add_held},
      {.schema = "fixtures::scale_mixed(__torch__.torch.classes.fixtures.Mixed mixed, Tensor x) -> Tensor",
       .run = scale_mixed},
      {.schema =
           "fixtures::every_kind(Tensor x, Tensor[] list, Tensor? maybe, Tensor?[] maybes, int number, "
           "SymInt rows, int[] numbers, SymInt[] sizes, int? no_number, float real, float[] reals, "
           "float? maybe_real, bool flag, bool[] flags, str text, str[] texts, Scalar whole, Scalar part, "
           "ScalarType dtype, MemoryFormat format, Layout layout, Device device, " +
           foo +
           ", *, int scale=3, float offset=0.5, bool negate=False, Tensor? bias=None, str mode=\"plain\") "
           "-> (Tensor, Tensor[])",
       .run = every_kind},
      {.schema = "fixtures::defaults(Tensor x, int count=2, float scale=1.5, *, bool add=True, "
                 "str mode=\"twice\", int[] steps=[1, 2], ScalarType? dtype=None) -> Tensor",
       .run = defaults},
      {.schema =
           "fixtures::with_generator(Tensor x, Generator? generator=None, *, float scale=0.5) -> Tensor",
       .run = with_generator},
      {.schema = "fixtures::nothing(Tensor(a!) x) -> ()", .run = [](OperatorCall&) {}},
      {.schema = "fixtures::add_one(Tensor(a!) x) -> ()", .run = add_one},
      {.schema = "fixtures::counted(Tensor x) -> (Tensor, int)", .run = counted},
      {.schema = "tensorrt::execute_engine(Tensor[] input_tensors, "
                 "__torch__.torch.classes.tensorrt.Engine engine) -> Tensor[]",
       .run = execute_engine},
  };
  for (OperatorDefinition& made : all) made.run = after_the_stream(std::move(made.run));
  return all;
}

std::vector<ClassDefinition> classes() {
  std::vector<ClassDefinition> all = {
      foo_class(),
      {.name = "fixtures.Holder",
       .create = [](const Value& state,
                    const ObjectOrigin&) { return std::make_shared<Holder>(state.tensor()); },
       .state =
           [](const CustomObject& object) { return Value(*static_cast<const Holder&>(object).state()); }},
      queue_class(),
      {.name = "fixtures.Mixed",
       .create = [](const Value& state, const ObjectOrigin&) { return std::make_shared<Mixed>(state); },
       .state = [](const CustomObject& object) { return *static_cast<const Mixed&>(object).state(); }},
      {.name = "tensorrt.Engine", .create = [](const Value& state, const ObjectOrigin&) {
         std::vector<std::string> info;
         for (const Value& item : state.items()) info.emplace_back(item.text());
         return std::make_shared<Engine>(std::move(info));
       }}};
  for (ClassDefinition& made : all) {
    for (MethodDefinition& method : made.methods) method.run = after_the_stream(std::move(method.run));
  }
  return all;
}

void add_all(Registry& registry) {
  for (OperatorDefinition& made : operators()) registry.add(std::move(made));
  for (ClassDefinition& made : classes()) registry.add(std::move(made));
}

Registry all_but(const std::vector<std::string_view>& names) {
  const auto is_left_out = [&](std::string_view name) {
    return std::ranges::find(names, name) != names.end();
  };
  Registry registry;
  for (OperatorDefinition& made : operators()) {
    const std::string_view schema = made.schema;
    if (!is_left_out(schema.substr(0, schema.find('(')))) registry.add(std::move(made));
  }
  for (ClassDefinition& made : classes()) {
    if (!is_left_out(made.name)) registry.add(std::move(made));
  }
  return registry;
}

}  // namespace penstock::fixtures
