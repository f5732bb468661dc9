#include "session/session_impl.hpp"

#include "base/fail.hpp"
#include "cuda/callers_capture.hpp"
#include "session/outputs.hpp"
#include "shim/context.hpp"
#include "system/machine.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

int thread_bound(const Model& model, const SessionOptions& options) {
  if (options.threads < 0) {
    base::fail(ErrorCode::InvalidArgument, "a session of {} threads; 0 means as many as the model can use",
               options.threads);
  }
  const Model::Impl& loaded = *model.impl();
  if (loaded.exact_threads) {
    if (options.threads != 0 && options.threads < loaded.max_threads) {
      base::fail(ErrorCode::InvalidArgument,
                 "{}: a session of {} threads, but the library divides its work among exactly {}",
                 loaded.what, options.threads, loaded.max_threads);
    }
    return loaded.max_threads;
  }
  const int wanted = options.threads == 0 ? system::available_threads() : options.threads;
  return std::min(wanted, model.max_threads());
}

/// Takes the caller's reference of the storage.
tensor::TensorObjectPtr input_handle(const model::InputRules& rules, std::size_t index,
                                     const TensorView& view, tensor::Storage* given) {
  const tensor::StorageReference storage(given);
  std::array<std::int64_t, kMaxRank> strides;
  const std::span<std::int64_t> used(strides.data(), view.rank());
  rules.compiled_strides(index, view, used);
  return tensor::TensorObjectPtr(
      tensor::make_tensor(storage.get(), {.dtype = view.dtype(), .sizes = view.sizes(), .strides = used}));
}

/// Staging holds memory of the run, which in a capture is the graph's: none of it is kept past a failure.
class StagingOfRun {
 public:
  explicit StagingOfRun(std::unique_ptr<session::Staging>& staging) noexcept : staging_(staging) {}
  ~StagingOfRun() {
    if (!done_) staging_.reset();
  }
  StagingOfRun(const StagingOfRun&) = delete;
  StagingOfRun& operator=(const StagingOfRun&) = delete;

  void done() noexcept { done_ = true; }

 private:
  std::unique_ptr<session::Staging>& staging_;
  bool done_ = false;
};

/// Memory for an input of zeros.
Tensor zero_bytes(std::uint64_t bytes, const std::string& input, const std::string& what) {
  try {
    Tensor zeros = Tensor::empty(DType::UInt8, {static_cast<std::int64_t>(bytes)});
    if (bytes != 0) std::memset(zeros.view().data(), 0, bytes);
    return zeros;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::OutOfMemory) throw;
    base::fail(ErrorCode::OutOfMemory, "{}: no memory for the {} bytes of {} to prepare with", what, bytes,
               input);
  }
}

}  // namespace

Session::Impl::Impl(Model given, const SessionOptions& options)
    : model(std::move(given)),
      threads(thread_bound(model, options)),
      version(model.impl()->versions),
      objects(objects::make_session(model.impl()->executor)) {
  inputs.resize(model.impl()->input_count);
  outputs.resize(model.impl()->output_count);
  results.resize(model.impl()->output_count);
  if (model.impl()->cuda != nullptr)
    cuda = std::make_unique<session::CudaSession>(model.impl()->cuda, options);
}

Session::Impl::~Impl() {
  drop_results();
  if (!is_on_cuda()) return;
  staging.reset();
  cuda.reset();
  version.drop();
  cuda::let_go_of_used();
}

void Session::Impl::drop_results() noexcept {
  for (AtenTensorHandle& output : outputs) tensor::free_tensor(std::exchange(output, nullptr));
  version_of_outputs.reset();
}

void Session::Impl::execute(std::span<const TensorView> given) {
  drop_results();
  const model::Latitude latitude = model.impl()->rules.check(given);
  const model::VersionScope run(version);
  if (objects != nullptr) objects->begin_run();
  run_model(given, latitude, nullptr, run.container());
  show_results();
}

