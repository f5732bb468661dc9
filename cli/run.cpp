#include "answers.hpp"
#include "commands.hpp"
#include "graphs.hpp"
#include "inputs.hpp"
#include "loading.hpp"
#include "option_values.hpp"
#include "pictures.hpp"
#include "placement.hpp"
#include "report.hpp"
#include "values.hpp"

#include <penstock/session.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace penstock::cli {
namespace {

constexpr std::size_t kPreviewed = 8;

struct RunCommand {
  ModelChoice choice;
  InputOptions inputs;
  PlacementOptions placement;
  std::string graphs;
  std::string outputs_file;
  std::int64_t top_k = 0;
  std::string labels_file;
  std::string truth_file;
  std::string image;
};

std::string statistics(const Tensor& tensor) {
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  double sum = 0;
  std::int64_t numbers = 0;
  const auto* data = static_cast<const std::byte*>(tensor.view().data());
  const std::size_t bytes = element_bytes(tensor.dtype());
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    const double value = number_at(data + static_cast<std::size_t>(i) * bytes, tensor.dtype());
    if (std::isnan(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
    ++numbers;
  }
  const std::int64_t nans = tensor.numel() - numbers;
  std::string result;
  if (numbers > 0) {
    result =
        fmt::format("min {:.5g}  max {:.5g}  mean {:.5g}", low, high, sum / static_cast<double>(numbers));
  }
  if (nans > 0) result += fmt::format("{}nan {}", result.empty() ? "" : "  ", nans);
  return result;
}

std::string output_text(const std::string& name, const Tensor& output) {
  if (!output.defined()) return fmt::format("{}  None\n", name);
  const Tensor tensor = output.view().is_contiguous() ? output : output.clone();
  std::string out =
      fmt::format("{}  {}\n  {}\n", name, to_string(tensor.view()), preview(tensor.view(), kPreviewed));
  const std::string numbers = is_floating(tensor.dtype()) ? statistics(tensor) : "";
  if (!numbers.empty() && tensor.numel() > 1) out += "  " + numbers + "\n";
  return out;
}

/// The files beside the inputs that the answers are compared with and named by.
struct Reference {
  std::vector<std::string> labels;
  std::vector<std::int64_t> truth;
};

Reference read_reference(const RunCommand& command) {
  Reference reference;
  if (!command.labels_file.empty()) reference.labels = read_labels(command.labels_file);
  if (!command.truth_file.empty()) reference.truth = read_truth(command.truth_file);
  return reference;
}

std::string picture_text(const RunCommand& command, const Model& model, const std::vector<Tensor>& inputs,
                         const Scores& scores, const Reference& reference) {
  const std::optional<std::size_t> index = model.find_input(command.image);
  if (!index) throw UsageError(fmt::format("--ascii-image: no input is called \"{}\"", command.image));
  const auto caption = [&](std::int64_t row) -> std::string {
    if (row >= scores.rows) return "";
    const std::int64_t read = scores.best(row, 1)[0];
    std::string text = "read " + label_of(reference.labels, read);
    const auto position = static_cast<std::size_t>(row);
    if (position < reference.truth.size() && reference.truth[position] != read) {
      text += fmt::format(", is {}", reference.truth[position]);
    }
    return text;
  };
  return pictures(command.image, inputs[*index], caption);
}

/// What is printed of a classifier: the pictures and their answers, or the best classes of each row.
std::string answers_text(const RunCommand& command, const Model& model, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& outputs, const Reference& reference) {
  if (outputs.empty()) throw UsageError("the model has no outputs to rank");
  const std::string& name = model.output_names()[0];
  const Scores scores = scores_of(name, outputs[0]);
  if (!reference.labels.empty() && reference.labels.size() != static_cast<std::size_t>(scores.classes)) {
    throw UsageError(fmt::format("{} has {} labels, but {} has {} classes", command.labels_file,
                                 reference.labels.size(), name, scores.classes));
  }
  std::string out;
  if (!command.image.empty()) out += picture_text(command, model, inputs, scores, reference);
  // Beside pictures, whose captions are the best classes, more of them are only printed where asked for.
  if (command.top_k > (command.image.empty() ? 0 : 1)) {
    out += fmt::format("{}  {}, the best {} of each row\n", name, to_string(outputs[0].view()),
                       std::min(command.top_k, scores.classes));
    out += top_text(scores, command.top_k, reference.labels);
  }
  if (!command.truth_file.empty()) out += accuracy_text(scores, reference.truth);
  return out;
}

/// Before a run whose results would be lost.
void check_outputs_file(const std::string& file) {
  if (file.empty()) return;
  const std::filesystem::path path(file);
  const std::string extension = path.extension().string();
  if (extension != ".npy" && extension != ".npz" && extension != ".safetensors") {
    throw UsageError(
        fmt::format("--outputs {}: tensors are written to .npz, .safetensors or .npy files, not to \"{}\"",
                    file, extension));
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!std::filesystem::is_directory(folder))
    throw UsageError(fmt::format("--outputs {}: there is no folder {}", file, folder.string()));
}

int run(const RunCommand& command) {
  const bool ranked = command.top_k > 0 || !command.truth_file.empty() || !command.image.empty();
  if (!command.labels_file.empty() && !ranked)
    throw UsageError("--labels names the classes that --top-k prints");
  check_outputs_file(command.outputs_file);
  const GivenInputs given = read_inputs(command.inputs);
  const Reference reference = read_reference(command);

  const Model model = load_model(command.choice);
  const std::vector<Tensor> inputs = bind_inputs(model, given);
  const GraphOptions graphs = graph_options(command.graphs, model.device());
  Session session(model, {.threads = command.choice.threads, .graphs = graphs});
  const std::vector<Stream> streams = make_streams(model.device(), command.placement, 1);
  std::optional<StreamView> stream;
  if (!streams.empty()) stream = streams.front();
  // The first run of some shapes is not replayed, and finds out what prevents it.
  if (graphs.mode == GraphMode::Require) run_on(session, inputs, stream);
  const std::vector<Tensor> outputs = run_on(session, inputs, stream);
  std::string out;
  if (!command.outputs_file.empty()) {
    NamedTensors named;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].defined()) named.emplace_back(model.output_names()[i], outputs[i]);
    }
    write_tensors(command.outputs_file, named);
  } else if (!ranked) {
    for (std::size_t i = 0; i < outputs.size(); ++i) out += output_text(model.output_names()[i], outputs[i]);
  }
  if (ranked) out += answers_text(command, model, inputs, outputs, reference);
  if (command.placement.audit.empty()) {
    write_out(out);
    return kExitOk;
  }
  const std::vector<Tensor> placed = place_inputs(model, inputs);
  const Audit audit = session.audit(views_of(placed), *stream, audit_options(command.placement));
  write_out(out + audit_text(audit));
  return audit.stayed() ? kExitOk : kExitFailed;
}

