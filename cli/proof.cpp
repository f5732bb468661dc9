#include "proof.hpp"

#include "inputs.hpp"
#include "plans.hpp"
#include "report.hpp"
#include "values.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/error.hpp>
#include <penstock/partition.hpp>
#include <penstock/session.hpp>
#include <penstock/system.hpp>
#include <penstock/tensorrt.hpp>
#include <penstock/version.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace penstock::cli {
namespace {

/// What a check came to, beside what it throws, which is a failure.
struct Outcome {
  enum class Kind { Held, Failed, NotPossible };
  Kind kind = Kind::Held;
  std::string detail;
};

Outcome held(std::string detail) { return {Outcome::Kind::Held, std::move(detail)}; }
Outcome failed(std::string detail) { return {Outcome::Kind::Failed, std::move(detail)}; }
Outcome not_possible(std::string detail) { return {Outcome::Kind::NotPossible, std::move(detail)}; }

/// The rows of a Markdown table.
class Table {
 public:
  template <class Check>
  bool row(std::string_view what, const Check& check) {
    Outcome outcome;
    try {
      outcome = check();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::OutOfMemory) throw;
      outcome = failed(error.what());
    } catch (const Refused& refused) {
      outcome = failed(refused.what());
    }
    const char* const word = outcome.kind == Outcome::Kind::Held     ? "held"
                             : outcome.kind == Outcome::Kind::Failed ? "**failed**"
                                                                     : "not possible";
    fmt::format_to(std::back_inserter(text_), "| {} | {} | {} |\n", what, word, cell(outcome.detail));
    has_failed_ = has_failed_ || outcome.kind == Outcome::Kind::Failed;
    return outcome.kind == Outcome::Kind::Held;
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] bool has_failed() const noexcept { return has_failed_; }

  /// In one line, and with nothing that ends a cell.
  static std::string cell(std::string_view text) {
    std::string made;
    for (const char letter : printable_lines(text)) {
      if (letter == '|') made += '\\';
      made += letter == '\n' ? ' ' : letter;
    }
    return made;
  }

 private:
  std::string text_ = "| check | | |\n|---|---|---|\n";
  bool has_failed_ = false;
};

/// The plan on the device, and where it runs.
struct Subject {
  Model model;
  std::shared_ptr<TensorRTEngine> engine;
  std::vector<Tensor> inputs;
  std::optional<GreenContext> partition;
  std::optional<Stream> stream;
  std::vector<Tensor> outputs;  ///< Of the first run, in host memory.
};

/// Inputs of the sizes that the profile in use is tuned for; of one that holds the values of a shape those.
std::vector<Tensor> made_up_inputs(const TensorRTEngine& engine, int profile) {
  std::mt19937_64 generator(0);
  std::vector<Tensor> made;
  for (std::size_t i = 0; i < engine.inputs().size(); ++i) {
    const TensorRTTensor& tensor = engine.inputs()[i];
    const TensorRTRange range = engine.range(profile, i);
    const bool is_dynamic = std::ranges::find(tensor.sizes, -1) != tensor.sizes.end();
    Tensor input = Tensor::empty(tensor.dtype, is_dynamic && !tensor.on_host ? range.best : tensor.sizes);
    fill(input, generator);
    if (tensor.on_host) {
      for (std::size_t k = 0; k < range.best.size() && k < static_cast<std::size_t>(input.numel()); ++k) {
        if (tensor.dtype == DType::Int64) input.view().data_as<std::int64_t>()[k] = range.best[k];
        if (tensor.dtype == DType::Int32)
          input.view().data_as<std::int32_t>()[k] = static_cast<std::int32_t>(range.best[k]);
      }
    }
    made.push_back(std::move(input));
  }
  return made;
}

std::vector<Tensor> run(Session& session, const Subject& subject, StreamView stream) {
  // At other addresses each time.
  const std::vector<Tensor> placed = place_inputs(subject.model, subject.inputs);
  std::vector<Tensor> outputs = session.enqueue(views_of(placed), stream);
  stream.synchronize();
  return on_host(std::move(outputs));
}

