#include "commands.hpp"
#include "option_values.hpp"
#include "report.hpp"

#include <penstock/error.hpp>
#include <penstock/partition.hpp>
#include <penstock/system.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iterator>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace penstock::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PartitionOptions {
  int device = 0;
  std::string split;
  bool probe = false;
  bool json = false;
};

/// A part as it was asked for, and what was given.
struct Part {
  std::string asked;
  unsigned sm_count = 0;
  std::set<unsigned> sms;  ///< Where the blocks of a probe ran.
};

std::vector<std::string> words_of(const std::string& split) {
  std::vector<std::string> words(1);
  for (const char each : split) {
    if (each == ',') {
      words.emplace_back();
    } else {
      words.back() += each;
    }
  }
  return words;
}

std::set<unsigned> probe(StreamView stream) {
  const std::vector<unsigned> sms = probe_sms(stream);
  return {sms.begin(), sms.end()};
}

std::vector<Part> divide(const PartitionOptions& options) {
  const SmResource all = SmResource::of_device(options.device);
  if (options.split.empty()) {
    if (!options.probe) return {};
    const Stream stream = Stream::create({.device = options.device});
    return {{.asked = "all", .sm_count = all.sm_count(), .sms = probe(stream)}};
  }
  std::vector<SmResource> resources;
  try {
    resources = all.split(options.split);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::InvalidArgument) throw UsageError(error.what());
    throw;
  }
  const std::vector<std::string> words = words_of(options.split);
  std::vector<Part> parts;
  for (std::size_t i = 0; i < resources.size(); ++i) {
    Part part{.asked = words[i], .sm_count = resources[i].sm_count(), .sms = {}};
    if (options.probe) {
      const GreenContext context = GreenContext::create(resources[i]);
      const Stream stream = context.create_stream();
      part.sm_count = context.sm_count();
      part.sms = probe(stream);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

/// What blocks of a probe did that they must not; empty: nothing.
std::string probe_fault(const std::vector<Part>& parts) {
  std::set<unsigned> seen;
  for (const Part& part : parts) {
    if (part.sms.size() > part.sm_count) {
      return fmt::format("blocks ran on {} SMs in the part \"{}\", which has {}", part.sms.size(), part.asked,
                         part.sm_count);
    }
    for (const unsigned sm : part.sms) {
      if (!seen.insert(sm).second) return fmt::format("blocks of two parts ran on SM {}", sm);
    }
  }
  return {};
}

/// "0-31, 64".
std::string ranges_text(const std::set<unsigned>& numbers) {
  std::string text;
  for (auto next = numbers.begin(); next != numbers.end();) {
    const unsigned first = *next;
    unsigned last = first;
    for (++next; next != numbers.end() && *next == last + 1; ++next) last = *next;
    text += text.empty() ? "" : ", ";
    text += first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
  }
  return text;
}

unsigned left_over(const CudaDevice& device, const std::vector<Part>& parts) {
  unsigned given = 0;
  for (const Part& part : parts) given += part.sm_count;
  return given < device.sm_count ? device.sm_count - given : 0;
}

std::string page(const PartitionOptions& options, const CudaDevice& device, const std::vector<Part>& parts) {
  std::string out = fmt::format("cuda:{}  {}, {} SMs; parts of {} or more in steps of {}, and the rest\n",
                                device.index, printable(device.name), device.sm_count,
                                device.least_partition_sm_count, device.partition_step_sm_count);
  if (parts.empty()) return out;
  fmt::format_to(std::back_inserter(out), "\n{:<10}{:>6}{}\n", "asked", "given",
                 options.probe ? "  blocks of a kernel ran on SMs" : "");
  for (const Part& part : parts) {
    fmt::format_to(std::back_inserter(out), "{:<10}{:>6}{}{}\n", part.asked, part.sm_count,
                   part.sms.empty() ? "" : "  ", ranges_text(part.sms));
  }
  if (const unsigned rest = left_over(device, parts); rest > 0) {
    fmt::format_to(std::back_inserter(out), "{:<10}{:>6}\n", "in none", rest);
  }
  out +=
      "\nWork that is in no partition runs on all SMs. Partitions share memory, cache and faults, and hold\n"
      "within one process.\n";
  return out;
}

Json json_of(const PartitionOptions& options, const CudaDevice& device, const std::vector<Part>& parts) {
  Json result;
  result["device"] = device.index;
  result["name"] = device.name;
  result["sm_count"] = device.sm_count;
  result["least_sm_count"] = device.least_partition_sm_count;
  result["step_sm_count"] = device.partition_step_sm_count;
  result["probed"] = options.probe;
  result["parts"] = Json::array();
  for (const Part& part : parts) {
    Json each;
    each["asked"] = part.asked;
    each["sm_count"] = part.sm_count;
    if (options.probe) each["sms"] = part.sms;
    result["parts"].push_back(std::move(each));
  }
  result["in_no_part_sm_count"] = parts.empty() ? device.sm_count : left_over(device, parts);
  return result;
}

int partition(const PartitionOptions& options) {
  const std::vector<CudaDevice> devices = cuda_devices();
  if (options.device >= static_cast<int>(devices.size())) {
    throw UsageError(fmt::format("there is no cuda:{}; CUDA sees {} GPU{}", options.device, devices.size(),
                                 devices.size() == 1 ? ", cuda:0" : "s"));
  }
  const CudaDevice& device = devices[static_cast<std::size_t>(options.device)];
  const std::vector<Part> parts = divide(options);
  if (options.json) {
    write_json(json_of(options, device, parts));
  } else {
    write_out(page(options, device, parts));
  }
  if (const std::string fault = probe_fault(parts); !fault.empty()) throw std::runtime_error(fault);
  return kExitOk;
}

}  // namespace

Action add_partition(CLI::App& app) {
  const auto options = std::make_shared<PartitionOptions>();
  app.add_option("--device", options->device, "Which GPU (0)")
      ->type_name("N")
      ->check(number_in({.most = 1023}));
  app.add_option("--split", options->split, "Parts: numbers of SMs, shares (25%) and, in the end, rest")
      ->type_name("PART,...");
  app.add_flag("--probe", options->probe, "Run a kernel in each part, and say on which SMs its blocks ran");
  app.add_flag("--json", options->json, "Print everything as JSON");
  app.footer(
      "Examples:\n  penstock partition\n  penstock partition --split 32,rest\n"
      "  penstock partition --split 25%,75% --probe --json");
  return [options] { return partition(*options); };
}

}  // namespace penstock::cli