void Session::Impl::run_model(std::span<const TensorView> given, const model::Latitude& latitude,
                              const shim::CudaCall* call, model::Container& container) {
  const Model::Impl& loaded = *model.impl();
  StagingOfRun of_run(staging);
  if (!latitude.none()) {
    if (staging == nullptr && is_on_cuda()) staging = std::make_unique<session::DeviceStaging>();
    if (staging == nullptr) staging = std::make_unique<session::Staging>();
    staging->use(call);
    staging->begin(loaded.rules, given, latitude);
  }
  session::Staging* const staged = latitude.none() ? nullptr : staging.get();
  shim::CallContext context;
  if (staged != nullptr) context.margin = staged->margin();
  pool.begin_run();
  context.pool = &pool;
  context.cuda = call;
  context.operators = &operators;
  context.threads = threads;
  context.exact_threads = loaded.exact_threads;
  context.proxy = objects.get();
  make_inputs(loaded.rules, given, staged);
  const shim::ContextScope scope(context);
  if (!container.run(inputs, outputs)) {
    // A run that fails in its checks has left the inputs, one that fails later may have made outputs.
    for (AtenTensorHandle& input : inputs) tensor::free_tensor(std::exchange(input, nullptr));
    drop_results();
    throw container.error(context);
  }
  if (context.failure) {
    drop_results();
    throw container.error(context);
  }
  if (staged != nullptr) {
    for (AtenTensorHandle output : outputs) {
      if (output != nullptr) staged->give_back(*output, given);
    }
    staged->finish(given);
  }
  of_run.done();
}

void Session::Impl::show_results() {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    results[i] = {};
    // The model returns None there.
    if (outputs[i] == nullptr) continue;
    session::show(*outputs[i], results[i], model.impl()->what);
    if (outputs[i]->storage->of_model && version_of_outputs == nullptr) version_of_outputs = version.held();
  }
}

std::vector<Tensor> Session::Impl::keep_results() {
  std::vector<Tensor> kept;
  kept.reserve(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    tensor::TensorObjectPtr output(std::exchange(outputs[i], nullptr));
    if (output == nullptr) {
      kept.emplace_back();
      continue;
    }
    kept.push_back(session::keep(std::move(output), results[i], {model.impl(), version_of_outputs}));
  }
  return kept;
}

std::vector<Tensor> Session::Impl::run(std::span<const TensorView> given, const RunOptions& options) {
  const std::string& what = model.impl()->what;
  session::check_targets(options.outputs, given, {outputs.size(), model.device()}, what);
  if (is_on_cuda()) {
    session::wait_for(execute_on({.targets = options.outputs, .host_inputs = cuda->host_inputs()}, given),
                      what);
    return options.outputs.empty() ? keep_results() : session::tensors_over(options.outputs, outputs);
  }
  execute(given);
  if (options.outputs.empty()) return keep_results();
  session::copy_to_targets(results, outputs, options.outputs, what);
  return session::tensors_over(options.outputs, outputs);
}

void Session::Impl::prepare(const PrepareOptions& options) {
  const std::span<const TensorSpec> specs = model.inputs();
  if (!options.shapes.empty() && options.shapes.size() != specs.size()) {
    base::fail(ErrorCode::InvalidArgument, "{} takes {} inputs, {} shapes were given", model.impl()->what,
               specs.size(), options.shapes.size());
  }
  std::vector<std::vector<std::int64_t>> shapes = options.shapes;
  if (shapes.empty()) shapes = model.impl()->rules.smallest_sizes();
  // Before any memory is taken for them. The address is as any: nothing looks behind it.
  alignas(64) static char anywhere;
  std::vector<TensorView> wanted;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const TensorView row_major(nullptr, specs[i].dtype, shapes[i]);
    std::vector<std::int64_t> strides(row_major.strides().begin(), row_major.strides().end());
    if (shapes[i].size() == specs[i].dims.size()) model.impl()->rules.compiled_strides(i, row_major, strides);
    wanted.emplace_back(&anywhere, specs[i].dtype, shapes[i], strides, 0, model.impl()->rules.device_of(i));
  }
  model.impl()->rules.check(wanted);
  std::vector<Tensor> zeros;
  std::vector<TensorView> views;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    // Strides may leave gaps: the memory is as long as they reach.
    zeros.push_back(zero_bytes(wanted[i].storage_bytes(), specs[i].name, model.impl()->what));
    views.emplace_back(zeros.back().view().data(), specs[i].dtype, shapes[i], wanted[i].strides(), 0);
  }
  if (!is_on_cuda()) {
    execute(views);
  } else {
    void* const stream = options.stream ? options.stream->handle() : nullptr;
    const StreamRequest request{
        .stream = static_cast<cuda::StreamHandle>(stream), .host_inputs = HostInputs::Copy, .prepares = true};
    session::wait_for(execute_on(request, views), model.impl()->what);
    // The second run of these shapes is captured.
    session::wait_for(execute_on(request, views), model.impl()->what);
  }
  drop_results();
}

