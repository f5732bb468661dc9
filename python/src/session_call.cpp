#include "model.hpp"

#include "errors.hpp"
#include "share.hpp"
#include "tensor.hpp"

#include <penstock/error.hpp>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;

/// How messages of the library begin an input's name.
constexpr std::string_view kInputName = "input arg";
/// And an output's, behind the name of the model.
constexpr std::string_view kOutputName = ": out";

/// The number that a message of the library has behind a name.
std::optional<std::size_t> number_behind(std::string_view name, std::string_view text) {
  const std::size_t found = text.find(name);
  if (found == text.npos) return std::nullopt;
  std::size_t number = 0;
  const char* const begin = text.data() + found + name.size();
  const auto [end, problem] = std::from_chars(begin, text.data() + text.size(), number);
  return problem == std::errc() ? std::optional(number) : std::nullopt;
}

bool is_given(nb::handle object) { return object.is_valid() && !object.is_none(); }

/// What keeps the input whose memory a tensor is; null where it is of the session's or the model's.
std::shared_ptr<const Lent> owner_among(const Tensor& made, Inputs& inputs,
                                        std::span<const nb::object> objects) {
  const std::span<const TensorView> views = inputs.views();
  const auto* const data = static_cast<const std::byte*>(made.view().data());
  for (std::size_t i = 0; i < views.size(); ++i) {
    const auto* const begin = static_cast<const std::byte*>(views[i].data());
    if (data != nullptr && data >= begin && data < begin + views[i].storage_bytes())
      return inputs.keep(i, objects[i]);
  }
  return nullptr;
}

}  // namespace

/// A call of a session, of which there is one at a time; at its end nothing of it is left.
class PySession::Turn {
 public:
  explicit Turn(PySession& session) : session_(session) {
    if (session_.busy_.test_and_set(std::memory_order_acquire)) {
      throw Error(ErrorCode::InvalidArgument,
                  "the session is in a call of another thread; make one session a thread: model.session()");
    }
    const Device device = session_.model_.model.device();
    session_.inputs_.clear(device.index);
    session_.outputs_.clear(device.index);
  }
  ~Turn() {
    session_.inputs_.clear();
    session_.outputs_.clear();
    session_.leaves_.clear();
    session_.targets_.clear();
    session_.busy_.clear(std::memory_order_release);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  PySession& session_;
};

PySession::PySession(const PyModel& model, const SessionOptions& options, nb::object keeps)
    : keeps_(std::move(keeps)), model_(model), session_(model.model, options) {}

PySession::~PySession() { destroy_without_gil(std::move(session_)); }

bool PySession::on_cuda() const noexcept { return model_.model.device().type == DeviceType::Cuda; }

std::string PySession::place_of(std::size_t input) const {
  return model_.inputs && !is_flat_ ? model_.inputs->place_of(leaf_numbers_[input])
                                    : (is_flat_ ? "inputs[" : "args[") + std::to_string(input) + "]";
}

std::string PySession::target_place(std::size_t output) const {
  if (targets_.size() == 1) return "out";
  return model_.outputs ? model_.outputs->place_within("out", output) : "out[" + std::to_string(output) + "]";
}

void PySession::read_leaves() {
  leaf_numbers_.resize(leaves_.size());
  std::iota(leaf_numbers_.begin(), leaf_numbers_.end(), std::size_t{0});
  // As torch does: what is no tensor was built in when the model was exported.
  if (leaves_.size() > model_.model.inputs().size()) {
    std::string others;
    std::erase_if(leaf_numbers_, [&](std::size_t leaf) {
      if (is_tensor(leaves_[leaf])) return false;
      if (model_.inputs && !is_flat_)
        others += (others.empty() ? "" : ", ") + model_.inputs->place_of(leaf) + " is a " +
                  type_text(leaves_[leaf]);
      return true;
    });
    std::erase_if(leaves_, [](const nb::object& leaf) { return !is_tensor(leaf); });
    const std::size_t wanted = model_.model.inputs().size();
    if (leaves_.size() < wanted && !others.empty()) {
      wrong_type("the model takes " + std::to_string(wanted) + " tensors, and " +
                 std::to_string(leaves_.size()) + " were given: " + others);
    }
  }
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    try {
      inputs_.add(leaves_[i]);
    } catch (...) {
      rethrow_at(place_of(i));
    }
  }
}