/// The largest difference beside the largest number; nothing where sizes or dtypes differ.
std::optional<double> difference(const std::vector<Tensor>& left, const std::vector<Tensor>& right) {
  double largest = 0;
  double most = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i].dtype() != right[i].dtype() || !std::ranges::equal(left[i].sizes(), right[i].sizes()))
      return std::nullopt;
    const std::size_t bytes = element_bytes(left[i].dtype());
    const auto* const a = static_cast<const std::byte*>(left[i].view().data());
    const auto* const b = static_cast<const std::byte*>(right[i].view().data());
    for (std::int64_t k = 0; k < left[i].numel(); ++k) {
      const std::size_t at = static_cast<std::size_t>(k) * bytes;
      const double of_left = number_at(a + at, left[i].dtype());
      const double of_right = number_at(b + at, right[i].dtype());
      if (std::isnan(of_left) && std::isnan(of_right)) continue;
      largest = std::max(largest, std::abs(of_left - of_right));
      if (std::isnan(of_left) != std::isnan(of_right)) return HUGE_VAL;
      most = std::max(most, std::abs(of_left));
    }
  }
  return most > 0 ? largest / most : largest;
}

/// Another order of sums may be another answer.
Outcome compared(const Subject& subject, const std::vector<Tensor>& outputs, const std::string& how) {
  constexpr double kAllowed = 1e-3;
  const std::optional<double> found = difference(subject.outputs, outputs);
  if (!found) return failed("outputs of other sizes " + how);
  const std::string detail = fmt::format("{}; outputs differ by {:.2g} of the largest", how, *found);
  return *found <= kAllowed ? held(detail) : failed(detail);
}

Outcome audited(Subject& subject, AuditLevel level) {
  Session session(subject.model,
                  {.graphs = {.mode = level == AuditLevel::Graph ? GraphMode::Auto : GraphMode::Off}});
  const std::vector<Tensor> placed = place_inputs(subject.model, subject.inputs);
  run(session, subject, *subject.stream);
  Audit audit;
  try {
    audit = session.audit(views_of(placed), *subject.stream, {.level = level});
  } catch (const Error& error) {
    // Without CUPTI, or of a run that is not captured.
    if (error.code() != ErrorCode::NotFound && error.code() != ErrorCode::Unsupported) throw;
    return not_possible(error.what());
  }
  std::size_t seen = 0;
  std::vector<std::string> left;
  for (const AuditEntry& entry : audit.entries) {
    if (!entry.of_run || entry.level != level) continue;
    ++seen;
    if (entry.place_known && !entry.in_place) left.push_back(to_string(entry.kind) + " " + entry.name);
  }
  if (!audit.stayed()) return failed(fmt::format("left: {}", fmt::join(left, ", ")));
  return held(fmt::format(
      "{} seen, all within {} SMs{}{}", seen, audit.sm_count, audit.in_green_context ? " of a partition" : "",
      audit.missing_count == 0 ? "" : fmt::format("; the place of {} is not told", audit.missing_count)));
}

Outcome make_partition(Subject& subject) {
  const int device = subject.model.device().index;
  const CudaDevice described = cuda_devices().at(static_cast<std::size_t>(device));
  if (!described.no_partitions_because.empty()) {
    subject.stream = Stream::create({.device = device});
    return not_possible(described.no_partitions_because + "; an ordinary stream is used below");
  }
  subject.partition = GreenContext::create(SmResource::of_device(device).split("25%")[0]);
  subject.stream = subject.partition->create_stream();
  return held(fmt::format("{} of {} SMs", subject.stream->view().sm_count(), described.sm_count));
}

Outcome run_call_by_call(Subject& subject) {
  Session session(subject.model, {.graphs = {.mode = GraphMode::Off}});
  subject.outputs = run(session, subject, *subject.stream);
  return compared(subject, run(session, subject, *subject.stream), "twice");
}

Outcome run_captured(const Subject& subject) {
  Session session(subject.model);
  std::vector<Tensor> outputs;
  for (int times = 0; times < 4; ++times) outputs = run(session, subject, *subject.stream);
  if (!session.last_run().replayed) return not_possible(session.last_run().reason);
  return compared(subject, outputs, "replayed with inputs at other addresses");
}

Outcome run_on_another_stream(const Subject& subject) {
  Session session(subject.model);
  for (int times = 0; times < 3; ++times) run(session, subject, *subject.stream);
  const Stream other = subject.partition ? subject.partition->create_stream()
                                         : Stream::create({.device = subject.model.device().index});
  const std::vector<Tensor> outputs = run(session, subject, other);
  const std::uint64_t captures = session.graph_statistics().captures;
  if (captures > 1) return failed(fmt::format("captured {} times", captures));
  return compared(subject, outputs, "nothing captured anew");
}

