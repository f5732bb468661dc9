#pragma once

#include <penstock/model.hpp>
#include <penstock/package.hpp>

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace penstock::cli {

/// Which model of which file, and where and how it runs.
struct ModelChoice {
  std::string file;
  std::string model;
  std::string device;  ///< Empty: the CPU; of a plan cuda:0.
  std::string sha256;
  /// File of weights to give or replace; empty: none.
  std::string weights;
  bool ignores_ranges = false;  ///< `--size-ranges ignored`
  /// Threads of a session at most; 0: as compiled.
  int threads = 0;
  /// Shared libraries of operators and classes.
  std::vector<std::string> libraries;
  std::vector<std::string> tensorrt;  ///< Libraries of TensorRT.
  std::optional<int> profile;         ///< Of a plan.
};

/// FILE, --model and --sha256.
void add_package_options(CLI::App& app, ModelChoice& choice);

/// --tensorrt.
CLI::Option* add_tensorrt_option(CLI::App& app, ModelChoice& choice);

/// --device, --library, --tensorrt, --use-profile, --weights, --size-ranges and --threads, for commands that
/// load a model and run it.
void add_load_options(CLI::App& app, ModelChoice& choice);

/// Opens a package. Throws Refused for every error but OutOfMemory.
Package open_package(const ModelChoice& choice);

/// The model called `name` of a package. Throws Refused with the names there are.
const ModelInfo& find_model(const Package& package, const std::string& name);

/// Loads the chosen model of a package, or a plan. On a terminal, a load that takes long shows how far it is;
/// Ctrl-C cancels it. Throws Refused for every error but OutOfMemory and Cancelled.
Model load_model(const ModelChoice& choice);

}  // namespace penstock::cli
