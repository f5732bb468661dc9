#include "proof.hpp"

#include "difference.hpp"
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
#include <deque>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace penstock::cli {
namespace {

/// What a check came to; what it throws is a failure.
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
  Outcome::Kind row(std::string_view what, const Check& check) {
    Outcome outcome;
    try {
      outcome = check();
    } catch (const std::exception& error) {
      // Whatever it is, the rows before it are told.
      outcome = failed(error.what());
    }
    const char* const word = outcome.kind == Outcome::Kind::Held     ? "held"
                             : outcome.kind == Outcome::Kind::Failed ? "**failed**"
                                                                     : "not possible";
    fmt::format_to(std::back_inserter(text_), "| {} | {} | {} |\n", what, word, cell(outcome.detail));
    has_failed_ = has_failed_ || outcome.kind == Outcome::Kind::Failed;
    return outcome.kind;
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

/// Runs on the same inputs at other addresses each time: those before are kept.
class Runs {
 public:
  Runs(const Subject& subject, GraphMode graphs)
      : subject_(subject), session(subject.model, {.graphs = {.mode = graphs}}) {}

  std::vector<Tensor> on(StreamView stream) {
    std::vector<Tensor> outputs = session.enqueue(views_of(place()), stream);
    stream.synchronize();
    return on_host(std::move(outputs));
  }
  Audit audit(StreamView stream, AuditLevel level) {
    return session.audit(views_of(place()), stream, {.level = level});
  }

 private:
  const std::vector<Tensor>& place() {
    placed_.push_back(place_inputs(subject_.model, subject_.inputs));
    return placed_.back();
  }

  const Subject& subject_;
  std::deque<std::vector<Tensor>> placed_;

 public:
  Session session;
};

/// Another order of sums may be another answer.
Outcome compared(const Subject& subject, const std::vector<Tensor>& outputs, const std::string& how) {
  constexpr double kAllowed = 1e-3;
  const Difference found = difference(subject.outputs, outputs);
  if (!found.in_kind.empty()) return failed(how + "; " + found.in_kind);
  const std::string detail =
      fmt::format("{}; outputs differ by {:.2g} of the largest", how, found.of_largest);
  if (found.of_largest > kAllowed) return failed(detail);
  return found.tells ? held(detail)
                     : not_possible(how + "; outputs are 0, NaN or infinite throughout, which tells nothing");
}

Outcome audited(const Subject& subject, AuditLevel level) {
  Runs runs(subject, level == AuditLevel::Graph ? GraphMode::Auto : GraphMode::Off);
  runs.on(*subject.stream);
  Audit audit;
  try {
    audit = runs.audit(*subject.stream, level);
  } catch (const Error& error) {
    // Without CUPTI, with one that is not known or serves none here, or of a run that is not captured.
    const bool is_possible = error.code() != ErrorCode::NotFound && error.code() != ErrorCode::Unsupported &&
                             error.code() != ErrorCode::Incompatible;
    if (is_possible) throw;
    return not_possible(error.what());
  }
  std::size_t seen = 0;
  std::size_t placed = 0;
  std::vector<std::string> left;
  for (const AuditEntry& entry : audit.entries) {
    if (!entry.of_run || entry.level != level) continue;
    ++seen;
    if (!entry.place_known) continue;
    ++placed;
    if (!entry.in_place) left.push_back(to_string(entry.kind) + " " + entry.name);
  }
  if (!audit.stayed()) return failed(fmt::format("left: {}", fmt::join(left, ", ")));
  if (placed == 0) return not_possible(fmt::format("{} seen, and the place of none is told", seen));
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
  Runs runs(subject, GraphMode::Off);
  subject.outputs = runs.on(*subject.stream);
  return compared(subject, runs.on(*subject.stream), "twice");
}

Outcome run_captured(const Subject& subject) {
  Runs runs(subject, GraphMode::Auto);
  std::vector<Tensor> outputs;
  for (int times = 0; times < 4; ++times) outputs = runs.on(*subject.stream);
  if (!runs.session.last_run().replayed) return not_possible(runs.session.last_run().reason);
  return compared(subject, outputs, "replayed with inputs at other addresses");
}

Outcome run_on_another_stream(const Subject& subject) {
  Runs runs(subject, GraphMode::Auto);
  for (int times = 0; times < 3; ++times) runs.on(*subject.stream);
  const std::uint64_t captures = runs.session.graph_statistics().captures;
  const Stream other = subject.partition ? subject.partition->create_stream()
                                         : Stream::create({.device = subject.model.device().index});
  const std::vector<Tensor> outputs = runs.on(other);
  if (runs.session.graph_statistics().captures > captures) return failed("captured anew");
  if (runs.session.last_run().replayed) return compared(subject, outputs, "nothing captured anew");
  const Outcome answer = compared(subject, outputs, "call by call");
  return answer.kind == Outcome::Kind::Failed ? answer
                                              : not_possible("no graph: " + runs.session.last_run().reason);
}

Outcome run_on_a_stream_of_its_own(const Subject& subject) {
  // A replay would not be on that stream.
  Runs runs(subject, GraphMode::Off);
  const Stream own = Stream::create({.device = subject.model.device().index});
  subject.engine->set_stream(own.view());
  std::vector<Tensor> outputs;
  Audit audit;
  try {
    for (int times = 0; times < 3; ++times) outputs = runs.on(*subject.stream);
    audit = runs.audit(*subject.stream, AuditLevel::Model);
  } catch (...) {
    subject.engine->set_stream(std::nullopt);
    throw;
  }
  subject.engine->set_stream(std::nullopt);
  const bool ran_there = std::ranges::any_of(
      audit.entries, [&](const AuditEntry& entry) { return entry.stream == own.view().handle(); });
  if (!ran_there) return failed("the engine did not run on the stream that was set");
  return compared(subject, outputs, "forked and joined by events");
}

void prove(Table& table, Subject& subject) {
  table.row("a partition of a quarter of the GPU", [&] { return make_partition(subject); });
  if (!subject.stream) return;
  if (table.row("runs call by call", [&] { return run_call_by_call(subject); }) == Outcome::Kind::Failed)
    return;
  table.row("runs as a CUDA graph", [&] { return run_captured(subject); });
  table.row("the graph on another stream of the partition", [&] { return run_on_another_stream(subject); });
  table.row("`set_stream`", [&] { return run_on_a_stream_of_its_own(subject); });
  table.row("stays on the stream, seen by Penstock", [&] { return audited(subject, AuditLevel::Model); });
  table.row("kernels stay in the partition, seen by CUPTI",
            [&] { return audited(subject, AuditLevel::Process); });
  table.row("nodes of the graph are in the partition", [&] { return audited(subject, AuditLevel::Graph); });
}

/// ", 580.95.05", where the kernel tells.
std::string driver_build() {
  std::ifstream file("/sys/module/nvidia/version");
  std::string version;
  return std::getline(file, version) ? ", " + Table::cell(version) : std::string();
}

std::string introduction(const ModelChoice& plan) {
  const TensorRTPlanInfo info = describe_plan(plan.file);
  const CudaInfo cuda = cuda_info();
  std::string out = fmt::format("## TensorRT, proven by penstock {}\n\n", version());
  fmt::format_to(std::back_inserter(out), "- plan: {}, {}\n",
                 info.built_by.empty() ? "of an unknown builder" : "by " + info.built_by,
                 bytes_text(info.bytes));
  fmt::format_to(std::back_inserter(out), "- driver: CUDA {}.{}{}\n", cuda.driver_version / 1000,
                 cuda.driver_version % 1000 / 10, driver_build());
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
  std::ofstream file;
  if (!report.empty()) {
    // Now, and not when all has run.
    file.open(report, std::ios::trunc);
    if (!file) throw std::runtime_error(fmt::format("--report {}: it cannot be written", report));
  }
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
    const Outcome::Kind described = table.row("described", [&] {
      const TensorRTEngine& engine = *subject->engine;
      subject->inputs = made_up_inputs(engine, plan.profile.value_or(0));
      return held(fmt::format("{} -> {}; profiles: {}, auxiliary streams: {}", names_text(engine.inputs()),
                              names_text(engine.outputs()), engine.profile_count(),
                              engine.aux_stream_count()));
    });
    if (described == Outcome::Kind::Held) prove(table, *subject);
  }
  out += table.text();
  if (report.empty()) {
    write_out(out);
  } else {
    file << out << std::flush;
    if (!file) throw std::runtime_error(fmt::format("--report {}: it cannot be written", report));
  }
  return table.has_failed() ? kExitFailed : kExitOk;
}

}  // namespace penstock::cli
