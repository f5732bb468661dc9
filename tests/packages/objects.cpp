// The classes and operators that the packages of make_objects.py call, as libtorch runs them.
#include <ATen/ATen.h>
#include <torch/custom_class.h>
#include <torch/library.h>

#include <deque>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using at::Tensor;

/// Two numbers; its methods are called by models.
struct Foo : torch::CustomClassHolder {
  Foo(int64_t x, int64_t y) : x(x), y(y) {}
  Tensor add_tensor(Tensor z) { return (x + y) * z; }
  std::tuple<std::tuple<std::string, int64_t>, std::tuple<std::string, int64_t>> flatten() {
    return {{"x", x}, {"y", y}};
  }
  int64_t x;
  int64_t y;
};

/// A tensor.
struct Holder : torch::CustomClassHolder {
  explicit Holder(Tensor t) : t(std::move(t)) {}
  std::tuple<std::tuple<std::string, Tensor>> flatten() { return {{"t", t}}; }
  Tensor t;
};

/// First in, first out; what runs do to it stays.
struct Queue : torch::CustomClassHolder {
  explicit Queue(std::vector<Tensor> items) : items(items.begin(), items.end()) {}
  void push(Tensor item) { items.push_back(item.clone()); }
  Tensor pop() {
    TORCH_CHECK(!items.empty(), "the queue is empty");
    Tensor item = items.front();
    items.pop_front();
    return item.clone();
  }
  int64_t size() { return static_cast<int64_t>(items.size()); }
  std::vector<Tensor> list() const { return {items.begin(), items.end()}; }
  std::tuple<std::tuple<std::string, std::vector<Tensor>>> flatten() { return {{"items", list()}}; }
  std::deque<Tensor> items;
};

/// Everything that a state may hold.
using MixedState = std::tuple<bool, double, std::string, std::vector<int64_t>, std::vector<double>,
                              c10::List<bool>, std::vector<std::string>, c10::Dict<std::string, Tensor>,
                              std::optional<std::string>, at::Device, std::vector<std::vector<int64_t>>>;
struct Mixed : torch::CustomClassHolder {
  explicit Mixed(MixedState state) : state(std::move(state)) {}
  std::tuple<std::tuple<std::string, double>> flatten() { return {{"scale", std::get<1>(state)}}; }
  MixedState state;
};

struct Engine : torch::CustomClassHolder {
  explicit Engine(std::vector<std::string> info) : info(std::move(info)) {}
  std::tuple<std::tuple<std::string, std::string>, std::tuple<std::string, std::string>> flatten() {
    return {{"version", info.at(0)}, {"name", info.at(1)}};
  }
  std::vector<std::string> info;
};

template <class T>
using Pointer = c10::intrusive_ptr<T>;

const auto foo = torch::class_<Foo>("fixtures", "Foo")
                     .def(torch::init<int64_t, int64_t>())
                     .def("add_tensor", &Foo::add_tensor)
                     .def("combination",
                          [](const Pointer<Foo>& self, Tensor a, int64_t count, double scale) -> Tensor {
                            return a * (self->x * count) + self->y * scale;
                          })
                     .def("__obj_flatten__", &Foo::flatten)
                     .def_pickle([](const Pointer<Foo>& self) { return std::tuple(self->x, self->y); },
                                 [](std::tuple<int64_t, int64_t> state) {
                                   return c10::make_intrusive<Foo>(std::get<0>(state), std::get<1>(state));
                                 });

const auto holder = torch::class_<Holder>("fixtures", "Holder")
                        .def(torch::init<Tensor>())
                        .def("__obj_flatten__", &Holder::flatten)
                        .def_pickle([](const Pointer<Holder>& self) { return self->t; },
                                    [](Tensor t) { return c10::make_intrusive<Holder>(std::move(t)); });

const auto queue =
    torch::class_<Queue>("fixtures", "Queue")
        .def(torch::init<std::vector<Tensor>>())
        .def("push", &Queue::push)
        .def("pop", &Queue::pop)
        .def("size", &Queue::size)
        .def("__obj_flatten__", &Queue::flatten)
        .def_pickle([](const Pointer<Queue>& self) { return self->list(); },
                    [](std::vector<Tensor> items) { return c10::make_intrusive<Queue>(std::move(items)); });