void add_ranking_options(CLI::App& app, RunCommand& command) {
  const std::string group = "Classifiers (out0 is scores, one row an input)";
  app.add_option("--top-k", command.top_k, "Print the best K classes of each row")
      ->type_name("K")
      ->check(number_in({.least = 1}))
      ->group(group);
  app.add_option("--labels", command.labels_file, "Names of the classes, one a line")
      ->type_name("FILE")
      ->check(not_empty())
      ->group(group);
  app.add_option("--accuracy-against", command.truth_file,
                 "Print how many rows have the true class of this .npy file")
      ->type_name("FILE")
      ->check(not_empty())
      ->group(group);
  app.add_option("--ascii-image,--show", command.image,
                 "Print the first images of this input and what was read")
      ->type_name("NAME")
      ->check(not_empty())
      ->group(group);
}

}  // namespace

Action add_run(CLI::App& app) {
  const auto command = std::make_shared<RunCommand>();
  add_package_options(app, command->choice);
  add_load_options(app, command->choice);
  app.add_option("--outputs", command->outputs_file, "Write the outputs to a .npz, .safetensors or .npy file")
      ->type_name("FILE")
      ->check(not_empty());
  add_input_options(app, command->inputs);
  add_ranking_options(app, *command);
  add_partition_option(app, command->placement);
  add_audit_option(app, command->placement);
  add_graphs_option(app, command->graphs);
  app.footer(
      "Inputs are called arg0, arg1, ... or by the keyword of the exported call; penstock inspect prints "
      "both.\n\n"
      "Examples:\n"
      "  penstock run model.pt2 --inputs inputs.safetensors --outputs outputs.safetensors\n"
      "  penstock run model.pt2 --input arg0=image.npy --top-k 5 --labels labels.txt\n"
      "  penstock run model.pt2 --shapes image:1x3x224x224,steps:int64:scalar --seed 7");
  return [command] { return run(*command); };
}

}  // namespace penstock::cli