/// Keywords of a model that states no call: the names of its inputs.
void PySession::read_by_name(const nb::dict& kwargs) {
  for (const auto& [key, value] : kwargs) {
    const auto name = nb::cast<std::string>(key);
    const std::optional<std::size_t> input = model_.model.find_input(name);
    if (!input) wrong_type("no input is called \"" + name + "\"");
    if (leaves_.size() <= *input) leaves_.resize(*input + 1);
    if (leaves_[*input].is_valid()) wrong_type("input " + name + " is given twice");
    leaves_[*input] = nb::borrow(value);
  }
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    if (!leaves_[i].is_valid()) wrong_type("input " + model_.model.inputs()[i].name + " is not given");
  }
}

void PySession::read_inputs(nb::handle args, nb::handle kwargs) {
  is_flat_ = false;
  if (model_.call_problem) {
    const Error& problem = *model_.call_problem;
    throw Error(problem.code(), std::string(problem.what()) + ", or give the tensors to call_flat()");
  }
  if (model_.inputs) {
    model_.inputs->flatten_call(args, kwargs, leaves_);
  } else {
    for (const nb::handle one : nb::borrow<nb::tuple>(args)) leaves_.push_back(nb::borrow(one));
    if (nb::len(kwargs) != 0) read_by_name(nb::borrow<nb::dict>(kwargs));
  }
  read_leaves();
}

void PySession::read_outputs(nb::handle out) {
  if (!is_given(out)) return;
  const std::size_t wanted = model_.model.output_names().size();
  if (is_tensor(out) && wanted == 1) {
    targets_.push_back(nb::borrow(out));
  } else if (model_.outputs) {
    model_.outputs->flatten(out, "out", targets_);
  } else {
    for (const nb::handle one : out) targets_.push_back(nb::borrow(one));
  }
  if (targets_.size() != wanted) {
    wrong_type("out has " + std::to_string(targets_.size()) + " tensors, and the model gives " +
               std::to_string(wanted));
  }
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i].is_none()) {
      outputs_.add_nothing();
      continue;
    }
    try {
      outputs_.add(targets_[i]);
    } catch (...) {
      rethrow_at(target_place(i));
    }
  }
}

Library PySession::library_of_call(OutputForm form) const {
  // As torch has it, whatever the inputs are, and where there are none.
  const bool is_torchs = inputs_.library() == Library::None && form == OutputForm::Torch;
  return is_torchs ? Library::Torch : inputs_.library();
}

PyStream PySession::choose_stream(nb::handle stream, OutputForm form) const {
  if (is_given(stream)) return stream_of(stream);
  if (const PyStream* const entered = entered_stream()) return *entered;
  return current_stream(library_of_call(form), model_.model.device().index);
}

std::vector<Tensor> PySession::run(const std::optional<PyStream>& stream) {
  const RunOptions options{outputs_.views()};
  try {
    const nb::gil_scoped_release released;
    if (stream) return session_.enqueue(inputs_.views(), stream->view, options);
    return session_.run(inputs_.views(), options);
  } catch (const Error& error) {
    // The library knows inputs and outputs by number: "input arg3: ...", "model: out1 is ...".
    if (error.code() != ErrorCode::InvalidArgument) throw;
    std::string places;
    if (const auto output = number_behind(kOutputName, error.what()); output && *output < targets_.size())
      places = target_place(*output);
    if (const auto input = number_behind(kInputName, error.what()); input && *input < leaves_.size())
      places += (places.empty() ? "" : ", ") + place_of(*input);
    if (places.empty()) throw;
    throw Error(error.code(), std::string(error.what()) + " (" + places + ")");
  }
}