const auto mixed =
    torch::class_<Mixed>("fixtures", "Mixed")
        .def(torch::init([](double scale, std::string text, Tensor a, Tensor b) {
          c10::Dict<std::string, Tensor> tensors;
          tensors.insert("a", a);
          tensors.insert("b", b.t());
          tensors.insert("again", a);
          return c10::make_intrusive<Mixed>(MixedState{true,
                                                       scale,
                                                       text,
                                                       {1, -2, 70000, int64_t{1} << 40},
                                                       {0.25, -1e300},
                                                       c10::List<bool>({true, false}),
                                                       {text, "", text},
                                                       tensors,
                                                       std::nullopt,
                                                       at::Device("cpu"),
                                                       {{1, 2}, {}, {3}}});
        }))
        .def("__obj_flatten__", &Mixed::flatten)
        .def_pickle([](const Pointer<Mixed>& self) { return self->state; },
                    [](MixedState state) { return c10::make_intrusive<Mixed>(std::move(state)); });

const auto engine = torch::class_<Engine>("tensorrt", "Engine")
                        .def(torch::init<std::vector<std::string>>())
                        .def("__obj_flatten__", &Engine::flatten)
                        .def("tracing_mode", [](const Pointer<Engine>&) -> std::string { return "real"; })
                        .def_pickle([](const Pointer<Engine>& self) { return self->info; },
                                    [](std::vector<std::string> info) {
                                      return c10::make_intrusive<Engine>(std::move(info));
                                    });

Tensor takes_foo(Pointer<Foo> foo, Tensor x) { return foo->add_tensor(x); }

std::vector<Tensor> takes_foo_list(Pointer<Foo> foo, Tensor x) {
  const Tensor a = foo->add_tensor(x);
  const Tensor b = foo->add_tensor(a);
  return {a, b, foo->add_tensor(b)};
}

std::tuple<Tensor, Tensor> takes_foo_pair(Pointer<Foo> foo, Tensor x) {
  const Tensor a = foo->add_tensor(x);
  return {a, foo->add_tensor(a)};
}

Tensor add_held(Pointer<Holder> holder, Tensor x) { return x + holder->t; }

Tensor scale_mixed(Pointer<Mixed> mixed, Tensor x) {
  const auto& tensors = std::get<7>(mixed->state);
  return x * std::get<1>(mixed->state) + tensors.at("a") + tensors.at("b");
}

std::vector<Tensor> execute_engine(std::vector<Tensor> inputs, Pointer<Engine> engine) {
  return {inputs[0] + inputs[1], inputs[0] * static_cast<double>(engine->info.at(3).size())};
}

int64_t sum_of(at::IntArrayRef values) {
  int64_t sum = 0;
  for (const int64_t value : values) sum = sum * 3 + value;
  return sum;
}

// NOLINTNEXTLINE: the parameters are what is looked at.
std::tuple<Tensor, std::vector<Tensor>> every_kind(
    const Tensor& x, at::TensorList list, const std::optional<Tensor>& maybe,
    const c10::List<std::optional<Tensor>>& maybes, int64_t number, c10::SymInt rows, at::IntArrayRef numbers,
    c10::SymIntArrayRef sizes, std::optional<int64_t> no_number, double real, at::ArrayRef<double> reals,
    std::optional<double> maybe_real, bool flag, c10::List<bool> flags, c10::string_view text,
    std::vector<std::string> texts, const at::Scalar& whole, const at::Scalar& part, at::ScalarType dtype,
    at::MemoryFormat format, at::Layout layout, at::Device device, Pointer<Foo> foo, int64_t scale,
    double offset, bool negate, const std::optional<Tensor>& bias, c10::string_view mode) {
  double total = number + 10.0 * rows.expect_int() + 100.0 * sum_of(numbers);
  for (const c10::SymInt& size : sizes) total += size.expect_int();
  total += no_number.has_value() ? 1e6 : 0.5;
  for (const double value : reals) total += value * real;
  total += maybe_real.value_or(1e6);
  if (flag) total += 3;
  for (std::size_t i = 0; i < flags.size(); ++i) total += flags.get(i) ? static_cast<double>(1 << i) : 0;
  for (const char letter : text) total += letter;
  for (const std::string& each : texts) total += 1000.0 * static_cast<double>(each.size());
  total += whole.to<double>() * part.to<double>();
  total += 10 * static_cast<int>(dtype) + 100 * static_cast<int>(format) + 1000 * static_cast<int>(layout);
  total += device.is_cpu() ? 7 : 1e6;
  total += 0.25 * static_cast<double>(foo->x - foo->y) + static_cast<double>(scale) + offset;
  total += negate ? 1e6 : 0.125;
  total += bias.has_value() ? 1e6 : 0.0625;
  for (const char letter : mode) total += letter;
  Tensor result = x + list[0] * 2 + list[1] * 3 + total;
  if (maybe.has_value()) result = result + *maybe * 5;
  for (std::size_t i = 0; i < maybes.size(); ++i) {
    const std::optional<Tensor> each = maybes.get(i);
    if (each.has_value()) result = result + *each * static_cast<double>(7 + i);
  }
  return {result, {x * 2, x.sum(0)}};
}