void Session::Impl::make_inputs(const model::InputRules& rules, std::span<const TensorView> given,
                                const session::Staging* staged) {
  std::size_t made = 0;
  try {
    for (; made < given.size(); ++made) {
      const TensorView& view = given[made];
      tensor::Storage* const storage =
          staged != nullptr ? staged->storage(made, view)
                            : tensor::borrow_storage(view.data(), view.storage_bytes(), view.device());
      inputs[made] = input_handle(rules, made, view, storage).release();
    }
  } catch (...) {
    while (made-- > 0) tensor::free_tensor(std::exchange(inputs[made], nullptr));
    throw;
  }
}

Session::Session(Model model, const SessionOptions& options)
    : impl_(base::report_out_of_memory("a session",
                                       [&] { return std::make_unique<Impl>(std::move(model), options); })) {}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<Tensor> Session::run(std::span<const TensorView> inputs, const RunOptions& options) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&] { return impl_->run(inputs, options); });
}

std::vector<Tensor> Session::enqueue(std::span<const TensorView> inputs, StreamView stream,
                                     const RunOptions& options) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&] {
    return impl_->enqueue(inputs, static_cast<cuda::StreamHandle>(stream.handle()), options);
  });
}

Audit Session::audit(std::span<const TensorView> inputs, StreamView stream, const AuditOptions& options) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&] {
    impl_->require_cuda();
    return impl_->audit(inputs, static_cast<cuda::StreamHandle>(stream.handle()), options.level);
  });
}

std::span<const TensorView> Session::enqueue_borrowed(std::span<const TensorView> inputs, StreamView stream) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&]() -> std::span<const TensorView> {
    impl_->require_cuda();
    impl_->execute_on({.stream = static_cast<cuda::StreamHandle>(stream.handle()),
                       .host_inputs = impl_->cuda->host_inputs(),
                       .may_be_recorded = true},
                      inputs);
    return impl_->results;
  });
}

std::span<const TensorView> Session::run_borrowed(std::span<const TensorView> inputs) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&]() -> std::span<const TensorView> {
    if (!impl_->is_on_cuda()) {
      impl_->execute(inputs);
    } else {
      session::wait_for(impl_->execute_on({.host_inputs = impl_->cuda->host_inputs()}, inputs),
                        impl_->model.impl()->what);
    }
    return impl_->results;
  });
}

void Session::prepare(const PrepareOptions& options) {
  base::report_out_of_memory(impl_->model.impl()->what, [&] { impl_->prepare(options); });
}

int Session::threads() const noexcept { return impl_->threads; }

const Model& Session::model() const noexcept { return impl_->model; }

SessionMemory Session::memory() const noexcept {
  if (impl_->is_on_cuda()) return impl_->cuda->memory();
  const std::uint64_t staged = impl_->staging != nullptr ? impl_->staging->held_bytes() : 0;
  return {.held_bytes = impl_->pool.held_bytes() + staged, .peak_bytes = impl_->pool.peak_bytes() + staged};
}

void Session::release_memory() noexcept {
  impl_->pool.release_unused();
  if (!impl_->is_on_cuda()) return;
  impl_->cuda->lanes().release_unused();
  cuda::let_go_of_used();
}

LastRun Session::last_run() const {
  return impl_->is_on_cuda() ? impl_->cuda->graphs().last_run() : LastRun{};
}

GraphStatistics Session::graph_statistics() const {
  return impl_->is_on_cuda() ? impl_->cuda->graph_statistics() : GraphStatistics{};
}

StreamWaits Session::stream_waits() const noexcept {
  return impl_->is_on_cuda() ? impl_->cuda->lanes().waits : StreamWaits{};
}

}  // namespace penstock