std::shared_ptr<const Event> PySession::order_takers(const PyStream& stream, const CallOptions& options) {
  const std::int32_t device = model_.model.device().index;
  const bool are_torchs = options.form == OutputForm::Torch;
  const bool is_torchs = !is_given(options.stream) && entered_stream() == nullptr &&
                         library_of_call(options.form) == Library::Torch;
  if (are_torchs && !is_torchs) {
    const StreamView taking = current_stream(Library::Torch, device).view;
    if (taking != stream.view && !(taking.is_default() && stream.view.is_default()))
      wait_on(taking, event_behind(stream.view, device, beside_default_));
  }
  if (are_torchs && targets_.empty()) return nullptr;
  return ready_on(stream.view, device, beside_default_);
}

std::vector<nb::object> PySession::give(std::vector<Tensor> made, const std::optional<PyStream>& stream,
                                        const CallOptions& options) {
  const std::shared_ptr<const Event> ready = stream ? order_takers(*stream, options) : nullptr;
  std::vector<nb::object> given;
  given.reserve(made.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (!targets_.empty()) {
      if (PyTensor* const ours = as_tensor(targets_[i])) {
        ours->stream = stream;
        ours->ready = ready;
      }
      given.push_back(targets_[i]);
      continue;
    }
    if (!made[i].defined()) {
      given.push_back(nb::none());
      continue;
    }
    auto owner = owner_among(made[i], inputs_, leaves_);
    PyTensor tensor{std::move(made[i]), stream, ready, std::move(owner)};
    given.push_back(options.form == OutputForm::Torch
                        ? make_torch_tensor(tensor.tensor.view(), keeper_of(tensor))
                        : nb::cast(std::move(tensor)));
  }
  return given;
}

nb::object PySession::call(nb::handle args, nb::handle kwargs, const CallOptions& options) {
  const Turn turn(*this);
  if (options.detaches) inputs_.detach();
  read_inputs(args, kwargs);
  read_outputs(options.out);
  std::optional<PyStream> stream;
  if (on_cuda()) {
    stream = choose_stream(options.stream, options.form);
  } else if (is_given(options.stream)) {
    throw Error(ErrorCode::InvalidArgument, "a stream was given, and the model is on the CPU");
  }
  std::vector<nb::object> made = give(run(stream), stream, options);
  if (model_.outputs && model_.outputs->leaf_count() == made.size()) return model_.outputs->unflatten(made);
  nb::list list;
  for (nb::object& one : made) list.append(std::move(one));
  return list;
}

nb::object PySession::call_flat(nb::handle inputs, const CallOptions& options) {
  const Turn turn(*this);
  if (options.detaches) inputs_.detach();
  for (const nb::handle one : inputs) leaves_.push_back(nb::borrow(one));
  is_flat_ = true;
  read_leaves();
  std::optional<PyStream> stream;
  if (on_cuda()) stream = choose_stream(options.stream, options.form);
  nb::list list;
  for (nb::object& one : give(run(stream), stream, options)) list.append(std::move(one));
  return list;
}

Audit PySession::audit(nb::handle args, nb::handle kwargs, nb::handle stream, AuditLevel level) {
  const Turn turn(*this);
  read_inputs(args, kwargs);
  const PyStream chosen = choose_stream(stream);
  const nb::gil_scoped_release released;
  return session_.audit(inputs_.views(), chosen.view, {level});
}

void PySession::prepare(std::vector<std::vector<std::int64_t>> shapes, nb::handle stream) {
  const Turn turn(*this);
  PrepareOptions options{std::move(shapes), {}};
  std::optional<PyStream> chosen;
  if (on_cuda()) {
    chosen = choose_stream(stream);
    options.stream = chosen->view;
  }
  const nb::gil_scoped_release released;
  session_.prepare(options);
}

LastRun PySession::last_run() {
  const Turn turn(*this);
  return session_.last_run();
}

GraphStatistics PySession::graph_statistics() {
  const Turn turn(*this);
  return session_.graph_statistics();
}

StreamWaits PySession::stream_waits() {
  const Turn turn(*this);
  return session_.stream_waits();
}

SessionMemory PySession::memory() {
  const Turn turn(*this);
  return session_.memory();
}

void PySession::release_memory() {
  const Turn turn(*this);
  const nb::gil_scoped_release released;
  session_.release_memory();
}

}  // namespace penstock::python
