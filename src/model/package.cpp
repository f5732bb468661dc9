#include <penstock/package.hpp>

#include "base/fail.hpp"
#include "model/cuda_obstacles.hpp"
#include "model/package_impl.hpp"
#include "package/call_places.hpp"
#include "package/custom_objects.hpp"
#include "package/digest.hpp"
#include "shim/imports.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace penstock {
namespace {

std::shared_ptr<const Package::Impl> describe(package::Archive archive) {
  auto impl = std::make_shared<Package::Impl>(std::move(archive));
  for (const package::ModelFiles& files : impl->manifest.models) {
    ModelInfo info = files.info;
    for (const std::string& function : info.needs.shim_functions) {
      if (!shim::has_shim_function(function)) info.needs.missing_functions.push_back(function);
    }
    info.obstacles = package::machine_obstacles(info);
    if (!info.needs.missing_functions.empty()) {
      info.obstacles.push_back(fmt::format("needs functions that Penstock does not have: {}",
                                           fmt::join(info.needs.missing_functions, ", ")));
    }
    const bool has_portable_kernels = std::ranges::none_of(
        files.entries, [](const std::string& entry) { return entry.ends_with(".cubin"); });
    for (std::string& obstacle : model::cuda_obstacles(info, has_portable_kernels))
      info.obstacles.push_back(std::move(obstacle));
    impl->models.push_back(std::move(info));
  }
  return impl;
}

}  // namespace

std::vector<std::string> input_places(const ModelInfo& model) {
  return package::call_places(model.call_spec_in, model.input_hints.size(), package::CallSide::Inputs);
}

std::vector<std::string> output_places(const ModelInfo& model) {
  return package::call_places(model.call_spec_out, model.output_names.size(), package::CallSide::Outputs);
}

std::size_t Package::Impl::index_of(std::string_view model) const {
  if (model.empty() && models.size() == 1) return 0;
  const std::string_view wanted = model.empty() ? "model" : model;
  std::string names;
  for (std::size_t index = 0; index < models.size(); ++index) {
    if (models[index].name == wanted) return index;
    names += (names.empty() ? "" : ", ") + models[index].name;
  }
  base::fail(ErrorCode::NotFound, "{}: there is no model \"{}\" in it; there {} {}", archive.name(), wanted,
             models.size() == 1 ? "is" : "are", names);
}

Package::Package(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}

Package Package::open(const std::filesystem::path& path, const OpenOptions& options) {
  return base::report_out_of_memory(
      path.string(), [&] { return Package(describe(package::Archive::open(path, options.sha256))); });
}

Package Package::open_memory(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                             const std::string& name, const OpenOptions& options) {
  return base::report_out_of_memory(name, [&] {
    if (!options.sha256.empty()) package::check_sha256(bytes, options.sha256, name);
    return Package(describe(package::Archive::open_memory({bytes, std::move(owner)}, name)));
  });
}

const std::string& Package::name() const noexcept { return impl_->archive.name(); }

std::uint64_t Package::bytes() const noexcept { return impl_->archive.total_bytes(); }

const std::string& Package::archive_version() const noexcept { return impl_->manifest.archive_version; }

std::span<const ModelInfo> Package::models() const noexcept { return impl_->models; }

std::vector<ObjectInfo> Package::custom_objects(std::string_view model) const {
  return base::report_out_of_memory(name(), [&] {
    const package::ModelFiles& files = impl_->manifest.models[impl_->index_of(model)];
    std::vector<ObjectInfo> found;
    const auto calls = package::read_extern_nodes(impl_->archive, files.nodes);
    package::ValueBudget budget;
    for (const package::ObjectFile& file : package::read_object_files(impl_->archive, files, calls)) {
      package::PickledState read = package::read_object(impl_->archive, file, budget);
      found.push_back(
          {.name = file.name, .class_name = std::move(read.class_name), .state = std::move(read.state)});
    }
    return found;
  });
}

const ModelInfo& Package::model(std::string_view name) const { return impl_->models[impl_->index_of(name)]; }

}  // namespace penstock
