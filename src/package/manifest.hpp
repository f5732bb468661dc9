#pragma once

#include "package/archive.hpp"

#include <penstock/package.hpp>

#include <string>
#include <vector>

namespace penstock::package {

/// A model of a package with the archive entries it is made of.
struct ModelFiles {
  ModelInfo info;                    ///< `needs.missing_functions` and `obstacles` are left empty.
  std::string folder;                ///< "data/aotinductor/model/"
  std::string library;               ///< Entry of the model library.
  std::vector<std::string> entries;  ///< All entries below the folder.
};

/// All of what a package states of itself.
struct Manifest {
  std::string archive_version;
  std::vector<ModelFiles> models;  ///< Sorted by name; at least one.
};

/// Reads format, version, byte order, and for each model: metadata, the library's needs, text hints.
/// Errors: Corrupt, Unsupported (format or version), Incompatible (byte order, machine).
Manifest read_manifest(const Archive& archive);

/// One sentence for each thing in `info` that this machine lacks: operating system, architecture,
/// instructions, glibc, libstdc++, libraries. With the export lines that would make it portable.
std::vector<std::string> machine_obstacles(const ModelInfo& info);

}  // namespace penstock::package