Tensor defaults(const Tensor& x, int64_t count, double scale, bool add, c10::string_view mode,
                at::IntArrayRef steps, std::optional<at::ScalarType> dtype) {
  Tensor result = x * scale + static_cast<double>(count * sum_of(steps));
  if (add) result = result + 1;
  if (mode == "twice") result = result * 2;
  return dtype.has_value() ? result.to(*dtype) : result;
}

Tensor with_generator(const Tensor& x, std::optional<at::Generator> generator, double scale) {
  return x * scale + (generator.has_value() ? 1 : 2);
}

void nothing(Tensor) {}

void add_one(Tensor x) { x.add_(1); }

Tensor fresh(const Tensor& x) { return at::empty_like(x); }

std::tuple<Tensor, int64_t> counted(const Tensor& x) { return {x + 1, x.dim()}; }

}  // namespace

TORCH_LIBRARY_FRAGMENT(fixtures, m) {
  m.def("takes_foo(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> Tensor");
  m.def("takes_foo_list(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> Tensor[]");
  m.def("takes_foo_pair(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> (Tensor, Tensor)");
  m.def("add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor");
  m.def("scale_mixed(__torch__.torch.classes.fixtures.Mixed mixed, Tensor x) -> Tensor");
  m.def(
      "every_kind(Tensor x, Tensor[] list, Tensor? maybe, Tensor?[] maybes, int number, SymInt rows, "
      "int[] numbers, SymInt[] sizes, int? no_number, float real, float[] reals, float? maybe_real, "
      "bool flag, bool[] flags, str text, str[] texts, Scalar whole, Scalar part, ScalarType dtype, "
      "MemoryFormat format, Layout layout, Device device, __torch__.torch.classes.fixtures.Foo foo, *, "
      "int scale=3, float offset=0.5, bool negate=False, Tensor? bias=None, str mode=\"plain\") "
      "-> (Tensor, Tensor[])");
  m.def(
      "defaults(Tensor x, int count=2, float scale=1.5, *, bool add=True, str mode=\"twice\", "
      "int[] steps=[1, 2], ScalarType? dtype=None) -> Tensor");
  m.def("with_generator(Tensor x, Generator? generator=None, *, float scale=0.5) -> Tensor");
  m.def("nothing(Tensor(a!) x) -> ()");
  m.def("add_one(Tensor(a!) x) -> ()");
  m.def("fresh(Tensor x) -> Tensor");
  m.def("counted(Tensor x) -> (Tensor, int)");
}

TORCH_LIBRARY_IMPL(fixtures, CompositeExplicitAutograd, m) {
  m.impl("takes_foo", takes_foo);
  m.impl("takes_foo_list", takes_foo_list);
  m.impl("takes_foo_pair", takes_foo_pair);
  m.impl("add_held", add_held);
  m.impl("scale_mixed", scale_mixed);
  m.impl("every_kind", every_kind);
  m.impl("defaults", defaults);
  m.impl("with_generator", with_generator);
  m.impl("nothing", nothing);
  m.impl("add_one", add_one);
  m.impl("fresh", fresh);
  m.impl("counted", counted);
}

TORCH_LIBRARY(tensorrt, m) {
  m.def("execute_engine(Tensor[] input_tensors, __torch__.torch.classes.tensorrt.Engine engine) -> Tensor[]");
}
TORCH_LIBRARY_IMPL(tensorrt, CompositeExplicitAutograd, m) { m.impl("execute_engine", execute_engine); }
