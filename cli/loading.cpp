#include "loading.hpp"

#include "option_values.hpp"
#include "plans.hpp"
#include "report.hpp"

#include <penstock/error.hpp>
#include <penstock/io.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>

#include <unistd.h>

namespace penstock::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;

extern "C" void note_interrupt(int) { interrupted = 1; }

/// Turns the first Ctrl-C into a flag while a load goes on; the second one ends the process.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { ::sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ {};
};

/// One line on the terminal that is written over and leaves no trace; nothing anywhere else.
class ProgressLine {
 public:
  ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() {
    if (shown_) write("\r\x1b[K");
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const LoadProgress& progress) {
    using namespace std::chrono_literals;
    const auto now = std::chrono::steady_clock::now();
    // A load that is over sooner needs no words.
    if (!terminal_ || now - begin_ < 300ms || now - last_ < 50ms) return;
    last_ = now;
    shown_ = true;
    write(progress.total == 0 ? fmt::format("\r\x1b[K{} ...", progress.stage)
                              : fmt::format("\r\x1b[K{} ... {} of {}", progress.stage,
                                            bytes_text(progress.done), bytes_text(progress.total)));
  }

 private:
  /// Not through fmt, which throws where the terminal has gone.
  static void write(const std::string& text) {
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
    std::fflush(stderr);
  }

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_{};
};

/// Runs `action`; what it throws about the package becomes Refused.
template <class Action>
decltype(auto) refusing(const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::OutOfMemory || error.code() == ErrorCode::Cancelled) throw;
    throw Refused(error.what());
  }
}

}  // namespace

void add_package_options(CLI::App& app, ModelChoice& choice) {
  app.add_option("file", choice.file, "Package (.pt2), the folder it was unpacked into, or a TensorRT plan")
      ->type_name("FILE")
      ->required();
  app.add_option("--model", choice.model, "Model of the package, where it has several")
      ->type_name("NAME")
      ->check(not_empty());
  app.add_option("--sha256", choice.sha256, "Digest that the file must have")
      ->type_name("HEX")
      ->check(not_empty());
}

CLI::Option* add_tensorrt_option(CLI::App& app, ModelChoice& choice) {
  return app
      .add_option(
          "--tensorrt", choice.tensorrt,
          "Library of TensorRT to run engines with (default: the first of those found that takes them)")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

void add_load_options(CLI::App& app, ModelChoice& choice) {
  app.add_option("--device", choice.device,
                 "Device to run on: cpu (the default of packages), cuda (that of plans) or cuda:N")
      ->type_name("DEVICE");
  app.add_option("--library", choice.libraries,
                 "Shared library of the operators and classes that the package needs; as many as there are")
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_tensorrt_option(app, choice);
  app.add_option("--use-profile,--useProfile", choice.profile,
                 "Optimization profile of a plan (default: the first that the sizes fit)")
      ->type_name("N")
      ->check(number_in({}));
  app.add_option("--weights", choice.weights, "File of weights to give, or to use instead")
      ->type_name("FILE")
      ->check(not_empty());
  app.add_option_function<std::string>(
         "--size-ranges",
         [&choice](const std::string& ranges) { choice.ignores_ranges = ranges == "ignored"; },
         "Sizes outside of the ranges that the package states: refused (\"stated\", the default), or run as "
         "libtorch does (\"ignored\"), which may give wrong results or damage memory")
      ->type_name("stated|ignored")
      ->check(CLI::IsMember({"stated", "ignored"}));
  app.add_option("--threads", choice.threads,
                 "Threads that a session uses at most (default, and 0: what the package was compiled for)")
      ->type_name("N")
      ->check(number_in({.most = 1024}));
}

Package open_package(const ModelChoice& choice) {
  check_sha256(choice.sha256);
  return refusing([&] { return Package::open(choice.file, {.sha256 = choice.sha256}); });
}

const ModelInfo& find_model(const Package& package, const std::string& name) {
  return refusing([&]() -> const ModelInfo& { return package.model(name); });
}

Model load_model(const ModelChoice& choice) {
  if (is_plan(choice.file)) return load_plan(choice);
  if (choice.profile) throw UsageError("--use-profile is for TensorRT plans, and the file is none");
  const Package package = open_package(choice);
  const Device device = parse_device(choice.device.empty() ? "cpu" : choice.device);
  const InterruptGuard guard;
  ProgressLine line;
  LoadOptions options;
  options.model = choice.model;
  options.device = device;
  if (choice.ignores_ranges) options.size_ranges = SizeRanges::Ignored;
  options.libraries.assign(choice.libraries.begin(), choice.libraries.end());
  options.tensorrt.assign(choice.tensorrt.begin(), choice.tensorrt.end());
  if (!choice.weights.empty()) {
    for (auto& [name, tensor] : read_tensors(choice.weights)) {
      auto owner = std::make_shared<const Tensor>(std::move(tensor));
      const TensorView view = owner->view();
      options.weights.push_back({.name = name, .view = view, .owner = std::move(owner)});
    }
  }
  options.progress = [&line](const LoadProgress& progress) {
    line.show(progress);
    return interrupted == 0;
  };
  return refusing([&] { return Model::load(package, options); });
}

}  // namespace penstock::cli
