#include <penstock/session.hpp>

#include "base/fail.hpp"
#include "cpu/op_state.hpp"
#include "model/model_impl.hpp"
#include "session/outputs.hpp"
#include "session/staging.hpp"
#include "shim/context.hpp"
#include "system/machine.hpp"
#include "tensor/memory_pool.hpp"

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

}  // namespace

struct Session::Impl {
  Impl(Model given, const SessionOptions& options)
      : model(std::move(given)), threads(thread_bound(model, options)), version(model.impl()->versions) {
    inputs.resize(model.impl()->input_count);
    outputs.resize(model.impl()->output_count);
    results.resize(model.impl()->output_count);
  }

  ~Impl() { drop_results(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void drop_results() noexcept {
    for (AtenTensorHandle& output : outputs) tensor::free_tensor(std::exchange(output, nullptr));
  }

  /// Checks, runs, and leaves the results in `outputs` and `results`.
  void execute(std::span<const TensorView> given) {
    const Model::Impl& loaded = *model.impl();
    drop_results();
    const model::Latitude latitude = loaded.rules.check(given);
    if (!latitude.none()) {
      if (staging == nullptr) staging = std::make_unique<session::Staging>();
      staging->begin(loaded.rules, given, latitude);
    }
    session::Staging* const staged = latitude.none() ? nullptr : staging.get();
    shim::CallContext context;
    if (staged != nullptr) context.margin = staged->margin();
    context.pool = &pool;
    context.operators = &operators;
    context.threads = threads;
    context.exact_threads = loaded.exact_threads;
    make_inputs(loaded.rules, given, staged);
    const model::VersionScope run(version);
    const shim::ContextScope scope(context);
    if (!run.container().run(inputs, outputs)) {
      // A run that fails in its checks has left the inputs, one that fails later may have made outputs.
      for (AtenTensorHandle& input : inputs) tensor::free_tensor(std::exchange(input, nullptr));
      drop_results();
      throw run.container().error(context);
    }
    if (context.failure) {
      drop_results();
      throw run.container().error(context);
    }
    if (staged != nullptr) {
      staged->finish(given);
      for (AtenTensorHandle output : outputs) staged->give_back(*output, given);
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) session::show(*outputs[i], results[i], loaded.what);
  }

  std::vector<Tensor> run(std::span<const TensorView> given, const RunOptions& options) {
    const std::shared_ptr<Model::Impl>& loaded = model.impl();
    session::check_targets(options.outputs, given, outputs.size(), loaded->what);
    execute(given);
    std::vector<Tensor> kept;
    kept.reserve(outputs.size());
    if (!options.outputs.empty()) {
      session::copy_to_targets(results, options.outputs, loaded->what);
      // The memory is the caller's: there is nothing to keep alive, but a tensor has an owner.
      static const auto nobody = std::make_shared<char>();
      for (const TensorView& target : options.outputs) kept.push_back(Tensor::adopt(target, nobody));
      return kept;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      tensor::TensorObjectPtr output(std::exchange(outputs[i], nullptr));
      kept.push_back(session::keep(std::move(output), results[i], loaded));
    }
    return kept;
  }

  void prepare(const PrepareOptions& options) {
    const std::span<const TensorSpec> specs = model.inputs();
    if (!options.shapes.empty() && options.shapes.size() != specs.size()) {
      base::fail(ErrorCode::InvalidArgument, "{} takes {} inputs, {} shapes were given", model.impl()->what,
                 specs.size(), options.shapes.size());
    }
    std::vector<std::vector<std::int64_t>> shapes = options.shapes;
    if (shapes.empty()) shapes = model.impl()->rules.smallest_sizes();
    std::vector<Tensor> zeros;
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      const TensorView row_major(nullptr, specs[i].dtype, shapes[i]);
      std::vector<std::int64_t> strides(row_major.strides().begin(), row_major.strides().end());
      if (shapes[i].size() == specs[i].dims.size())
        model.impl()->rules.compiled_strides(i, row_major, strides);
      // Strides may leave gaps: the memory is as long as they reach.
      const TensorView wanted(nullptr, specs[i].dtype, shapes[i], strides, 0);
      zeros.push_back(Tensor::empty(DType::UInt8, {static_cast<std::int64_t>(wanted.storage_bytes())}));
      void* const data = zeros.back().view().data();
      if (wanted.storage_bytes() != 0) std::memset(data, 0, wanted.storage_bytes());
      views.emplace_back(data, specs[i].dtype, shapes[i], strides, 0);
    }
    execute(views);
    drop_results();
  }

  void make_inputs(const model::InputRules& rules, std::span<const TensorView> given,
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

  Model model;
  int threads;
  model::VersionUse version;
  tensor::MemoryPool pool;
  cpu::OpState operators;
  /// Made when first needed.
  std::unique_ptr<session::Staging> staging;
  std::vector<AtenTensorHandle> inputs;
  std::vector<AtenTensorHandle> outputs;
  std::vector<TensorView> results;
};

Session::Session(Model model, const SessionOptions& options)
    : impl_(base::report_out_of_memory("a session",
                                       [&] { return std::make_unique<Impl>(std::move(model), options); })) {}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<Tensor> Session::run(std::span<const TensorView> inputs, const RunOptions& options) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&] { return impl_->run(inputs, options); });
}

std::span<const TensorView> Session::run_borrowed(std::span<const TensorView> inputs) {
  return base::report_out_of_memory(impl_->model.impl()->what, [&]() -> std::span<const TensorView> {
    impl_->execute(inputs);
    return impl_->results;
  });
}

void Session::prepare(const PrepareOptions& options) {
  base::report_out_of_memory(impl_->model.impl()->what, [&] { impl_->prepare(options); });
}

int Session::threads() const noexcept { return impl_->threads; }

const Model& Session::model() const noexcept { return impl_->model; }

std::uint64_t Session::arena_bytes() const noexcept {
  return impl_->pool.held_bytes() + (impl_->staging != nullptr ? impl_->staging->held_bytes() : 0);
}

}  // namespace penstock