Outcome run_on_a_stream_of_its_own(const Subject& subject) {
  Session session(subject.model);
  const Stream own = Stream::create({.device = subject.model.device().index});
  subject.engine->set_stream(own.view());
  std::vector<Tensor> outputs;
  try {
    for (int times = 0; times < 3; ++times) outputs = run(session, subject, *subject.stream);
  } catch (...) {
    subject.engine->set_stream(std::nullopt);
    throw;
  }
  subject.engine->set_stream(std::nullopt);
  return compared(subject, outputs, "forked and joined by events");
}

void prove(Table& table, Subject& subject) {
  table.row("a partition of a quarter of the GPU", [&] { return make_partition(subject); });
  if (!subject.stream) return;
  if (!table.row("runs call by call", [&] { return run_call_by_call(subject); })) return;
  table.row("runs as a CUDA graph", [&] { return run_captured(subject); });
  table.row("another stream of the partition", [&] { return run_on_another_stream(subject); });
  table.row("`set_stream`", [&] { return run_on_a_stream_of_its_own(subject); });
  table.row("stays on the stream, seen by Penstock", [&] { return audited(subject, AuditLevel::Model); });
  table.row("kernels stay in the partition, seen by CUPTI",
            [&] { return audited(subject, AuditLevel::Process); });
  table.row("nodes of the graph are in the partition", [&] { return audited(subject, AuditLevel::Graph); });
}

std::string introduction(const ModelChoice& plan) {
  const TensorRTPlanInfo info = describe_plan(plan.file);
  const CudaInfo cuda = cuda_info();
  std::string out = fmt::format("## TensorRT, proven by penstock {}\n\n", version());
  fmt::format_to(std::back_inserter(out), "- plan: {}, {}\n",
                 info.built_by.empty() ? "of an unknown builder" : "by " + info.built_by,
                 bytes_text(info.bytes));
  fmt::format_to(std::back_inserter(out), "- driver: CUDA {}.{}\n", cuda.driver_version / 1000,
                 cuda.driver_version % 1000 / 10);
  for (const CudaDevice& device : cuda.devices) {
    fmt::format_to(std::back_inserter(out), "- cuda:{}: {}, compute capability {}.{}, {} SMs\n", device.index,
                   Table::cell(device.name), device.compute_major, device.compute_minor, device.sm_count);
  }
  if (!cuda.problem.empty())
    fmt::format_to(std::back_inserter(out), "- CUDA: {}\n", Table::cell(cuda.problem));
  return out + "\n";
}

std::string names_text(std::span<const TensorRTTensor> tensors) {
  std::vector<std::string> texts;
  for (const TensorRTTensor& tensor : tensors)
    texts.push_back(fmt::format("{} {}{}", tensor.name, dtype_name(tensor.dtype), sizes_text(tensor.sizes)));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

int prove_tensorrt(const ModelChoice& plan, const std::string& report) {
  std::string out;
  try {
    out = introduction(plan);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::OutOfMemory) throw;
    throw Refused(error.what());
  }
  Table table;
  std::optional<Subject> subject;
  table.row("TensorRT opened, its functions where they are expected, the plan taken", [&] {
    Model model = load_plan(plan);
    auto engine = object_cast<TensorRTEngine>(model.custom_objects().at("engine"));
    subject.emplace(Subject{.model = std::move(model),
                            .engine = std::move(engine),
                            .inputs = {},
                            .partition = std::nullopt,
                            .stream = std::nullopt,
                            .outputs = {}});
    return held(subject->engine->library());
  });
  if (subject) {
    table.row("described", [&] {
      const TensorRTEngine& engine = *subject->engine;
      subject->inputs = made_up_inputs(engine, plan.profile.value_or(0));
      return held(fmt::format("{} -> {}; profiles: {}, auxiliary streams: {}", names_text(engine.inputs()),
                              names_text(engine.outputs()), engine.profile_count(),
                              engine.aux_stream_count()));
    });
    prove(table, *subject);
  }
  out += table.text();
  if (report.empty()) {
    write_out(out);
  } else {
    std::ofstream file(report, std::ios::trunc);
    file << out << std::flush;
    if (!file) throw std::runtime_error(fmt::format("--report {}: it cannot be written", report));
  }
  return table.has_failed() ? kExitFailed : kExitOk;
}

}  // namespace penstock::cli
