#pragma once

#include "package/archive.hpp"
#include "package/manifest.hpp"

#include <penstock/package.hpp>

#include <string>
#include <utility>
#include <vector>

namespace penstock {

struct Package::Impl {
  explicit Impl(package::Archive opened)
      : archive(std::move(opened)), manifest(package::read_manifest(archive)) {}

  package::Archive archive;
  package::Manifest manifest;
  /// The models' infos, completed by what Penstock and this machine lack; same order as the manifest.
  std::vector<ModelInfo> models;

  [[nodiscard]] std::size_t index_of(std::string_view model) const;
};

}  // namespace penstock
