#include "commands.hpp"
#include "loading.hpp"
#include "option_values.hpp"
#include "proof.hpp"
#include "report.hpp"

#include <penstock/system.hpp>
#include <penstock/tensorrt.hpp>
#include <penstock/version.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace penstock::cli {
namespace {

void add_line(std::string& out, std::string_view label, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "  {:<14}{}\n", label, printable(value));
}

std::string version_text(int version) {
  return fmt::format("CUDA {}.{}", version / 1000, version % 1000 / 10);
}

std::string partitions_text(const CudaDevice& device) {
  if (!device.no_partitions_because.empty()) return "no partitions: " + device.no_partitions_because;
  return fmt::format("partitions of {} SMs or more in steps of {}", device.least_partition_sm_count,
                     device.partition_step_sm_count);
}

void add_cuda(std::string& out, const CudaInfo& info) {
  out += "\nCUDA\n";
  if (info.driver_version != 0) {
    add_line(out, "driver", fmt::format("{}  {}", version_text(info.driver_version), info.driver_library));
  }
  if (!info.problem.empty()) {
    add_line(out, "GPU", "none that can be used: " + info.problem);
    return;
  }
  bool divisible = false;
  for (const CudaDevice& device : info.devices) {
    add_line(out, fmt::format("cuda:{}", device.index),
             fmt::format("{}, compute capability {}.{}, {} SMs, {}", device.name, device.compute_major,
                         device.compute_minor, device.sm_count, bytes_text(device.memory_bytes)));
    add_line(out, "", partitions_text(device));
    divisible = divisible || device.no_partitions_because.empty();
  }
  if (divisible) {
    out +=
        "  A partition keeps streams of one process apart, and shares memory, cache and faults with the "
        "rest.\n"
        "  Between processes, NVIDIA's MPS divides a GPU: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE.\n";
  }
}

void add_library(std::string& out, const OptionalLibrary& library) {
  const std::string found = library.version.empty() ? library.path : library.version + "  " + library.path;
  add_line(out, library.name, library.path.empty() ? "missing" : found);
  add_line(out, "", "for " + library.needed_for);
  for (const std::string& attempt : library.attempts) add_line(out, "", "tried: " + attempt);
  if (library.path.empty()) add_line(out, "", "to get it: " + library.advice);
}

/// What the machine is found to have. Of CUDA's libraries nothing where no GPU can be used.
struct Findings {
  SystemInfo system = system_info();
  CudaInfo cuda = cuda_info();
  std::vector<OptionalLibrary> cuda_libraries =
      cuda.problem.empty() ? penstock::cuda_libraries() : std::vector<OptionalLibrary>();
  std::vector<OptionalLibrary> tensorrt =
      cuda.problem.empty() ? penstock::tensorrt_libraries() : std::vector<OptionalLibrary>();
};

std::string page(const Findings& findings) {
  const SystemInfo& info = findings.system;
  std::string out = fmt::format(
      "penstock {}\n\nThis machine runs packages that were compiled for its processor\n", version());
  add_line(out, "processor",
           fmt::format("{}, {}, {} thread{}", info.cpu, info.architecture, info.threads,
                       info.threads == 1 ? "" : "s"));
  add_line(out, "instructions", fmt::format("{}", fmt::join(info.instruction_sets, " ")));
  add_line(out, "glibc", info.glibc + " or older");
  add_line(out, "libstdc++", info.libstdcxx + " or older");
  add_cuda(out, findings.cuda);

  out += "\nLibraries that are opened when a package needs them\n";
  bool missing = false;
  for (const auto* libraries : {&info.libraries, &findings.cuda_libraries, &findings.tensorrt}) {
    for (const OptionalLibrary& library : *libraries) {
      missing = missing || library.path.empty();
      add_library(out, library);
    }
  }
  out += missing ? "\nWhat a missing library is for is refused: packages when they are loaded, audits when "
                   "they begin.\n"
                 : "\nNothing is missing.\n";
  return out;
}

nlohmann::ordered_json json_of(const std::vector<OptionalLibrary>& libraries) {
  nlohmann::ordered_json result = nlohmann::ordered_json::array();
  for (const OptionalLibrary& library : libraries) {
    nlohmann::ordered_json each;
    each["name"] = library.name;
    each["found"] = !library.path.empty();
    each["needed_for"] = library.needed_for;
    each["path"] = library.path;
    each["version"] = library.version;
    each["advice"] = library.advice;
    each["attempts"] = library.attempts;
    result.push_back(std::move(each));
  }
  return result;
}

nlohmann::ordered_json json_of(const CudaInfo& info) {
  nlohmann::ordered_json result;
  result["driver_version"] = info.driver_version;
  result["driver_library"] = info.driver_library;
  result["problem"] = info.problem;
  result["devices"] = nlohmann::ordered_json::array();
  for (const CudaDevice& device : info.devices) {
    nlohmann::ordered_json each;
    each["index"] = device.index;
    each["name"] = device.name;
    each["compute_capability"] = fmt::format("{}.{}", device.compute_major, device.compute_minor);
    each["sm_count"] = device.sm_count;
    each["memory_bytes"] = device.memory_bytes;
    each["least_partition_sm_count"] = device.least_partition_sm_count;
    each["partition_step_sm_count"] = device.partition_step_sm_count;
    each["no_partitions_because"] = device.no_partitions_because;
    result["devices"].push_back(std::move(each));
  }
  return result;
}

nlohmann::ordered_json json_of(const Findings& findings) {
  const SystemInfo& info = findings.system;
  nlohmann::ordered_json result;
  result["penstock"] = version();
  result["cpu"] = info.cpu;
  result["architecture"] = info.architecture;
  result["threads"] = info.threads;
  result["instruction_sets"] = info.instruction_sets;
  result["glibc"] = info.glibc;
  result["libstdcxx"] = info.libstdcxx;
  result["cuda"] = json_of(findings.cuda);
  result["cuda"]["libraries"] = json_of(findings.cuda_libraries);
  result["cuda"]["tensorrt"] = json_of(findings.tensorrt);
  result["libraries"] = json_of(info.libraries);
  return result;
}

}  // namespace

Action add_doctor(CLI::App& app) {
  struct Options {
    bool json = false;
    ModelChoice plan;
    std::string report;
  };
  const auto options = std::make_shared<Options>();
  CLI::Option* const json = app.add_flag("--json", options->json, "Print everything as JSON");
  CLI::Option* const prove =
      app.add_option("--prove-tensorrt", options->plan.file,
                     "Run this TensorRT plan in all ways that Penstock has, and report what held (Markdown)")
          ->type_name("PLAN")
          ->check(not_empty())
          ->excludes(json);
  app.add_option("--report", options->report, "Write the report to this file")
      ->type_name("FILE")
      ->check(not_empty())
      ->needs(prove);
  app.add_option("--device", options->plan.device, "Device to prove it on: cuda (the default) or cuda:N")
      ->type_name("DEVICE")
      ->needs(prove);
  add_tensorrt_option(app, options->plan)->needs(prove);
  app.footer(
      "Examples:\n  penstock doctor\n  penstock doctor --json\n  trtexec --onnx=model.onnx "
      "--saveEngine=model.plan && penstock doctor --prove-tensorrt model.plan --report tensorrt.md");
  return [options] {
    if (!options->plan.file.empty()) return prove_tensorrt(options->plan, options->report);
    const Findings findings;
    if (options->json) {
      write_json(json_of(findings));
    } else {
      write_out(page(findings));
    }
    return kExitOk;
  };
}

}  // namespace penstock::cli
